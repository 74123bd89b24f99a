"""franka_node between a policy's topics and controllers of ros2_control, over real ROS."""

import sys
import time
from dataclasses import replace

import numpy as np
import pytest

pytest.importorskip("rclpy")

import control_messages
from rclpy.node import Node
from ros_bench import Ros

from df_policy.errors import DfPolicyError
from df_policy.geometry import Pose
from df_policy.hardware.arm import ArmDriver, HandDriver, LostRobotError
from df_policy.hardware.feed_forward import MovingTarget
from df_policy.hardware.hand_goals import HandSettings
from df_policy.robot import RobotSpec
from df_policy.ros_nodes import controller_link, convert, hardware_topics, topics
from df_policy.ros_nodes.controller_link import Controllers
from df_policy.ros_nodes.franka_node import FrankaNode
from df_policy.ros_nodes.ros2_control_arm import Ros2ControlArm
from df_policy.ros_nodes.ros2_control_hand import Ros2ControlHand

pytestmark = [pytest.mark.ros, pytest.mark.slow]
SPEC = RobotSpec("fr3", tuple(f"fr3_joint{number}" for number in range(1, 8)), {})
WHERE = Controllers("/arm", patience_s=30.0, silence_s=2.0)


@pytest.fixture(scope="module")
def action(tmp_path_factory):
    """control_msgs, built if need be."""
    if why := control_messages.why_not():
        pytest.skip(why)
    control_messages.provide(tmp_path_factory.mktemp("messages"))


@pytest.fixture
def ros():
    bench = Ros()
    yield bench
    bench.close()


@pytest.fixture
def side(ros, action):
    """The controllers' side."""
    from ros2_controllers import Controllers as Side

    running = Side(ros.context)
    yield running
    running.close()


class Policy(Node):
    """Sends targets, hears what the driver's node says."""

    def __init__(self, **overrides):
        super().__init__("policy", **overrides)
        self.poses, self.reports = [], []
        topics.subscribe(self, topics.CURRENT_POSE, self.poses.append)
        topics.subscribe(self, topics.DIAGNOSTICS, self.reports.append)
        self.pose_out = topics.publisher(self, topics.TARGET_POSE)
        self.gripper_out = topics.publisher(self, topics.TARGET_GRIPPER)
        self.target, self.opening = None, 0.08
        self.create_timer(0.02, self.send)

    def send(self):
        if self.target is None:
            return
        now = self.get_clock().now().nanoseconds
        pose = Pose.of(self.target, [1.0, 0.0, 0.0, 0.0])
        self.gripper_out.publish(convert.gripper_message(self.opening))
        self.pose_out.publish(convert.pose_message(now, pose))

    @property
    def says(self):
        found = [convert.diagnostics_from(report) for report in self.reports]
        found = [one["franka_node"] for one in found if "franka_node" in one]
        return found[-1] if found else ("", {})


def test_targets_reach_the_controller_through_the_gate_and_what_fails_is_said(
    ros, side, monkeypatch
):
    # The machine may be busy: only what is silent for longer is meant to be.
    patient = lambda *where: replace(Controllers(*where), silence_s=5.0)  # noqa: E731
    monkeypatch.setattr(controller_link, "Controllers", patient)
    policy = ros.add(Policy)
    given = {"driver": "ros2_control", "controllers": "/arm", "wait_s": 30.0, "silence_s": 1.0}
    ros.add(FrankaNode, **given)
    ros.spin_until(lambda: policy.poses)
    ros.spin_for(1.2)  # nobody sent anything
    # A target that moves on is followed.
    start = convert.pose_from(policy.poses[-1])[1].position_m
    for step in range(1, 11):
        policy.target = start + [0.0, 0.008 * step, 0.0]
        ros.spin_until(lambda goal=policy.target: np.linalg.norm(side.at - goal) < 0.02)
    # One that leaps is not, and the reason is said.
    policy.target = start + [0.0, -0.35, 0.0]
    ros.spin_until(lambda: "expected a target near" in policy.says[0])
    assert side.at[1] > 0.05
    policy.target = start + [0.0, 0.08, 0.0]
    ros.spin_until(lambda: policy.says[0] == "ok")
    # The fingers close on something, and a rejected goal is said.
    side.object_m, policy.opening = 0.046, 0.0
    ros.spin_until(lambda: policy.says[1].get("gripper_holds") == "True")
    side.rejects, policy.opening = True, 0.08
    ros.spin_until(lambda: "rejected" in policy.says[0])
    side.rejects = False
    # Controllers that fall silent stop everything until they are back and somebody says so.
    side.silent = True
    ros.spin_until(lambda: " every 5 s, got the last" in policy.says[1].get("stopped", ""))
    held, policy.target = len(side.targets), start
    ros.spin_for(0.5)
    assert len(side.targets) == held
    assert not ros.call(policy, hardware_topics.RECOVER).success
    side.silent, policy.target = False, None
    ros.spin_for(0.2)
    answer = ros.call(policy, hardware_topics.RECOVER)
    assert answer.success, answer.message
    assert "recovered from: expected /arm/" in answer.message
    ros.spin_until(lambda: side.width > 0.075)  # the rejected wish, tried again
    steps = np.linalg.norm(np.diff(side.targets, axis=0), axis=1)
    assert steps.max() < 0.1  # what leapt was the policy's alone


