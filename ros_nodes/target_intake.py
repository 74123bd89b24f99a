"""What a robot is told to do: targets as they come, those that are none left out and counted."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from df_policy.geometry import Pose
from df_policy.ros_nodes import convert, topics


class TargetIntake:
    """Hears the two command topics for a node that moves a robot, or records what it is told.

    Args:
        node: who listens.
        on_pose: takes a tool target: its stamp [ns] and the pose.
        on_gripper: takes an opening [m].
        depth: messages of each that may wait, if not as many as the table says.
    """

    def __init__(
        self,
        node: Node,
        on_pose: Callable[[int, Pose], None],
        on_gripper: Callable[[float], None],
        depth: int = 0,
    ) -> None:
        self._node, self._pose, self._gripper = node, on_pose, on_gripper
        self.bad = 0
        """Messages that were none."""
        topics.subscribe(node, topics.TARGET_GRIPPER, self._on_gripper, depth=depth)
        topics.subscribe(node, topics.TARGET_POSE, self._on_pose, depth=depth)

    def _on_pose(self, message: Any) -> None:
        try:
            self._pose(*convert.pose_from(message))
        except convert.BadMessageError as error:
            self._refuse(topics.TARGET_POSE, error)

    def _on_gripper(self, message: Any) -> None:
        try:
            self._gripper(convert.gripper_from(message))
        except convert.BadMessageError as error:
            self._refuse(topics.TARGET_GRIPPER, error)

    def _refuse(self, topic: topics.Topic, error: convert.BadMessageError) -> None:
        self.bad += 1
        self._node.get_logger().warning(
            f"{topic.name}: target skipped: {error}", throttle_duration_sec=2.0
        )
