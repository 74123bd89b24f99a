"""Costs: nothing where all is well, and a step down that leaves what was to be left."""

import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from df_policy.costs import (
    ApproachFirst,
    KeepOutBox,
    KeepOutCylinder,
    Reach,
    ReachPose,
    SpeedLimit,
)
from df_policy.geometry import quat_from_6d, rotation_6d
from df_policy.guidance import bent, price, total

PERIOD_S = 0.1
BOX = KeepOutBox((0.5, 0.0, 0.1), (0.05, 0.06, 0.1), margin_m=0.01)
CYLINDER = KeepOutCylinder((0.5, 0.0), 0.05, 0.2, margin_m=0.01)
METRES = st.floats(-0.3, 0.3)
POINTS = st.lists(st.tuples(METRES, METRES, METRES), min_size=2, max_size=6)


def rows(points):
    """One plan through these points."""
    plan = torch.zeros(1, len(points), 10, dtype=torch.float64)
    plan[0, :, :3] = torch.tensor(points, dtype=torch.float64)
    return plan


def depth_m(cost, points):
    """How far within its zone each point is, negative outside: said in another way."""
    points = np.asarray(points)
    if isinstance(cost, KeepOutBox):
        low = np.array(cost.center_m) - cost.half_m - cost.margin_m
        high = np.array(cost.center_m) + cost.half_m + cost.margin_m
        return np.minimum(points - low, high - points).min(-1)
    aside = np.hypot(*(points[:, :2] - cost.center_m).T)
    walls = cost.radius_m + cost.margin_m - aside
    return np.minimum(walls, cost.top_m + cost.margin_m - points[:, 2])


def along(points):
    """The straight ways through the points."""
    points = np.asarray(points)
    share = np.arange(4)[:, None] / 4
    ways = [a + share * (b - a) for a, b in itertools.pairwise(points)]
    return np.concatenate([*ways, points[-1:]])


@pytest.mark.parametrize("cost", [BOX, CYLINDER])
@given(points=POINTS)
def test_a_zone_costs_what_of_the_path_is_inside(cost, points):
    points = np.array(points) + [0.5, 0.0, 0.1]
    plan, inside = rows(points), depth_m(cost, along(points))
    want = 0.25 * (inside.clip(min=0.0) ** 2).sum()
    before = float(price(cost, plan, PERIOD_S))
    assert before == pytest.approx(want, abs=1e-9)
    after = bent([cost], plan, PERIOD_S)
    assert float(price(cost, after, PERIOD_S)) <= min(before, want + 1e-12)  # rounded otherwise
    if before == 0.0:
        assert torch.equal(after, plan)
    if inside.max() <= 0.0:
        assert torch.allclose(after, plan, rtol=0.0, atol=1e-9)


@pytest.mark.parametrize("cost", [BOX, CYLINDER])
def test_a_path_through_a_zone_is_bent_out_of_it(cost):
    plan = rows([(0.53, y, 0.08) for y in np.linspace(-0.2, 0.2, 9)])
    assert depth_m(cost, along(plan[0, :, :3].numpy())).max() > 0.02
    for _ in range(4):  # as often as a plan is denoised
        plan = bent([cost], plan, PERIOD_S)
    assert depth_m(cost, along(plan[0, :, :3].numpy())).max() < 0.004


@given(points=POINTS, speed=st.floats(0.05, 1.0))
def test_a_plan_is_slowed_where_it_is_too_fast_and_only_there(points, speed):
    cost, plan = SpeedLimit(speed), rows(points)
    steps = np.linalg.norm(np.diff(np.array(points), axis=0), axis=1)
    fast = (steps - speed * PERIOD_S).clip(min=0.0)
    assert float(price(cost, plan, PERIOD_S)) == pytest.approx(0.25 * (fast**2).sum(), abs=1e-6)
    after = bent([cost], plan, PERIOD_S)
    assert float(price(cost, after, PERIOD_S)) <= float(price(cost, plan, PERIOD_S)) + 1e-9


@given(points=POINTS)
def test_a_step_brings_a_plan_nearer_to_the_point_that_it_should_reach(points):
    cost, plan = Reach((0.1, 0.2, 0.3), weight=0.2), rows(points)
    after = bent([cost], plan, PERIOD_S)
    assert float(price(cost, after, PERIOD_S)) <= float(price(cost, plan, PERIOD_S))


@given(points=POINTS)
def test_what_is_approached_first_is_reached_while_its_turn_lasts(points):
    place, plan = (0.1, 0.2, 0.3), rows(points)
    first = bent([ApproachFirst(place, weight=0.2)], plan, PERIOD_S)
    assert torch.equal(first, bent([Reach(place, weight=0.2)], plan, PERIOD_S))


