"""The clock that a simulated robot's stamps are by."""

from __future__ import annotations

import time
from collections.abc import Callable

MOST_MADE_UP = 5
"""Ticks; after a longer stall the clock is set instead."""
EARLY_NS = 2_000_000
"""A timer may be so much too early."""


class SimClock:
    """The world's time as it is; or a constant ahead of it, so that it goes by the wall clock.

    By its own time, a tick that comes late makes the clock slip. By the wall clock a robot does
    not wait: a few late ticks are made up for.

    Args:
        tick_ns: of the world.
        wall: whether stamps are by the wall clock.
        wall_ns: that clock.
    """

    def __init__(
        self, tick_ns: int, *, wall: bool, wall_ns: Callable[[], int] = time.time_ns
    ) -> None:
        self._tick_ns, self._wall, self._wall_ns = tick_ns, wall, wall_ns
        self._ahead_ns = 0

    def stamp_ns(self, world_ns: int) -> int:
        """The robot's time at this time of the world."""
        return world_ns + self._ahead_ns

    def set(self, world_ns: int) -> None:
        """What is sensed at this time of the world is sensed now."""
        if self._wall:
            self._ahead_ns = self._wall_ns() - world_ns

    def due(self, world_ns: int) -> int:
        """Ticks of the world that a tick of the timer stands for."""
        if not self._wall:
            return 1
        due = (self._wall_ns() - self.stamp_ns(world_ns) + EARLY_NS) // self._tick_ns
        if 0 <= due <= MOST_MADE_UP:
            return due
        self.set(world_ns)
        return 0
