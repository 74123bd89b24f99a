"""A leader arm: whatever tells where its hand is, for instance over ROS 2.

Only the hand's movement counts: the follower takes hold of it when an episode starts, and anew
after each silence, so that it never jumps to where the leader is.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Protocol, runtime_checkable

from df_policy.teleop.reading import Lead, Reading


@runtime_checkable
class LeadSource(Protocol):
    """Where leads come from; the newest one counts."""

    def open(self) -> None:
        """Begin to listen."""
        ...

    def newest(self) -> tuple[Lead, float] | None:
        """The newest lead and its `time.monotonic`; None before the first."""
        ...

    def close(self) -> None:
        """Listen no more."""
        ...


class Leader:
    """A leader arm; its episode buttons are the keys of the terminal."""

    name = "leader"

    def __init__(self, source: LeadSource, now_s: Callable[[], float] = time.monotonic) -> None:
        self._source, self._now_s = source, now_s

    def open(self) -> None:
        """Begin to listen."""
        self._source.open()

    def poll(self) -> Reading:
        """Where the leader's hand is; before its first word, that it is missing."""
        newest = self._source.newest()
        if newest is None:
            return Reading(None, self._now_s(), problem="leader: nothing heard of it yet")
        lead, heard_s = newest
        return Reading(lead, heard_s)

    def close(self) -> None:
        """Listen no more."""
        self._source.close()
