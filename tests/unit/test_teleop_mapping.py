"""From a hand to a target: what holds for every stick, and what a few of them mean."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.errors import DfPolicyError
from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.robot import RobotSpec
from df_policy.teleop.mapping import Hand, Handling, centred, is_pushed, push
from df_policy.teleop.reading import Lead, Stick

SPEC = RobotSpec("r", ("a",), {})
PERIOD_S = 0.1
DOWN = Action(Pose.of([0.5, 0.0, 0.3], [1.0, 0.0, 0.0, 0.0]), 0.04)
"""The tool points at the table: its z is down, its y is to the right."""
LINEAR = Handling(dead_band=0.0, fineness=1.0)

anything = st.floats(allow_nan=True, allow_infinity=True)
deflection = st.floats(-1.0, 1.0)
sticks = st.builds(Stick, st.tuples(*[deflection] * 3), st.tuples(*[deflection] * 3), deflection)
wild_sticks = st.builds(Stick, st.tuples(*[anything] * 3), st.tuples(*[anything] * 3), anything)
bands = st.floats(0.0, 0.9)
finenesses = st.floats(0.5, 4.0)


@given(anything, bands, finenesses)
def test_an_axis_stays_in_its_range_and_keeps_its_sign(
    value: float, band: float, fineness: float
) -> None:
    felt = centred(value, band, fineness)
    assert -1.0 <= felt <= 1.0
    assert felt == 0.0 or math.copysign(1.0, felt) == math.copysign(1.0, value)
    if math.isnan(value) or abs(value) <= band:
        assert felt == 0.0


@given(deflection, deflection, bands, finenesses)
def test_more_push_is_never_less_motion(
    one: float, other: float, band: float, fineness: float
) -> None:
    low, high = sorted((one, other))
    assert centred(low, band, fineness) <= centred(high, band, fineness)


@given(bands, finenesses)
def test_motion_begins_at_nothing_and_ends_at_all(band: float, fineness: float) -> None:
    assert centred(band + 1e-9, band, fineness) < 1e-3
    assert centred(1.0, band, fineness) == 1.0


@given(st.tuples(*[st.floats(-0.1, 0.1)] * 3))
def test_a_stick_in_its_dead_band_leaves_the_very_same_target(axes: tuple) -> None:
    hand = Hand(SPEC, Handling(dead_band=0.1))
    stick = Stick(axes, axes, axes[0])
    assert not is_pushed(stick, 0.1)
    assert np.array_equal(hand.target(stick, DOWN).row(), DOWN.row())


@given(wild_sticks, st.sampled_from(["base", "tool"]))
def test_whatever_a_device_says_the_target_keeps_the_limits(stick: Stick, frame: str) -> None:
    fast = Handling(frame, speed_m_s=50.0, turn_rad_s=80.0, gripper_m_s=9.0)
    hand, last = Hand(SPEC, fast), DOWN
    low, high = SPEC.workspace_m
    for _ in range(4):
        target = hand.target(stick, last)
        step = np.linalg.norm(target.tool.position_m - last.tool.position_m)
        assert np.isfinite(target.row()).all()
        assert step <= SPEC.max_speed_m_s * PERIOD_S + 1e-9
        assert last.tool.angle_to(target.tool) <= SPEC.max_turn_rad_s * PERIOD_S + 1e-6
        assert np.all(target.tool.position_m >= np.array(low) - 1e-9)
        assert np.all(target.tool.position_m <= np.array(high) + 1e-9)
        assert SPEC.gripper_range_m[0] <= target.gripper_m <= SPEC.gripper_range_m[1]
        last = target


@given(sticks)
def test_a_diagonal_push_is_no_faster_than_a_straight_one(stick: Stick) -> None:
    moved = push(DOWN, stick, LINEAR, PERIOD_S)
    shift = np.linalg.norm(moved.tool.position_m - DOWN.tool.position_m)
    assert shift <= LINEAR.speed_m_s * PERIOD_S + 1e-9
    assert DOWN.tool.angle_to(moved.tool) <= LINEAR.turn_rad_s * PERIOD_S + 1e-6


@given(sticks)
def test_pushing_back_undoes_a_move(stick: Stick) -> None:
    x, y, z = stick.linear
    there = push(DOWN, Stick((x, y, z)), LINEAR, PERIOD_S)
    back = push(there, Stick((-x, -y, -z)), LINEAR, PERIOD_S)
    assert np.allclose(back.tool.position_m, DOWN.tool.position_m)


@pytest.mark.parametrize(
    ("frame", "linear", "expected"),
    [
        ("base", (1.0, 0.0, 0.0), (1.0, 0.0, 0.0)),
        ("base", (0.0, 1.0, 0.0), (0.0, 1.0, 0.0)),
        ("base", (0.0, 0.0, 1.0), (0.0, 0.0, 1.0)),
        ("tool", (1.0, 0.0, 0.0), (1.0, 0.0, 0.0)),
        ("tool", (0.0, 1.0, 0.0), (0.0, -1.0, 0.0)),
        ("tool", (0.0, 0.0, 1.0), (0.0, 0.0, -1.0)),
    ],
)
def test_a_push_goes_along_the_axes_of_its_frame(
    frame: str, linear: tuple, expected: tuple
) -> None:
    handling = Handling(frame, dead_band=0.0, fineness=1.0)
    moved = push(DOWN, Stick(linear), handling, PERIOD_S).tool.position_m
    along = np.array(expected) * handling.speed_m_s * PERIOD_S
    assert np.allclose(moved - DOWN.tool.position_m, along)


@pytest.mark.parametrize(("frame", "sign"), [("base", 1.0), ("tool", -1.0)])
def test_yaw_turns_left_seen_from_above_the_frame(frame: str, sign: float) -> None:
    handling = Handling(frame, dead_band=0.0, fineness=1.0)
    turned = push(DOWN, Stick(angular=(0.0, 0.0, 1.0)), handling, PERIOD_S).tool
    from scipy.spatial.transform import Rotation

    forward = Rotation.from_quat(turned.quat_xyzw).apply([1.0, 0.0, 0.0])
    assert math.atan2(forward[1], forward[0]) == pytest.approx(sign * 0.12)


def test_the_opening_changes_with_time() -> None:
    opened = push(DOWN, Stick(gripper=1.0), Handling(), PERIOD_S)
    assert opened.gripper_m == pytest.approx(0.04 + 0.012)


def lead(x: float, quat: tuple = (0.0, 0.0, 0.0, 1.0), gripper_m: float | None = None) -> Lead:
    return Lead(Pose.of([x, 9.0, -9.0], quat), gripper_m)


def test_a_follower_moves_as_the_leader_does_and_not_to_where_it_is() -> None:
    hand = Hand(SPEC, Handling(lead_scale=0.5))
    first = hand.target(lead(7.0), DOWN)
    assert np.allclose(first.row(), DOWN.row())
    second = hand.target(lead(7.04, gripper_m=0.01), first)
    assert np.allclose(second.tool.position_m, [0.52, 0.0, 0.3])
    assert second.gripper_m == 0.01


def test_after_a_silence_a_follower_takes_hold_anew() -> None:
    hand = Hand(SPEC, Handling())
    hand.target(lead(1.0), DOWN)
    assert hand.target(None, DOWN) is DOWN
    assert np.allclose(hand.target(lead(1.5), DOWN).row(), DOWN.row())


def test_a_leader_that_jumps_is_followed_at_the_robots_pace() -> None:
    hand = Hand(SPEC, Handling())
    hand.target(lead(1.0), DOWN)
    target = hand.target(lead(2.0), DOWN)
    assert target.tool.position_m[0] - 0.5 <= SPEC.max_speed_m_s * PERIOD_S + 1e-9


@pytest.mark.parametrize(
    "wrong",
    [{"speed_m_s": 0.0}, {"turn_rad_s": math.inf}, {"dead_band": 1.0}],
)
def test_a_handling_without_sense_is_refused(wrong: dict) -> None:
    with pytest.raises(DfPolicyError, match="expected"):
        Handling(**wrong)
