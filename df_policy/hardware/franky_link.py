"""How franky, a client on libfranka, is loaded and let in by a robot."""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from df_policy.errors import DfPolicyError
from df_policy.hardware import missing

T = TypeVar("T")
ROBOT_PORT, HAND_PORT = 1337, 1338
CONNECT_S = 10.0
"""A robot that another client holds lets one wait for ever."""


def load() -> Any:
    """The library.

    Raises:
        DfPolicyError: if it is not installed.
    """
    try:
        import franky
    except ImportError as error:
        raise DfPolicyError(missing("franky for a Franka robot", "franka", error)) from error
    return franky


def check_port(address: str, port: int, what: str, patience_s: float = 0.0) -> float:
    """How long it took to be let in by a port [s].

    Raises:
        DfPolicyError: if nobody listens there for so long.
    """
    deadline_s = time.monotonic() + patience_s
    while True:
        began_s = time.monotonic()
        try:
            socket.create_connection((address, port), timeout=3.0).close()
        except OSError as error:
            if began_s < deadline_s:
                time.sleep(0.2)
                continue
            raise DfPolicyError(
                f"expected {what} at {address}, port {port}, got: {error}; check the cable and "
                "the address, unlock the joints and activate FCI in Desk"
            ) from error
        return time.monotonic() - began_s


def in_time(what: Callable[[], T], expected: str) -> T:
    """The result of something that may hang, made by a thread of its own.

    That thread ends, and with it the highest priority, which libfranka gives whoever makes a
    robot and does not take back. Its control loop inherits priority from who starts a motion.

    Raises:
        DfPolicyError: if it does, or fails.
    """
    results: list[T] = []
    problems: list[Exception] = []

    def attempt() -> None:
        try:
            results.append(what())
        except Exception as error:
            problems.append(error)

    thread = threading.Thread(target=attempt, daemon=True)
    thread.start()
    thread.join(CONNECT_S)
    if results:
        return results[0]
    got = str(problems[0]).splitlines()[0] if problems else f"nothing within {CONNECT_S:g} s"
    raise DfPolicyError(f"expected {expected} Got: {got}")
