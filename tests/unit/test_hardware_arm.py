"""What drivers are told and how their clocks are read, without any robot."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from df_policy.geometry import Pose
from df_policy.hardware import missing
from df_policy.hardware.feed_forward import FeedForward
from df_policy.hardware.robot_clock import RobotClock

MS = 1_000_000
coordinates = st.tuples(*[st.floats(-1.0, 1.0)] * 3)
turns = st.tuples(*[st.floats(-1.5, 1.5)] * 3)


def pose(position, turn):
    return Pose.of(position, Rotation.from_rotvec(turn).as_quat())


@given(
    st.lists(st.integers(0, 40 * MS), min_size=1, max_size=50),
    st.integers(-(10**12), 10**12),
)
def test_a_stamp_is_never_later_than_its_message_and_keeps_the_device_s_pace(delays, ahead):
    clock = RobotClock()
    stamps = []
    for number, delay in enumerate([0, *delays]):
        device = (1 + number) * 20 * MS
        came = device + ahead + delay
        stamp = clock.host_ns(device, came)
        assert stamp <= came
        stamps.append(stamp)
    # The first message came at once, so the clocks' difference is known from then on.
    true = [(1 + number) * 20 * MS + ahead for number in range(len(stamps))]
    assert max(abs(a - b) for a, b in zip(stamps, true, strict=True)) <= 0.1 * MS


def test_a_clock_that_was_set_is_followed_at_once():
    clock = RobotClock()
    clock.host_ns(5_000 * MS, 9_000 * MS)
    assert clock.host_ns(20 * MS, 9_020 * MS) == 9_020 * MS  # the robot started anew
    assert clock.host_ns(40 * MS, 99_000 * MS) == 99_000 * MS  # this machine's clock was set


def test_a_slow_drift_is_followed():
    clock = RobotClock()
    for number in range(1, 60_000):
        device = number * 20 * MS
        came = round(device * (1 + 5e-5)) + 2 * MS
        stamp = clock.host_ns(device, came)
    assert came - stamp < 3 * MS


@given(coordinates, turns, coordinates, turns)
def test_a_target_goes_on_as_it_went(start, turn, speed, spin):
    feed, period = FeedForward(), 0.02
    before = pose(start, turn)
    onward = Rotation.from_rotvec(period * np.array(spin)) * Rotation.from_quat(before.quat_xyzw)
    now = Pose.of(np.array(start) + period * np.array(speed), onward.as_quat())
    feed.move(0, before)
    moving = feed.move(20 * MS, now)
    assert np.allclose(moving.linear_m_s, speed, atol=1e-9)
    assert np.allclose(moving.angular_rad_s, spin, atol=1e-6)
    back = moving.after(-period)
    assert np.allclose(back.pose.position_m, start, atol=1e-9)
    assert back.pose.angle_to(before) < 1e-6


@pytest.mark.parametrize("gap_ms", [0, -20, 101])
def test_targets_that_do_not_belong_together_tell_no_speed(gap_ms):
    feed = FeedForward()
    feed.move(1000 * MS, pose([0, 0, 0], [0, 0, 0]))
    moving = feed.move((1000 + gap_ms) * MS, pose([0.1, 0, 0], [0, 0, 0]))
    assert not moving.linear_m_s.any()
    assert not moving.angular_rad_s.any()


def test_after_a_pause_the_first_target_stands_still():
    feed = FeedForward()
    feed.move(0, pose([0, 0, 0], [0, 0, 0]))
    feed.clear()
    assert not feed.move(20 * MS, pose([0.1, 0, 0], [0, 0, 0])).linear_m_s.any()


def test_what_is_missing_is_said_with_what_to_do():
    said = missing("franky for a robot", "franka", ImportError("no module named 'franky'"))
    assert "pip install df_policy[franka]" in said
    assert "\n" not in said
