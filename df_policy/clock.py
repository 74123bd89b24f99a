"""A wall clock that never goes back, for stamps of what was received when."""

from __future__ import annotations

import time
from collections.abc import Callable


def steady_clock() -> Callable[[], int]:
    """Wall clock [ns] as it is now, going on evenly though somebody should set it."""
    ahead_ns = time.time_ns() - time.monotonic_ns()
    return lambda: time.monotonic_ns() + ahead_ns
