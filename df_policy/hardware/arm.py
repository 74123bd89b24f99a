"""What a driver of an arm does, whatever library it speaks through."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from df_policy.errors import DfPolicyError
from df_policy.geometry import Pose
from df_policy.hardware.feed_forward import MovingTarget

_STOPPED = {
    "reflex": "the robot stopped in a reflex",
    "user_stopped": "the user stop is pressed: pull it out, the base shines blue or green then",
    "guiding": "somebody guides the arm by hand: let go of the grips",
    "other": "the robot is locked or starting: unlock the joints and activate FCI in Desk",
}
BY_HAND = ("user_stopped", "guiding", "other")
"""Modes that only a person at the robot can end."""


def why_stopped(mode: str, errors: Sequence[str]) -> str:
    """Why a Franka robot does not move although it is told to; empty if it would.

    Args:
        mode: as the robot calls it, in lower case.
        errors: that it reports.
    """
    fault = _STOPPED.get(mode, "the robot has an error" if errors else "")
    return f"{fault}: {', '.join(errors)}" if fault and errors else fault


class LostRobotError(DfPolicyError):
    """The robot does not answer any more."""


@dataclass(frozen=True)
class ArmState:
    """What an arm says of itself."""

    robot_ns: int
    """By the robot's own clock."""
    q_rad: Float64[np.ndarray, "n"]
    dq_rad_s: Float64[np.ndarray, "n"]
    tool: Pose
    """The point between the finger tips, in the frame of the base."""
    desired: Pose
    """Where the robot's controller wants the tool; what it lags behind is its own affair."""
    mode: str
    """As the robot calls it, in lower case: idle, move, reflex, user_stopped, ..."""
    fault: str = ""
    """Why it does not move, although it is told to; empty if it would."""
    received: float = 1.0
    """Share of commands that reached the robot in time, of the last 100; 1 while none is sent."""
    restarts: int = 0
    """How often the arm had to stop and go on because its driver found no motion for a moment."""


@runtime_checkable
class ArmDriver(Protocol):
    """An arm. No method but `connect`, `recover` and `home` takes longer than a few ms."""

    def connect(self) -> ArmState:
        """Reach the robot and set it up.

        Raises:
            DfPolicyError: if it cannot be reached or does not take the settings.
        """
        ...

    def read(self) -> ArmState:
        """What it says now.

        Raises:
            LostRobotError: if it does not answer.
        """
        ...

    def follow(self, target: MovingTarget, state: ArmState) -> None:
        """Be at the target soon and move as it does, without a jerk; returns at once.

        Told no more, the arm comes to a stop by itself within a quarter of a second.

        Args:
            target: where to be.
            state: what was read last.

        Raises:
            DfPolicyError: if the robot refuses, or stopped by itself since the last call.
        """
        ...

    def halt(self) -> None:
        """Come to a stop, without a jerk; returns at once."""
        ...

    def home(self, q_rad: Float64[np.ndarray, "n"]) -> None:
        """Begin to go to a posture, slowly; returns at once.

        Raises:
            DfPolicyError: if the robot refuses.
        """
        ...

    def recover(self) -> ArmState:
        """Leave a fault, or reach a robot again that was lost; nothing moves by this.

        Raises:
            DfPolicyError: if the fault stays, saying what to do.
        """
        ...

    def close(self) -> None:
        """Come to a stop and let go of the robot."""
        ...


@dataclass(frozen=True)
class HandState:
    """What a gripper says of itself."""

    opening_m: float
    holds: bool
    """Whether its last grasp ended on something."""
    fault: str = ""
    hand_ns: int = 0
    """When it was so, by the hand's own clock; 0 where it tells no times."""


@runtime_checkable
class HandDriver(Protocol):
    """A gripper. No method blocks but `connect`."""

    def connect(self) -> HandState:
        """Reach the gripper.

        Raises:
            DfPolicyError: if it cannot be reached.
        """
        ...

    def read(self) -> HandState:
        """What it said last."""
        ...

    def want(self, opening_m: float) -> None:
        """The opening that it shall take; the newest counts."""
        ...

    def recover(self) -> None:
        """Try again what failed."""
        ...

    def close(self) -> None:
        """Let go of it; it stays as it is."""
        ...
