"""From moving targets of the tool to positions and speeds of the joints, by the robot's Jacobian.

For robots that take commands for joints alone. Its own solutions are integrated, so that what
comes out is as smooth as what goes in.

Source: Whitney 1969, resolved motion rate control; damping as in Nakamura and Hanafusa 1986.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from df_policy.geometry import Pose
from df_policy.hardware.feed_forward import MovingTarget

Joints = Float64[np.ndarray, "n"]
Jacobian = Float64[np.ndarray, "6 n"]
_DAMPING = 0.02
_POSTURE_GAIN = 0.5
"""Share of its distance by which the posture comes nearer, in a second, to that of the start."""
_SPEED_SHARE = 0.85
"""Of the joints' largest speeds; beyond them the robot stops in a reflex."""
_APART_RAD = 0.2
"""Of a joint from where it shall be: no harder is an arm pressed against what blocks it."""
_LONGEST_S = 0.04
"""Between two steps: after more, it goes on from where the joints are."""


@dataclass(frozen=True)
class JointLimits:
    """What the joints can do."""

    low_rad: Joints
    high_rad: Joints
    speed_rad_s: Joints


class ResolvedRate:
    """Where the joints shall be, tick by tick.

    Args:
        limits: of the joints.
        gain: by how much of its distance from the target the tool comes nearer in a second.
    """

    def __init__(self, limits: JointLimits, gain: float) -> None:
        self._limits, self._gain = limits, gain
        self.clear()

    def clear(self) -> None:
        """The next step begins where the joints are."""
        self._q: Joints | None = None
        self._dq: Joints = np.zeros_like(self._limits.low_rad)
        self._rest = self._dq
        self._at_s = 0.0

    def desired(self, tool: Pose, q_rad: Joints, jacobian: Jacobian) -> Pose:
        """Where the tool is on its way to, as far as the joints have been told.

        Args:
            tool: where it is.
            q_rad: where the joints are.
            jacobian: of the tool, there.
        """
        if self._q is None:
            return tool
        ahead = jacobian @ (self._q - q_rad)
        turn = Rotation.from_rotvec(ahead[3:]) * Rotation.from_quat(tool.quat_xyzw)
        return Pose.of(tool.position_m + ahead[:3], turn.as_quat())

    def step(
        self, now_s: float, target: MovingTarget, tool: Pose, q_rad: Joints, jacobian: Jacobian
    ) -> tuple[Joints, Joints]:
        """Positions [rad] and speeds [rad/s] of the joints, from now on.

        Args:
            now_s: the time.
            target: where the tool shall be, and how it shall move.
            tool: where it is.
            q_rad: where the joints are.
            jacobian: of the tool, there.
        """
        passed_s, self._at_s = now_s - self._at_s, now_s
        limits = self._limits
        if self._q is None or not 0.0 <= passed_s <= _LONGEST_S:
            self._q, self._rest = q_rad, q_rad
        else:
            told = np.clip(self._q + passed_s * self._dq, limits.low_rad, limits.high_rad)
            self._q = np.clip(told, q_rad - _APART_RAD, q_rad + _APART_RAD)
        here = self.desired(tool, q_rad, jacobian)
        turn, goal = (Rotation.from_quat(pose.quat_xyzw) for pose in (here, target.pose))
        linear = target.linear_m_s + self._gain * (target.pose.position_m - here.position_m)
        angular = target.angular_rad_s + self._gain * (goal * turn.inv()).as_rotvec()
        inverse = _damped_inverse(jacobian)
        rest = _POSTURE_GAIN * (self._rest - self._q)
        speed = inverse @ np.concatenate([linear, angular])
        speed = speed + rest - inverse @ (jacobian @ rest)  # where the tool does not notice
        fastest = float(np.max(np.abs(speed) / (_SPEED_SHARE * limits.speed_rad_s)))
        self._dq = speed / max(1.0, fastest)
        return self._q, self._dq


def _damped_inverse(jacobian: Jacobian) -> Float64[np.ndarray, "n 6"]:
    """Moves the joints little where they could move the tool hardly at all."""
    square = jacobian @ jacobian.T + _DAMPING**2 * np.eye(6)
    inverse: Float64[np.ndarray, "n 6"] = np.linalg.solve(square, jacobian).T
    return inverse
