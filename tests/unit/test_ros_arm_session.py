"""When an arm obeys: streams that begin, cease, leap, and go on over a fault."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.errors import DfPolicyError
from df_policy.gate import Measured
from df_policy.geometry import Pose
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.arm_session import ArmSession
from df_policy.ros_nodes.franka_config import FrankaNodeConfig, drivers
from df_policy.ros_nodes.params import configure

SPEC = RobotSpec("arm", ("j1", "j2"), {})
TICK = 20_000_000
HOME = np.array([0.5, 0.0, 0.3])


def pose(position=HOME):
    return Pose.of(position, [1, 0, 0, 0])


class Arm:
    """An arm that is where it was told to be, one tick later."""

    def __init__(self):
        self.session, self.now, self.at = ArmSession(SPEC, 0.25), 10**9, HOME
        self.told = []

    def tick(self, target=None, why=""):
        self.now += TICK
        if target is not None:
            self.session.gripper(0.05)
            self.session.pose(self.now, pose(target))
        measured = Measured(self.now, pose(self.at), np.zeros(2), np.zeros(2))
        cleared = self.session.tick(self.now, measured, 0.08, why)
        if cleared is not None:
            self.at = cleared.target.tool.position_m
            self.told.append(self.at)
        return cleared

    def silence(self, ticks=20):
        return [self.tick() for _ in range(ticks)]


@given(st.lists(st.tuples(*[st.floats(-2, 2)] * 3) | st.none(), max_size=60))
def test_whatever_is_sent_the_arm_is_told_nothing_beyond_its_limits(targets):
    arm = Arm()
    arm.silence(1)
    path = [arm.at]
    for target in targets:
        arm.tick(None if target is None else np.array(target))
        path.append(arm.at)
    steps = np.linalg.norm(np.diff(path, axis=0), axis=1)
    assert (steps <= SPEC.max_speed_m_s * 0.02 + 1e-9).all()
    low, high = np.array(SPEC.workspace_m)
    assert all((low <= at).all() and (at <= high).all() for at in path)


def test_a_stream_that_ceases_leaves_the_arm_at_rest_and_untold():
    arm = Arm()
    arm.silence(1)
    for number in range(10):
        arm.tick(HOME + [0, 0.01 * number, 0])
    ended = arm.silence(40)
    assert ended[-1] is None
    assert not arm.session.active
    steps = np.linalg.norm(np.diff(arm.told, axis=0), axis=1)
    assert steps[-1] < 0.005
    assert steps.max() < 0.03


def test_the_opening_goes_with_the_pose_that_follows():
    arm = Arm()
    arm.silence(1)
    assert arm.tick(HOME).target.gripper_m == 0.05


def test_a_target_far_from_the_arm_begins_nothing():
    arm = Arm()
    arm.silence(1)
    far = HOME + [0, 0.35, 0]
    assert "near where the robot is" in arm.tick(far).reason
    assert np.allclose(arm.at, HOME)


def test_after_a_fault_a_sender_that_did_not_notice_moves_nothing():
    arm = Arm()
    arm.silence(1)
    arm.tick(HOME)
    arm.session.block("reflex")
    arm.session.block("and more")
    assert arm.tick(HOME + [0, 0.01, 0]) is None
    assert arm.session.reason == arm.session.blocked == "reflex"
    arm.session.release()
    assert arm.tick(HOME + [0, 0.01, 0]) is None
    assert "old targets to cease" in arm.session.reason
    arm.silence()
    assert arm.tick(HOME + [0, 0.01, 0]) is not None


def test_an_arm_that_stays_behind_is_stopped_until_released():
    arm = Arm()
    arm.silence(1)
    for number in range(60):
        arm.at = HOME  # blocked
        arm.tick(HOME + [0, 0.02 * number, 0])
    assert "is it blocked" in arm.session.blocked
    arm.at = HOME
    arm.silence()
    assert arm.tick(HOME) is None
    arm.session.release()
    arm.silence()
    assert arm.tick(HOME) is not None


def test_two_senders_hold_it():
    arm = Arm()
    arm.silence(1)
    assert arm.tick(HOME + [0, 0.01, 0], why="two senders").reason == "two senders"
    assert np.allclose(arm.at, HOME)


def test_an_arm_outside_the_workspace_is_not_driven_from_there():
    arm = Arm()
    arm.silence(1)
    arm.at = np.array([0.5, 0.9, 0.3])
    assert arm.tick(arm.at) is None
    assert "workspace" in arm.session.reason


@pytest.mark.parametrize(
    ("values", "says"),
    [
        ({"driver": "frankly", "robot_ip": "1.2.3.4"}, "did you mean 'franky'"),
        ({"driver": "ros2_contrl"}, "did you mean 'ros2_control'"),
        ({}, "robot_ip:="),
    ],
)
def test_a_robot_that_cannot_be_meant_is_refused(values, says):
    with pytest.raises(DfPolicyError, match=says):
        drivers(FrankaNodeConfig(**values))


@pytest.mark.parametrize(
    "values",
    [
        {"speed": 1.5},
        {"rate_hz": 5.0},
        {"silence_s": 5.0},
        {"contact_force_n": 500.0},
        {"gain": 0.0},
    ],
)
def test_parameters_out_of_range_are_refused(values):
    with pytest.raises(DfPolicyError, match=next(iter(values))):
        configure(FrankaNodeConfig, values)
