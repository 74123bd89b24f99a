"""Where a recorder that drives nothing takes the action of a frame from."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

from df_policy.align import RobotStreams, Stream
from df_policy.frames import Action


@runtime_checkable
class Actions(Protocol):
    """What led the robot from one tick to the next."""

    def until(self, end_ns: int) -> tuple[Action, int]:
        """The action before the tick at `end_ns`, and how long ago it was told [ns].

        Raises:
            LateStreamError: if there is none.
        """
        ...

    def settled(self, end_ns: int) -> bool:
        """Whether nothing that still comes can change it."""
        ...


class Commanded:
    """Somebody sends targets: the newest one before the next tick counts.

    Args:
        targets: those that were heard, by the robot's clock.
    """

    def __init__(self, targets: Stream[Action]) -> None:
        self._targets = targets

    def until(self, end_ns: int) -> tuple[Action, int]:
        """See `Actions`."""
        sample = self._targets.at(end_ns - 1)
        return sample.value, end_ns - 1 - sample.stamp_ns

    def settled(self, end_ns: int) -> bool:
        """See `Actions`."""
        told_ns = self._targets.newest_ns
        return told_ns is not None and told_ns >= end_ns


class Guided:
    """A person leads the arm by hand, and nothing is commanded.

    The action of a frame is where tool and fingers are one period later: what the arm would have
    had to be told to go the same way.

    Args:
        streams: what the robot says.
    """

    def __init__(self, streams: RobotStreams) -> None:
        self._streams = streams

    def until(self, end_ns: int) -> tuple[Action, int]:
        """See `Actions`."""
        opening_m = self._streams.joints.at(end_ns).value.gripper_m
        return Action(self._streams.tool.at(end_ns).value, opening_m), 0

    def settled(self, end_ns: int) -> bool:
        """See `Actions`."""
        newest = (self._streams.tool.newest_ns, self._streams.joints.newest_ns)
        return all(stamp is not None and stamp >= end_ns for stamp in newest)