def wait_for(done, patience_s=60.0):
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


def test_the_hand_obeys_the_newest_wish_and_cancels_what_nobody_wants(ros, side):
    hand = Ros2ControlHand(WHERE, SPEC, HandSettings(), side)
    assert isinstance(hand, HandDriver)
    assert hand.connect().opening_m == pytest.approx(0.08)
    hand.want(0.0)
    wait_for(lambda: hand.read().opening_m < 0.06)
    hand.want(0.08)  # long before the fingers meet
    wait_for(lambda: hand.read().opening_m > 0.077)
    assert side.cancelled == 1
    assert hand.read().fault == ""
    assert side.goals[-1] <= 0.079 + 1e-9  # more would be refused
    side.object_m = 0.046
    hand.want(0.0)
    wait_for(lambda: hand.read().holds or hand.read().fault)
    assert (hand.read().holds, hand.read().fault) == (True, "")
    hand.close()
    service = "/arm/franka_gripper/gripper_action/_action/send_goal"
    wait_for(lambda: not side.count_clients(service))


def test_an_arm_is_not_driven_where_its_controller_would_not_hear_it_alone(ros, side):
    arm = Ros2ControlArm(WHERE, SPEC, ros.add(Node, "driver"))
    assert isinstance(arm, ArmDriver)
    here = arm.connect()
    still = MovingTarget.at_rest(here.tool)
    wait_for(lambda: arm._out.get_subscription_count() == 1)
    arm.follow(still, here)
    rival = side.create_publisher(*_target_type(), 1)
    wait_for(lambda: side.count_publishers("/arm/target_pose") == 2)
    with pytest.raises(DfPolicyError, match="no other sender on /arm/target_pose"):
        arm.follow(still, here)
    side.destroy_publisher(rival)
    wait_for(lambda: side.count_publishers("/arm/target_pose") == 1)
    assert arm.recover().mode == "controlled"
    for subscription in list(side.subscriptions):
        if subscription.topic_name == "/arm/target_pose":
            side.destroy_subscription(subscription)
    wait_for(lambda: arm._out.get_subscription_count() == 0)
    with pytest.raises(DfPolicyError, match="ros2 control switch_controllers"):
        arm.follow(still, here)
    with pytest.raises(DfPolicyError, match="posture"):
        arm.home(here.q_rad)
    arm.close()


def _target_type():
    return topics.TARGET_POSE.message, topics.TARGET_POSE.name


def test_controllers_that_are_not_there_or_in_the_way_are_said(ros):
    nowhere = Controllers("/nowhere", patience_s=0.0)
    with pytest.raises(LostRobotError, match=r"/nowhere/current_pose .* broadcaster active"):
        Ros2ControlArm(nowhere, SPEC, ros.add(Node, "driver")).connect()
    same = Controllers("/", patience_s=0.0)
    with pytest.raises(DfPolicyError, match="in another namespace"):
        Ros2ControlArm(same, SPEC, ros.add(Node, "other")).connect()


def test_without_control_msgs_one_line_says_where_it_is(ros, monkeypatch):
    monkeypatch.setitem(sys.modules, "control_msgs", None)
    monkeypatch.setitem(sys.modules, "control_msgs.action", None)
    hand = Ros2ControlHand(WHERE, SPEC, HandSettings(), ros.add(Node, "driver"))
    with pytest.raises(DfPolicyError, match=r"ros-\$ROS_DISTRO-control-msgs") as raised:
        hand.connect()
    assert "\n" not in str(raised.value)
