"""How fast targets move: an arm that is told where to be and how fast follows without a lag."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy.spatial.transform import Rotation

from df_policy.geometry import Pose, Vector

_LONGEST_S = 0.1
"""Two targets farther apart in time tell nothing of a speed."""


@dataclass(frozen=True)
class MovingTarget:
    """Where the tool shall be, and how it shall move then, in the frame of the base."""

    pose: Pose
    linear_m_s: Vector
    angular_rad_s: Vector

    @classmethod
    def at_rest(cls, pose: Pose) -> MovingTarget:
        """A target that stands still."""
        return cls(pose, np.zeros(3), np.zeros(3))

    def after(self, seconds: float) -> MovingTarget:
        """Where it is so much later if it goes on as it does."""
        turn = Rotation.from_rotvec(seconds * self.angular_rad_s)
        quat = (turn * Rotation.from_quat(self.pose.quat_xyzw)).as_quat()
        position = self.pose.position_m + seconds * self.linear_m_s
        return MovingTarget(Pose.of(position, quat), self.linear_m_s, self.angular_rad_s)


class FeedForward:
    """Tells each target's speed from the one before."""

    def __init__(self) -> None:
        self._last: tuple[int, Pose] | None = None

    def clear(self) -> None:
        """The next target has nothing to do with those before."""
        self._last = None

    def move(self, stamp_ns: int, target: Pose) -> MovingTarget:
        """The target with its speed; without one before it, at rest.

        Args:
            stamp_ns: when the target is to be reached.
            target: where the tool shall be.
        """
        last, self._last = self._last, (stamp_ns, target)
        if last is None:
            return MovingTarget.at_rest(target)
        passed_s = 1e-9 * (stamp_ns - last[0])
        if not 0.0 < passed_s <= _LONGEST_S:
            return MovingTarget.at_rest(target)
        here, there = (Rotation.from_quat(pose.quat_xyzw) for pose in (last[1], target))
        linear = (target.position_m - last[1].position_m) / passed_s
        return MovingTarget(target, linear, (there * here.inv()).as_rotvec() / passed_s)
