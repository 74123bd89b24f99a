"""Processes that end when they should: with their parent, and at once while nothing is open."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
from types import FrameType


def leave_at_once(number: int, _frame: FrameType | None) -> None:
    """Handler for SIGINT and SIGTERM while there is nothing to save: a line, and the exit code.

    It raises nothing, since an exception out of an import or of a library's callback may show its
    traceback or get lost.
    """
    word = "interrupted" if number == signal.SIGINT else "terminated"
    with contextlib.suppress(OSError):  # nobody may listen any more
        os.write(2, f"df_policy: {word}\n".encode())
    os._exit(128 + number)


def die_with_parent() -> None:
    """For `preexec_fn`; Linux: this process gets SIGTERM even if its parent is killed outright."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
