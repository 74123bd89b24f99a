"""A gripper behind the action `gripper_action`, as franka_gripper and ros2_control have it.

Source: franka_gripper's action server, https://github.com/frankarobotics/franka_ros2: position is
half the opening; a goal that closes is a grasp, and one with something between the fingers that is
not as wide as asked for is aborted although it holds.
"""

from __future__ import annotations

import time
from dataclasses import replace
from typing import Any

from action_msgs.msg import GoalStatus
from rclpy.node import Node

from df_policy.errors import DfPolicyError
from df_policy.hardware.arm import HandState
from df_policy.hardware.hand_goals import HandGoal, HandGoals, HandSettings
from df_policy.hardware.patience import once_well
from df_policy.robot import RobotSpec
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.controller_link import LOOK_S, ControllerLink, Controllers, Heard

_ACTION = "gripper_action"
_MOST_M = 0.079
"""The action refuses more than the hand measured at its homing: 80 mm, or a little less."""
_LONGEST_S = 5.0
"""A goal without a result for so long is given up."""
_FINGER_M = 0.002
"""Fingers that stay farther apart than asked for by this have something between them."""


class Ros2ControlHand:
    """See `df_policy.hardware.arm.HandDriver`.

    Args:
        controllers: where the gripper is.
        spec: the robot.
        settings: how it is to behave.
        beside: the node that drives; None where nothing is driven.
    """

    def __init__(
        self,
        controllers: Controllers,
        spec: RobotSpec,
        settings: HandSettings,
        beside: Node | None = None,
    ) -> None:
        self._controllers, self._spec = controllers, spec
        self._settings, self._beside = settings, beside
        self._goals = HandGoals(settings)
        self._link: ControllerLink | None = None
        self._silent = self._fault = ""
        self._holds, self._opening_m = False, 0.0
        self._number = 0
        self._since_s: float | None = None  # while a goal is under way
        self._handle: Any = None

    def connect(self) -> HandState:
        """Find the gripper; see the protocol."""
        action = _action()
        from rclpy.action.client import ActionClient

        link = ControllerLink("hand_driver", self._controllers.namespace, self._beside)
        self._link = link
        gripper = self._controllers.gripper
        name = f"{gripper}/{_ACTION}"
        self._name = link.node.resolve_topic_name(name)
        fingers = replace(topics.JOINT_STATES, name=f"{gripper}/{topics.JOINT_STATES.name}")
        self._fingers = Heard(link.node, fingers, convert.finger_names(self._spec))
        self._client: Any = ActionClient(link.node, action, name)
        self._message = action.Goal
        link.listen(self._look)
        try:
            self._opening_m = once_well(self._measure, self._controllers.patience_s, LOOK_S)
            once_well(self._need_a_server, self._controllers.patience_s, LOOK_S)
        except DfPolicyError:
            self.close()
            raise
        return self.read()

    def read(self) -> HandState:
        """What it said last; see the protocol."""
        return HandState(self._opening_m, self._holds, self._silent or self._fault)

    def want(self, opening_m: float) -> None:
        """The opening that it shall take; see the protocol."""
        self._goals.want(opening_m)

    def recover(self) -> None:
        """Try again what failed; see the protocol."""
        self._fault = ""
        self._goals.forget()

    def close(self) -> None:
        """Let go of it; see the protocol."""
        link, self._link = self._link, None
        if link is not None:
            link.stop()
            self._client.destroy()
            link.close()

    def _measure(self) -> float:
        return convert.opening_from(
            self._fingers.ask(4.0 * self._controllers.silence_s), self._spec
        )

    def _need_a_server(self) -> None:
        if not self._client.server_is_ready():
            raise DfPolicyError(
                f"expected the action {self._name}, got no server of it; start the gripper's node"
            )

    def _look(self) -> None:
        """Every 20 ms, in the link's thread, as all below."""
        try:
            self._opening_m = self._measure()
            self._need_a_server()
        except DfPolicyError as error:
            self._silent = str(error)
            return
        self._silent = ""
        if self._since_s is not None and time.monotonic() - self._since_s > _LONGEST_S:
            self._end(self._number, f"expected {self._name} to end a goal, got no result")
        if not self._goals.due():
            return
        if self._since_s is None:
            self._begin()
        elif self._handle is not None:  # nobody wants any more what is under way
            self._handle.cancel_goal_async()
            self._handle = None

    def _begin(self) -> None:
        goal = self._goals.begin()
        if goal is None:
            return
        self._number += 1
        number, self._since_s, self._holds = self._number, time.monotonic(), False
        message = self._message()
        message.command.position = min(goal.opening_m, _MOST_M) / 2
        message.command.max_effort = self._settings.force_n
        sent = self._client.send_goal_async(message)
        sent.add_done_callback(lambda future: self._on_answer(number, goal, future))

    def _on_answer(self, number: int, goal: HandGoal, future: Any) -> None:
        handle = future.result()
        if not handle.accepted:
            self._end(number, f"expected {self._name} to take a goal, got it rejected")
            return
        if number == self._number and self._since_s is not None:
            self._handle = handle
        result = handle.get_result_async()
        result.add_done_callback(lambda done: self._on_result(number, goal, done))

    def _on_result(self, number: int, goal: HandGoal, future: Any) -> None:
        status = future.result().status
        if status == GoalStatus.STATUS_CANCELED:
            self._end(number, self._fault)
            return
        apart = self._opening_m > goal.opening_m + _FINGER_M
        if status == GoalStatus.STATUS_SUCCEEDED or (goal.grasp and apart):
            self._end(number, "", holds=goal.grasp and apart)
            return
        wanted, got = 1e3 * goal.opening_m, 1e3 * self._opening_m
        self._end(number, f"expected the fingers {wanted:.0f} mm apart, got them {got:.0f} mm")

    def _end(self, number: int, fault: str, *, holds: bool = False) -> None:
        """The goal of this number is over, perhaps later than expected.

        Of an older one nobody wants to know.
        """
        if number != self._number:
            return
        self._since_s = self._handle = None
        self._fault, self._holds = fault, holds


def _action() -> Any:
    """The type of the action.

    Raises:
        DfPolicyError: if its package is not installed.
    """
    try:
        from control_msgs.action import GripperCommand
    except ImportError as error:
        raise DfPolicyError(
            f"expected control_msgs for the gripper's action, got: {error}; no wheel has it: "
            "source a ROS 2 with ros-$ROS_DISTRO-control-msgs"
        ) from error
    return GripperCommand
