"""What a device that a person holds says, and the protocol that all of them follow."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from df_policy.geometry import Pose

Three = tuple[float, float, float]

CENTRED: Three = (0.0, 0.0, 0.0)


@dataclass(frozen=True)
class Stick:
    """How far a person pushes, each number from -1 to 1; the axes are those of REP 103."""

    linear: Three = CENTRED
    """Forward, left, up."""
    angular: Three = CENTRED
    """About the same axes, right-handed: roll, pitch, yaw."""
    gripper: float = 0.0
    """1 opens, -1 closes."""


@dataclass(frozen=True)
class Lead:
    """Where a leader's hand is; only its movement counts, not the place."""

    tool: Pose
    gripper_m: float | None = None
    """Opening that the leader shows, None if it has no gripper."""


class Press(Enum):
    """What a person can ask of the recording."""

    START = "start"
    """Begin the episode, or go on after a pause."""
    PAUSE = "pause"
    TOGGLE = "toggle"
    """Start or pause, whichever it is the time for: for devices with few buttons."""
    KEEP = "keep"
    RERECORD = "rerecord"
    DROP = "drop"
    SUCCESS = "success"
    FAILURE = "failure"
    NOTE = "note"
    TAKE_OVER = "take_over"
    HAND_BACK = "hand_back"
    QUIT = "quit"


@dataclass(frozen=True)
class Wish:
    """One press, with the words that belong to it."""

    press: Press
    text: str = ""


@dataclass(frozen=True)
class Reading:
    """What a device says now."""

    motion: Stick | Lead | None
    """None: nothing to go by, the robot holds its last target."""
    heard_s: float
    """`time.monotonic` of its last sign of life."""
    wishes: tuple[Wish, ...] = ()
    """Pressed since the reading before."""
    problem: str = ""
    """Why it cannot be used, and what to do; empty if all is well."""


@runtime_checkable
class InputDevice(Protocol):
    """A device; all three are called from one thread, which may wait as long as it likes."""

    @property
    def name(self) -> str:
        """What people call it."""
        ...

    def open(self) -> None:
        """Find the device; tried again and again after it was lost.

        Raises:
            DfPolicyError: if it is not there, or its library is not.
        """
        ...

    def poll(self) -> Reading:
        """What it says now; called about a hundred times a second.

        Raises:
            DfPolicyError: if it is gone.
        """
        ...

    def close(self) -> None:
        """Let go of it; nothing happens if it is not open."""
        ...
