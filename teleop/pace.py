"""The rhythm of a recording in real time."""

from __future__ import annotations

import time
from collections.abc import Callable

LATE_SHARE = 0.1
"""Of a period: a tick that comes later than this after it was due counts as late."""


class Pace:
    """Waits for the next tick; ticks that were missed are counted and never made up for.

    Args:
        period_s: between two ticks.
        now_s: a clock that never goes back.
        sleep: waits.
    """

    def __init__(
        self,
        period_s: float,
        now_s: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._period_s, self._now_s, self._sleep = period_s, now_s, sleep
        self._due_s: float | None = None
        self.ticks = self.late = 0
        self.worst_s = 0.0
        """The longest that a tick came after it was due."""

    def restart(self) -> None:
        """The next period begins now: what went before made nobody late."""
        self._due_s = self._now_s()

    def wait(self) -> None:
        """Return when the next tick is due."""
        now_s = self._now_s()
        due_s = (now_s if self._due_s is None else self._due_s) + self._period_s
        if due_s > now_s:
            self._sleep(due_s - now_s)
        behind_s = self._now_s() - due_s
        self.ticks += 1
        self.worst_s = max(self.worst_s, behind_s)
        if behind_s > LATE_SHARE * self._period_s:
            self.late += 1
        # A burst of short periods would be a jump of the robot: the grid moves instead.
        self._due_s = due_s if behind_s < self._period_s else due_s + behind_s
