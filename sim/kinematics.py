"""From poses of the tool to positions of the joints, one control tick after another."""

from __future__ import annotations

from functools import cache

import mink
import mujoco
import numpy as np
from jaxtyping import Float64

from df_policy.geometry import Pose
from df_policy.sim.scene import ARM_JOINTS, TOOL_SITE, arm_model

Joints = Float64[np.ndarray, "7"]

_REST_RAD: Joints = np.array([0.0, -0.785, 0.0, -2.356, 0.0, 1.571, 0.785])
_MAX_SPEED_RAD_S = (2.0, 2.0, 2.0, 2.0, 2.6, 2.6, 2.6)
"""Below the robot's own limits, so that an unreachable target makes no wild motion."""
_POSTURE_COST = 0.02
"""Small beside the tool's cost of 1: it moves the elbow, hardly the tool."""
_DAMPING = 1e-6
_ROUNDS = 2
_CLOSE_ENOUGH = 1e-4
"""Of the tool's error, in metres and radians."""


class Tracker:
    """Follows targets of the tool with the joints, inside their ranges and speeds.

    It integrates its own solutions and does not look at the robot: what comes out is as smooth as
    what goes in.
    """

    def __init__(self, dt_s: float) -> None:
        """Starts in a comfortable posture with the gripper down.

        Args:
            dt_s: time between two targets.
        """
        model = arm_model()
        self._dt_s = dt_s / _ROUNDS
        self._low, self._high = model.jnt_range[:, 0].copy(), model.jnt_range[:, 1].copy()
        self._configuration = mink.Configuration(model, _REST_RAD)
        self._tool = mink.FrameTask(
            TOOL_SITE, "site", position_cost=1.0, orientation_cost=0.5, lm_damping=1e-3
        )
        self._posture = mink.PostureTask(model, cost=_POSTURE_COST, gain=0.05)
        self._posture.set_target(_REST_RAD)
        self._limits = [
            mink.ConfigurationLimit(model),
            mink.VelocityLimit(model, dict(zip(ARM_JOINTS, _MAX_SPEED_RAD_S, strict=True))),
        ]

    @property
    def q_rad(self) -> Joints:
        """The joints' present targets."""
        return np.array(self._configuration.q, dtype=np.float64)

    @property
    def tool(self) -> Pose:
        """Where the tool is at the joints' present targets."""
        found = self._configuration.get_transform_frame_to_world(TOOL_SITE, "site").wxyz_xyz
        return Pose.of(found[4:], found[[1, 2, 3, 0]])

    def place(self, q_rad: Joints) -> None:
        """Go on from these joint positions."""
        self._configuration.update(np.clip(q_rad, self._low, self._high))

    def solve(self, target: Pose) -> Joints:
        """The joint positions for `target`, however far away, from the comfortable posture."""
        self.place(_REST_RAD)
        for _ in range(500):
            self.track(target)
        return self.q_rad

    def track(self, target: Pose) -> Joints:
        """The joints' targets at the end of one tick that ends at `target`.

        A target out of reach is approached as far as ranges and speeds allow; one that is not
        finite leaves the joints where they are.
        """
        if not (np.isfinite(target.position_m).all() and np.isfinite(target.quat_xyzw).all()):
            return self.q_rad
        x, y, z, w = target.quat_xyzw
        self._tool.set_target(mink.SE3(np.array([w, x, y, z, *target.position_m])))
        for _ in range(_ROUNDS):
            if not self._step():
                break
        return self.q_rad

    def _step(self) -> bool:
        """One linearised solution; False if it changed nothing worth another."""
        try:
            velocity = mink.solve_ik(
                self._configuration,
                [self._tool, self._posture],
                self._dt_s,
                solver="daqp",
                damping=_DAMPING,
                limits=self._limits,
            )
        except mink.NoSolutionFound:
            return False
        q = self._configuration.q + velocity * self._dt_s
        self.place(q)
        return bool(np.abs(self._tool.compute_error(self._configuration)).max() > _CLOSE_ENOUGH)


def forward(q_rad: Joints) -> Pose:
    """Where the tool is at these joint positions."""
    tracker = _forward_tracker()
    tracker.place(q_rad)
    return tracker.tool


@cache
def _forward_tracker() -> Tracker:
    return Tracker(1.0)


def tool_pose(data: mujoco.MjData) -> Pose:
    """The pose of the tool's site; MuJoCo's quaternions are wxyz, ours xyzw."""
    site = data.site(TOOL_SITE)
    quat = np.empty(4)
    mujoco.mju_mat2Quat(quat, site.xmat)
    return Pose.of(site.xpos.copy(), quat[[1, 2, 3, 0]])
