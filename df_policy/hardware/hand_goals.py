"""What the fingers shall do: of all wishes the newest alone, once it has settled.

A hand takes goals one at a time, and each takes up to a second; wishes come 50 times a second.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass

_SETTLED = 2
"""Looks for which a wish must stay as it is before the fingers open to it: while it changes, each
would cut the last one short."""


@dataclass(frozen=True)
class HandSettings:
    """How a hand is to behave."""

    address: str = ""
    """Of the robot's control, where the hand is reached through it."""
    grasp_below_m: float = 0.04
    """A wish for less than this is one to hold what is between the fingers."""
    force_n: float = 30.0
    speed_m_s: float = 0.1
    """Of the opening."""
    deadband_m: float = 0.004
    """A wish that differs by less from the last is the same."""
    homing: bool = False
    """Find the end stops when connecting: the fingers move."""


@dataclass(frozen=True)
class HandGoal:
    """One command for the fingers."""

    opening_m: float
    grasp: bool
    """Close, and hold what is there."""


class HandGoals:
    """Wishes in, goals out; for any threads.

    Args:
        settings: how the hand is to behave.
    """

    def __init__(self, settings: HandSettings) -> None:
        self._settings = settings
        self._lock = threading.Lock()
        self._wished: HandGoal | None = None
        self._settling: HandGoal | None = None  # the wish since which none differed
        self._begun: HandGoal | None = None
        self._settled = 0

    def want(self, opening_m: float) -> None:
        """The opening that the fingers shall take; the newest counts."""
        grasp = opening_m < self._settings.grasp_below_m
        goal = HandGoal(0.0 if grasp else opening_m, grasp)
        with self._lock:
            self._wished = goal
            if self._settling is None or self._differ(goal, self._settling):
                self._settling, self._settled = goal, 0

    def due(self) -> bool:
        """Whether it is time for another goal than the one begun last; asked once a look."""
        with self._lock:
            self._settled += 1
            wished, begun = self._wished, self._begun
            if wished is None or not (wished.grasp or self._settled >= _SETTLED):
                return False
            return begun is None or self._differ(wished, begun)

    def begin(self) -> HandGoal | None:
        """The newest wish, which counts as begun from now on."""
        with self._lock:
            self._begun = self._wished
            return self._begun

    def wanted(self, goal: HandGoal | None) -> bool:
        """Whether this is still what is wished for."""
        with self._lock:
            wished = self._wished
        if goal is None or wished is None:
            return goal is wished
        return not self._differ(goal, wished)

    def forget(self) -> None:
        """Begin the newest wish anew: whether it was carried out, nobody knows."""
        with self._lock:
            self._begun = None

    def _differ(self, one: HandGoal, other: HandGoal) -> bool:
        apart_m = abs(one.opening_m - other.opening_m)
        return one.grasp != other.grasp or apart_m > self._settings.deadband_m
