"""From what a hand does to the next target of the tool: pure, with no device in it.

Axes are those of REP 103: x forward, y left, z up, turns right-handed. In the frame `base` they
are the robot's; in the frame `tool` they are those of the tool as it stands.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from df_policy.errors import DfPolicyError
from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.robot import RobotSpec
from df_policy.teleop.reading import Lead, Stick, Three

FrameName = Literal["base", "tool"]


@dataclass(frozen=True)
class Handling:
    """How strongly the robot answers."""

    frame: FrameName = "base"
    """Whose axes a stick's are."""
    speed_m_s: float = 0.25
    """At full deflection."""
    turn_rad_s: float = 1.2
    gripper_m_s: float = 0.12
    dead_band: float = 0.1
    """Deflections up to here are none; beyond, the answer begins at nothing."""
    fineness: float = 1.6
    """Exponent: above 1, small deflections move finely."""
    lead_scale: float = 1.0
    """Metres of the robot for a metre of a leader's hand."""

    def __post_init__(self) -> None:
        """Raises DfPolicyError if a number makes no sense."""
        positive = ("speed_m_s", "turn_rad_s", "gripper_m_s", "fineness", "lead_scale")
        for name in positive:
            if not 0.0 < getattr(self, name) < math.inf:
                raise DfPolicyError(f"expected {name} above 0, got {getattr(self, name)}")
        if not 0.0 <= self.dead_band < 1.0:
            raise DfPolicyError(
                f"expected a dead_band from 0 to below 1, got {self.dead_band}; 0.1 is usual"
            )


def centred(value: float, dead_band: float, fineness: float) -> float:
    """One axis: clamped to [-1, 1], nothing inside the dead band, continuous at its edge.

    What is not a number is no deflection.
    """
    if not math.isfinite(value):
        return 0.0
    depth = (min(abs(value), 1.0) - dead_band) / (1.0 - dead_band)
    return math.copysign(depth**fineness, value) if depth > 0.0 else 0.0


def _felt(axes: Three, handling: Handling) -> Float64[np.ndarray, "3"]:
    """Three axes together: a diagonal push is no faster than a straight one."""
    felt = np.array([centred(axis, handling.dead_band, handling.fineness) for axis in axes])
    return felt / max(1.0, float(np.linalg.norm(felt)))


def is_pushed(stick: Stick, dead_band: float) -> bool:
    """Whether any axis is beyond the dead band."""
    axes = (*stick.linear, *stick.angular, stick.gripper)
    return any(centred(axis, dead_band, 1.0) != 0.0 for axis in axes)


def push(target: Action, stick: Stick, handling: Handling, period_s: float) -> Action:
    """The target one period later; exactly the same one where nothing is pushed.

    Args:
        target: the last one sent.
        stick: what the hand does.
        handling: how strongly.
        period_s: between two targets.
    """
    shift = _felt(stick.linear, handling) * handling.speed_m_s * period_s
    turn = Rotation.from_rotvec(_felt(stick.angular, handling) * handling.turn_rad_s * period_s)
    now = Rotation.from_quat(target.tool.quat_xyzw)
    if handling.frame == "tool":
        shift, turned = now.apply(shift), now * turn
    else:
        turned = turn * now
    opening = centred(stick.gripper, handling.dead_band, 1.0) * handling.gripper_m_s * period_s
    quat = turned.as_quat() if np.any(turn.as_rotvec()) else target.tool.quat_xyzw
    return Action(Pose.of(target.tool.position_m + shift, quat), target.gripper_m + opening)


@dataclass(frozen=True)
class Grip:
    """Where both hands were when the follower took hold of the leader's movement."""

    leader: Pose
    follower: Pose

    def follow(self, lead: Lead, last: Action, scale: float) -> Action:
        """The follower's target: it has moved from its place as the leader has from its own.

        Args:
            lead: the leader's hand now.
            last: the follower's last target, whose opening stays if the leader has no gripper.
            scale: of lengths; turns are as large as the leader's.
        """
        shift = scale * (lead.tool.position_m - self.leader.position_m)
        began = Rotation.from_quat(self.leader.quat_xyzw)
        turn = Rotation.from_quat(lead.tool.quat_xyzw) * began.inv()
        turned = turn * Rotation.from_quat(self.follower.quat_xyzw)
        gripper = last.gripper_m if lead.gripper_m is None else lead.gripper_m
        return Action(Pose.of(self.follower.position_m + shift, turned.as_quat()), gripper)


class Hand:
    """Turns readings into targets that keep the robot's limits."""

    def __init__(self, spec: RobotSpec, handling: Handling) -> None:
        self._spec, self._handling = spec, handling
        self._period_s = 1e-9 * spec.period_ns
        self._grip: Grip | None = None

    def let_go(self) -> None:
        """A leader's movement counts anew from where it is next."""
        self._grip = None

    def target(self, motion: Stick | Lead | None, last: Action) -> Action:
        """What to reach one period after `last`, within the limits; `last` without a motion.

        Args:
            motion: of the device.
            last: the target that was sent before.
        """
        if motion is None:
            self.let_go()
            return last
        if isinstance(motion, Stick):
            wanted = push(last, motion, self._handling, self._period_s)
        else:
            self._grip = self._grip or Grip(motion.tool, last.tool)
            wanted = self._grip.follow(motion, last, self._handling.lead_scale)
        return self._spec.limit(wanted, last, self._period_s)

    def is_pushed(self, motion: Stick | Lead | None) -> bool:
        """Whether a person pushes a stick; a leader's hand tells nothing by where it is."""
        return isinstance(motion, Stick) and is_pushed(motion, self._handling.dead_band)
