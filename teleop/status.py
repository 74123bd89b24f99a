"""What a person at a device must know while recording."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from df_policy.frames import Control, Observation


class Stage(Enum):
    """Of the open episode."""

    READY = "ready"
    """At its start; nothing is recorded yet."""
    RECORDING = "recording"
    PAUSED = "paused"


@dataclass(frozen=True)
class Status:
    """The recording as it is now."""

    stage: Stage = Stage.READY
    control: Control = Control.DEVICE
    seed: int = 0
    time_s: float = 0.0
    """Length of the open episode."""
    kept: int = 0
    total: int = 0
    success: bool | None = None
    """The person's mark; None leaves it to the task."""
    note: str = ""
    problem: str = ""
    """Why the robot holds, if it should not."""
    message: str = ""
    """What happened last."""
    late: int = 0
    """Ticks of this session that came late."""
    waiting: int = 0
    """Frames that are not encoded yet."""
    rehearsal: bool = False
    aloud: bool = False
    """Whether to beep and speak of what happens."""
    policy: bool = False
    """Whether there is one to hand back to."""


@runtime_checkable
class Watcher(Protocol):
    """Shows the recording; called once a tick, so it must only take note."""

    def show(self, status: Status, observation: Observation) -> None:
        """This is how things are."""
        ...
