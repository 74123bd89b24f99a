"""An arm behind a Cartesian controller of ros2_control, as crisp_controllers has for Franka arms.

It follows `target_pose`, and says where it is on `current_pose` and `joint_states`. What reaches
it has passed the gate of `franka_node`, which asks this driver as it asks every other.

Source: topics and behaviour of crisp_controllers, https://github.com/utiasDSL/crisp_controllers
"""

from __future__ import annotations

import numpy as np
from jaxtyping import Float64
from rclpy.node import Node

from df_policy.errors import DfPolicyError
from df_policy.geometry import Pose
from df_policy.hardware.arm import ArmState, LostRobotError
from df_policy.hardware.feed_forward import MovingTarget
from df_policy.hardware.patience import once_well
from df_policy.robot import RobotSpec
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.controller_link import LOOK_S, ControllerLink, Controllers, Heard

_RECOVER_S = 1.0


class Ros2ControlArm:
    """See `df_policy.hardware.arm.ArmDriver`.

    Args:
        controllers: where they are.
        spec: the arm.
        beside: the node that drives; None where nothing is driven.
    """

    def __init__(
        self, controllers: Controllers, spec: RobotSpec, beside: Node | None = None
    ) -> None:
        self._controllers, self._spec, self._beside = controllers, spec, beside
        self._link: ControllerLink | None = None
        self._told: Pose | None = None

    def connect(self) -> ArmState:
        """Find the controllers; see the protocol."""
        self._link = ControllerLink("arm_driver", self._controllers.namespace, self._beside)
        try:
            self._listen(self._link)
            state: ArmState = once_well(self.read, self._controllers.patience_s, LOOK_S)
        except DfPolicyError:
            self.close()
            raise
        return state

    def _listen(self, link: ControllerLink) -> None:
        name = link.node.resolve_topic_name(topics.TARGET_POSE.name)
        if self._beside and name == self._beside.resolve_topic_name(topics.TARGET_POSE.name):
            raise DfPolicyError(
                "expected the controllers in another namespace than this node, got both on "
                f"{name}; give this graph one (namespace:=policy), or theirs (controllers:=/arm)"
            )
        self._name = name
        self._pose = Heard(link.node, topics.CURRENT_POSE)
        self._joints = Heard(link.node, topics.JOINT_STATES, self._spec.joint_names)
        self._out = topics.publisher(link.node, topics.TARGET_POSE)
        link.listen()

    def read(self) -> ArmState:
        """What the controllers said last; see the protocol."""
        if self._link is None:
            raise LostRobotError("expected controllers, got no connection to any yet")
        silence_s = self._controllers.silence_s
        stamp_ns, tool = convert.pose_from(self._pose.ask(silence_s), frame=None)
        _, q_rad, dq_rad_s = convert.arm_from(self._joints.ask(silence_s), self._spec)
        return ArmState(
            robot_ns=stamp_ns,
            q_rad=q_rad,
            dq_rad_s=dq_rad_s,
            tool=tool,
            desired=self._told or tool,
            mode="controlled",
        )

    def follow(self, target: MovingTarget, state: ArmState) -> None:
        """Tell the controller; see the protocol.

        It takes poses and no speeds: what it lags behind is made up for by targets that are
        carried on by as much (`ahead_s` of the node).
        """
        self._need_a_listener()
        self._told = target.pose
        self._say(target.pose)

    def halt(self) -> None:
        """Leave the arm at the last target, at which the gate has brought it to rest."""

    def home(self, q_rad: Float64[np.ndarray, "n"]) -> None:
        """Refuse: a Cartesian controller knows no postures; see the protocol."""
        raise DfPolicyError(
            "expected a driver that can go to a posture, got ros2_control, whose controller knows "
            "poses alone; move the arm with its own tools, then activate the controller again"
        )

    def recover(self) -> ArmState:
        """Look whether the controllers are there again; see the protocol."""
        state: ArmState = once_well(self.read, _RECOVER_S, LOOK_S)
        self._need_a_listener()
        self._told = None
        return state

    def close(self) -> None:
        """Vanish from the controllers' topics; see the protocol."""
        link, self._link = self._link, None
        if link is not None:
            link.close()

    def _say(self, pose: Pose) -> None:
        if self._link is not None:
            now_ns = self._link.node.get_clock().now().nanoseconds
            self._out.publish(convert.pose_message(now_ns, pose))

    def _need_a_listener(self) -> None:
        """Raises DfPolicyError unless one controller hears this driver, and nobody else."""
        if self._link is None:
            raise LostRobotError("expected controllers, got no connection to any yet")
        if self._out.get_subscription_count() == 0:
            raise DfPolicyError(
                f"expected a controller that listens on {self._name}, got none; activate one: "
                "ros2 control switch_controllers --activate cartesian_impedance_controller"
            )
        senders = self._link.node.count_publishers(self._name)
        if senders > 1:
            raise DfPolicyError(
                f"expected no other sender on {self._name}, got {senders - 1}: the controller "
                "obeys nobody then; end them"
            )
