"""The contracts that the outer folders fill: a world to act in, and someone who acts in it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Protocol, runtime_checkable

from df_policy.frames import Action, Control, Observation
from df_policy.robot import RobotSpec


@dataclass(frozen=True)
class Verdict:
    """How an episode ended."""

    success: bool
    reason: str
    """`success`, or a short kind of failure that tables count."""


@runtime_checkable
class Environment(Protocol):
    """A robot in a task, simulated or real, advanced one action at a time."""

    @property
    def spec(self) -> RobotSpec:
        """The robot's schema."""
        ...

    @property
    def episode_steps(self) -> int:
        """Actions in one episode, the same for all."""
        ...

    def reset(self, seed: int) -> Observation:
        """Start the episode that `seed` describes, and see it."""
        ...

    def step(self, action: Action) -> tuple[Observation, Action]:
        """Carry out one action: what is seen after it, and the action really sent."""
        ...

    def judge(self) -> Verdict:
        """Whether the task is done now."""
        ...

    def close(self) -> None:
        """Release what the world holds."""
        ...


class Event(Enum):
    """What an operator wants of the recording, beside moving."""

    KEEP = "keep"
    DROP = "drop"
    RERECORD = "rerecord"
    """Drop, and begin again from the same start."""
    PAUSE = "pause"
    """Carry out and record nothing for now; asked again one period later."""
    QUIT = "quit"


@dataclass(frozen=True)
class Command:
    """An operator's answer to an observation."""

    action: Action
    event: Event | None = None
    control: Control = Control.DEVICE
    """Whose action it is."""
    success: bool | None = None
    """With KEEP: the operator's word, which goes before the task's verdict; None has none."""
    note: str = ""
    """With KEEP: what the operator wants to be remembered of the episode."""


@runtime_checkable
class Operator(Protocol):
    """Someone who drives: a script, a person behind a device, or a policy."""

    def start(self, observation: Observation, seed: int) -> None:
        """A new episode begins with `observation`."""
        ...

    def act(self, observation: Observation) -> Command:
        """The next action, and possibly a wish."""
        ...


@runtime_checkable
class AttentiveOperator(Operator, Protocol):
    """An operator that wants to know what the robot was really told."""

    def sent(self, action: Action) -> None:
        """Its last action as it was sent, after all limits."""
        ...
