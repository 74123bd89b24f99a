"""A leader arm on ROS 2: its hand's pose, or its joints, from whatever publishes them."""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable

import numpy as np
import rclpy
from geometry_msgs.msg import PoseStamped
from jaxtyping import Float64
from rclpy.context import Context
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.qos import qos_profile_sensor_data
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from df_policy.geometry import Pose
from df_policy.robot import RobotSpec
from df_policy.ros_nodes import convert
from df_policy.teleop.reading import Lead

POSE, JOINTS, GRIPPER = "leader/pose", "leader/joint_states", "leader/gripper"
"""Topics, to be remapped by whoever publishes: a pose or joints, and an opening [m] if any."""

GRIPPER_JOINT = "gripper"
"""In the joints: an opening [m]. The follower's own fingers, each half of it, are known too."""

Forward = Callable[[Float64[np.ndarray, "n"]], Pose]
"""From joint positions [rad] to the pose of the hand."""


class RosLeader:
    """Listens to the three topics; see `df_policy.teleop.leader.LeadSource`.

    Messages that cannot be used are skipped.

    Args:
        spec: of the follower, which the leader's joints are named like.
        forward: turns joints into a pose; the follower's, if the leader is built like it.
    """

    def __init__(self, spec: RobotSpec, forward: Forward) -> None:
        self._names, self._forward = spec.joint_names, forward
        self._openings = ((GRIPPER_JOINT,), convert.finger_names(spec))
        self._lock = threading.Lock()
        self._newest: tuple[Lead, float] | None = None
        self._gripper_m: float | None = None
        self._context: Context | None = None
        self.bad = 0
        """Messages that could not be used."""

    def open(self) -> None:
        """Join the ROS 2 network with a node of its own."""
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("recorder_leader", context=self._context)
        profile = qos_profile_sensor_data
        self._node.create_subscription(PoseStamped, POSE, self._pose, profile)
        self._node.create_subscription(JointState, JOINTS, self._joints, profile)
        self._node.create_subscription(Float64MultiArray, GRIPPER, self._opening, profile)
        self._executor = SingleThreadedExecutor(context=self._context)
        self._executor.add_node(self._node)
        self._thread = threading.Thread(target=self._spin, name="leader", daemon=True)
        self._thread.start()

    def newest(self) -> tuple[Lead, float] | None:
        """The newest lead and when it came."""
        with self._lock:
            return self._newest

    def close(self) -> None:
        """Leave the network."""
        context, self._context = self._context, None
        if context is None:
            return
        self._executor.shutdown(timeout_sec=1.0)
        context.try_shutdown()
        self._thread.join(2.0)
        self._node.destroy_node()

    def _spin(self) -> None:
        with contextlib.suppress(ExternalShutdownException):
            self._executor.spin()

    def _pose(self, message: PoseStamped) -> None:
        try:
            _, pose = convert.pose_from(message, frame=None)  # that of the leader's own base
        except convert.BadMessageError:
            self.bad += 1
            return
        self._lead(pose)

    def _joints(self, message: JointState) -> None:
        at = dict(zip(message.name, message.position, strict=False))
        positions = np.array([at.get(name, np.nan) for name in self._names])
        if not np.isfinite(positions).all():
            self.bad += 1
            return
        for names in self._openings:
            opening = sum(at.get(name, np.nan) for name in names)
            if np.isfinite(opening):
                self._gripper_m = float(opening)
        self._lead(self._forward(positions))

    def _opening(self, message: Float64MultiArray) -> None:
        try:
            self._gripper_m = convert.gripper_from(message)
        except convert.BadMessageError:
            self.bad += 1

    def _lead(self, pose: Pose) -> None:
        with self._lock:
            self._newest = (Lead(pose, self._gripper_m), time.monotonic())
