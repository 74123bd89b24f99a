"""A leader arm on ROS 2: real messages from a real publisher, and the silence after them."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from geometry_msgs.msg import PoseStamped
from rclpy.context import Context
from sensor_msgs.msg import JointState
from std_msgs.msg import Float64MultiArray

from df_policy.geometry import Pose
from df_policy.robot import RobotSpec
from df_policy.ros_nodes import convert
from df_policy.ros_nodes.leader import GRIPPER, JOINTS, POSE, RosLeader
from df_policy.sim.kinematics import Tracker, forward
from df_policy.sim.scene import ARM_JOINTS
from df_policy.teleop.leader import Leader
from df_policy.teleop.listener import Listener
from df_policy.teleop.reading import Lead, Reading

pytestmark = pytest.mark.ros

SPEC = RobotSpec("fr3", ARM_JOINTS, {})
THERE = Pose.of([0.5, 0.1, 0.3], [1.0, 0.0, 0.0, 0.0])


class Arm:
    """Publishes what a leader says."""

    def __init__(self) -> None:
        self._context = Context()
        rclpy.init(context=self._context)
        self._node = rclpy.create_node("test_leader", context=self._context)
        kinds = {POSE: PoseStamped, JOINTS: JointState, GRIPPER: Float64MultiArray}
        self._on = {name: self._node.create_publisher(t, name, 5) for name, t in kinds.items()}

    def say(self, topic: str, message: Any) -> None:
        self._on[topic].publish(message)

    def close(self) -> None:
        self._node.destroy_node()
        self._context.try_shutdown()


@pytest.fixture
def arm(monkeypatch: pytest.MonkeyPatch) -> Iterator[Arm]:
    monkeypatch.setenv("ROS_DOMAIN_ID", str(100 + time.time_ns() % 100))
    made = Arm()
    yield made
    made.close()


def until(say: Callable[[], None], read: Callable[[], Reading], found: Callable) -> Reading:
    end = time.monotonic() + 20.0
    while not found(reading := read()):
        assert time.monotonic() < end, reading
        say()
        time.sleep(0.02)
    return reading


def is_lead(reading: Reading) -> bool:
    return isinstance(reading.motion, Lead)


def joints_of(pose: Pose) -> np.ndarray:
    return Tracker(0.1).solve(pose)


def test_poses_lead_until_they_stop(arm: Arm) -> None:
    with Listener(Leader(RosLeader(SPEC, forward))) as listener:
        assert "nothing heard" in until(lambda: None, listener.read, lambda r: r.problem).problem
        message = convert.pose_message(1, THERE)
        reading = until(lambda: arm.say(POSE, message), listener.read, is_lead)
        assert np.allclose(reading.motion.tool.position_m, THERE.position_m)
        assert reading.motion.gripper_m is None
        silent = until(lambda: None, listener.read, lambda r: r.problem)
        assert silent.motion is None, "the last pose is no motion"
        opening = convert.gripper_message(0.03)

        def both() -> None:
            arm.say(GRIPPER, opening)
            arm.say(POSE, message)

        until(both, listener.read, lambda r: is_lead(r) and r.motion.gripper_m == 0.03)


def test_joints_lead_through_the_followers_own_kinematics(arm: Arm) -> None:
    q = joints_of(THERE)
    message = JointState()
    message.name = [*reversed(ARM_JOINTS), *convert.finger_names(SPEC)]
    message.position = [*q[::-1].tolist(), 0.01, 0.01]
    with Listener(Leader(RosLeader(SPEC, forward))) as listener:
        reading = until(lambda: arm.say(JOINTS, message), listener.read, is_lead)
    assert np.allclose(reading.motion.tool.position_m, THERE.position_m, atol=1e-3)
    assert reading.motion.tool.angle_to(THERE) < 0.01
    assert reading.motion.gripper_m == pytest.approx(0.02)


def test_messages_that_cannot_be_used_are_skipped(arm: Arm) -> None:
    source = RosLeader(SPEC, forward)
    broken = convert.pose_message(1, THERE)
    broken.pose.orientation.w = broken.pose.orientation.x = 0.0
    few = JointState(name=list(ARM_JOINTS[:3]), position=[0.0] * 3)
    with Listener(Leader(source)) as listener:
        end = time.monotonic() + 20.0
        while source.bad < 4:
            assert time.monotonic() < end
            arm.say(POSE, broken)
            arm.say(JOINTS, few)
            time.sleep(0.02)
        assert listener.read().motion is None