ANGLES = st.floats(-3.0, 3.0)
DIRECTIONS = st.tuples(ANGLES, ANGLES, ANGLES).filter(lambda axis: np.linalg.norm(axis) > 0.1)
TURNS = st.tuples(ANGLES, ANGLES, ANGLES).map(Rotation.from_rotvec)


def turned(points, turns):
    """One plan through these points, turned so at them."""
    plan = rows(points)
    plan[0, :, 3:9] = torch.from_numpy(rotation_6d(turns.as_quat()))
    return plan


def left_of(cost, plan):
    """Metres and radians from each action to the pose: said in another way."""
    far = np.linalg.norm(plan[0, :, :3].numpy() - np.array(cost.point_m), axis=1)
    here = Rotation.from_quat(quat_from_6d(plan[0, :, 3:9].numpy()))
    return far, (here.inv() * Rotation.from_quat(cost.quat_xyzw)).magnitude()


@given(points=POINTS, turns=st.lists(TURNS, min_size=6, max_size=6), goal=TURNS, scale=METRES)
def test_a_pose_costs_the_way_and_the_angle_to_it_however_its_rotation_is_written(
    points, turns, goal, scale
):
    cost = ReachPose((0.1, 0.2, 0.3), tuple(goal.as_quat()), weight=0.2)
    plan = turned(points, Rotation.concatenate(turns[: len(points)]))
    far, angle = left_of(cost, plan)
    want = 0.1 * (far**2 + (0.1 * angle) ** 2).min()
    assert float(price(cost, plan, PERIOD_S)) == pytest.approx(want, abs=1e-7)
    other = ReachPose(cost.point_m, tuple(-goal.as_quat()), weight=0.2)
    assert float(price(other, plan, PERIOD_S)) == pytest.approx(want, abs=1e-7)
    plan[0, :, 3:6] *= 1.5  # as a network may write it
    plan[0, :, 6:9] += scale * plan[0, :, 3:6]
    assert float(price(cost, plan, PERIOD_S)) == pytest.approx(want, abs=1e-7)


@given(points=POINTS, turns=st.lists(TURNS, min_size=6, max_size=6), goal=TURNS)
def test_a_step_brings_a_plan_nearer_to_the_pose_that_it_should_reach(points, turns, goal):
    cost = ReachPose((0.1, 0.2, 0.3), tuple(goal.as_quat()), weight=0.2)
    plan = turned(points, Rotation.concatenate(turns[: len(points)]))
    after = bent([cost], plan, PERIOD_S)
    assert torch.isfinite(after).all()
    assert float(price(cost, after, PERIOD_S)) <= float(price(cost, plan, PERIOD_S)) + 1e-12


@given(axis=DIRECTIONS, angle=st.floats(0.01, 1.0))
def test_a_step_goes_the_same_share_of_the_way_and_of_the_turn(axis, angle):
    """A tenth each, four times; a rotation is not left behind for being in radians."""
    axis = np.array(axis) / np.linalg.norm(axis)
    cost = ReachPose((0.1, 0.2, 0.3), tuple(Rotation.from_rotvec(angle * axis).as_quat()))
    plan = turned([(0.1, 0.2, 0.4)], Rotation.identity(1))
    far, angle_left = left_of(cost, bent([cost], plan, PERIOD_S))
    assert far[0] / 0.1 == pytest.approx(0.9**4, abs=1e-6)
    assert angle_left[0] / angle == pytest.approx(0.9**4, abs=0.05)


def test_at_the_pose_there_is_nothing_to_bend():
    cost = ReachPose((0.1, 0.2, 0.3), (0.0, 0.0, 0.0, 1.0))
    plan = turned([(0.1, 0.2, 0.3)], Rotation.identity(1))
    assert float(price(cost, plan, PERIOD_S)) == pytest.approx(0.0, abs=1e-15)
    assert torch.allclose(bent([cost], plan, PERIOD_S), plan, atol=1e-7)


def test_costs_add_up_and_none_costs_nothing():
    plan = rows([(0.5, 0.0, 0.1), (0.5, 0.02, 0.1)])
    both = total([BOX, CYLINDER], plan, PERIOD_S)
    assert torch.equal(both, price(BOX, plan, PERIOD_S) + price(CYLINDER, plan, PERIOD_S))
    assert float(total([], plan, PERIOD_S)) == 0.0


def test_a_gradient_is_taken_where_the_rest_takes_none():
    with torch.inference_mode():
        assert not torch.equal(bent([BOX], plan := rows([(0.5, 0, 0.1)] * 2), PERIOD_S), plan)


def test_what_nobody_has_given_a_meaning_is_refused():
    with pytest.raises(TypeError, match="expected a cost, got float"):
        price(1.0, rows([(0.5, 0.0, 0.1)]), PERIOD_S)
