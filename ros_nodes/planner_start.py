"""How a planner's process is started."""

from __future__ import annotations

import os
import socket
import subprocess
from collections.abc import Callable
from typing import Protocol, runtime_checkable


@runtime_checkable
class Running(Protocol):
    """A planner's process; `subprocess.Popen` is one."""

    def poll(self) -> int | None:
        """Its exit code, once it has ended."""
        ...

    def kill(self) -> None:
        """End it at once."""
        ...

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code."""
        ...


Start = Callable[[socket.socket], Running]
"""Starts a planner that serves the other end of the line."""


def starter(command: Callable[[int], list[str]]) -> Start:
    """Starts a program of its own.

    Args:
        command: the program, from the number of the socket that it inherits.
    """

    def start(end: socket.socket) -> Running:
        # Threads that no one asked for take the control side's core.
        single = dict.fromkeys(("OMP_NUM_THREADS", "MKL_NUM_THREADS", "OPENBLAS_NUM_THREADS"), "1")
        return subprocess.Popen(
            command(end.fileno()),
            pass_fds=[end.fileno()],
            env={**single, **os.environ},
            stdin=subprocess.DEVNULL,
        )

    return start
