"""Poses, actions and plans: round trips, and the straight way between two targets."""

import json
from dataclasses import asdict, fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from df_policy.frames import Action
from df_policy.geometry import Pose, quat_from_6d, rotation_6d
from df_policy.plan import Plan
from df_policy.robot import RobotSpec

SEED = st.integers(0, 2**31)


def action(seed):
    rng = np.random.default_rng(seed)
    quat = Rotation.random(rng=rng).as_quat()
    return Action(Pose.of(rng.uniform(-1, 1, 3), quat), float(rng.uniform(0, 0.08)))


def angle(one, other):
    turn = Rotation.from_quat(one.quat_xyzw).inv() * Rotation.from_quat(other.quat_xyzw)
    return float(turn.magnitude())


@given(seed=SEED)
def test_an_action_survives_its_row(seed):
    want = action(seed)
    got = Action.from_row(want.row())
    assert got.tool.position_m == pytest.approx(want.tool.position_m)
    assert angle(got.tool, want.tool) < 1e-6
    assert got.gripper_m == want.gripper_m


@given(seed=SEED)
def test_a_noisy_6d_rotation_becomes_a_proper_one(seed):
    rng = np.random.default_rng(seed)
    noisy = rotation_6d(Rotation.random(rng=rng).as_quat()) + rng.normal(0, 0.1, 6)
    quat = quat_from_6d(noisy)
    assert np.linalg.norm(quat) == pytest.approx(1.0)
    assert quat[3] >= 0.0
    assert np.linalg.det(Rotation.from_quat(quat).as_matrix()) == pytest.approx(1.0)


def test_columns_that_span_no_plane_are_refused():
    with pytest.raises(ValueError, match="span a plane"):
        quat_from_6d(np.array([1.0, 0, 0, 2.0, 0, 0]))


@pytest.mark.parametrize(
    ("position", "quat"), [([np.nan, 0, 0], [0, 0, 0, 1]), ([0] * 3, [0] * 4)]
)
def test_a_pose_must_be_finite_and_have_a_rotation(position, quat):
    with pytest.raises(ValueError, match="must"):
        Pose.of(position, quat)


@given(seed=SEED, fraction=st.floats(0.0, 1.0))
def test_the_way_between_two_poses_is_straight_and_even(seed, fraction):
    one, other = action(seed), action(seed + 1)
    between = one.towards(other, fraction)
    step = other.tool.position_m - one.tool.position_m
    assert between.tool.position_m == pytest.approx(one.tool.position_m + fraction * step)
    assert angle(one.tool, between.tool) == pytest.approx(
        fraction * angle(one.tool, other.tool), abs=1e-6
    )


@given(seed=SEED, period_s=st.floats(0.001, 0.5))
def test_a_limited_action_is_inside_and_within_reach(seed, period_s):
    spec = RobotSpec("arm", ("joint",), {})
    low, high = (np.array(corner) for corner in spec.workspace_m)
    rng = np.random.default_rng(seed)
    before = Action(Pose.of(rng.uniform(low, high), Rotation.random(rng=rng).as_quat()), 0.04)
    turned = Rotation.random(rng=rng).as_quat()
    wild = Action(Pose.of(rng.normal(0, 3, 3), turned), float(rng.normal(0, 1)))
    sent = spec.limit(wild, before, period_s)
    assert ((sent.tool.position_m >= low - 1e-9) & (sent.tool.position_m <= high + 1e-9)).all()
    step = np.linalg.norm(sent.tool.position_m - before.tool.position_m)
    assert step <= spec.max_speed_m_s * period_s + 1e-9
    assert angle(before.tool, sent.tool) <= spec.max_turn_rad_s * period_s + 1e-6
    assert angle(before.tool, sent.tool) + angle(sent.tool, wild.tool) == pytest.approx(
        angle(before.tool, wild.tool), abs=1e-6
    )
    assert spec.gripper_range_m[0] <= sent.gripper_m <= spec.gripper_range_m[1]


@given(seed=SEED)
def test_an_allowed_action_passes_unchanged(seed):
    spec = RobotSpec("arm", ("joint",), {})
    rng = np.random.default_rng(seed)
    here = Action(Pose.of([0.5, 0.0, 0.2], [0, 0, 0, 1]), 0.04)
    quat = Rotation.from_rotvec(rng.uniform(-0.1, 0.1, 3)).as_quat()
    near = Action(Pose.of(here.tool.position_m + rng.uniform(-0.05, 0.05, 3), quat), 0.08)
    sent = spec.limit(near, here, 0.1)
    assert (sent.tool.position_m == near.tool.position_m).all()
    assert (sent.tool.quat_xyzw == near.tool.quat_xyzw).all()
    assert sent.gripper_m == near.gripper_m


NEEDED = ("name", "joint_names", "cameras", "action_rate_hz")


@pytest.mark.parametrize(
    "lacking", [field.name for field in fields(RobotSpec) if field.name not in NEEDED]
)
def test_a_spec_survives_json_and_what_an_older_one_lacks_has_its_default(lacking):
    spec = RobotSpec("arm", ("j1", "j2"), {"front": (6, 8)}, action_rate_hz=5.0)
    written = json.loads(json.dumps(asdict(spec)))
    assert RobotSpec.from_json(written) == spec
    del written[lacking]
    assert RobotSpec.from_json(written) == spec


def test_the_limits_of_a_known_arms_joints_are_filled_in_and_others_kept():
    fr3 = RobotSpec("fr3", tuple(f"fr3_joint{n}" for n in range(1, 8)), {})
    assert fr3.joint_at_end(np.array([0.0, 0, 0, -1, 0, 2, 0])) == ""
    assert "fr3_joint4 from -3.0421 to -0.1518 rad" in fr3.joint_at_end(np.zeros(7))
    assert "fr3_joint6 at 4.18 rad/s" in fr3.joint_too_fast(np.full(7, -4.2) * (np.arange(7) == 5))
    old = asdict(fr3)
    del old["joint_range_rad"], old["max_joint_speed_rad_s"]
    assert RobotSpec.from_json(json.loads(json.dumps(old))) == fr3
    with pytest.raises(ValueError, match="joint_range_rad of 1 joints or none, got 2"):
        RobotSpec("arm", ("j",), {}, joint_range_rad=((0.0, 1.0),) * 2)


@pytest.mark.parametrize(
    "wrong", [{"cameras": {"front": 8}}, {"workspace_m": [1, 2]}, {"what": 1}, {"joint_names": 3}]
)
def test_what_is_no_spec_is_refused(wrong):
    spec = asdict(RobotSpec("arm", ("j1",), {}))
    with pytest.raises((KeyError, TypeError, ValueError)):
        RobotSpec.from_json(spec | wrong)


def test_a_plan_is_walked_by_the_clock():
    before = Action(Pose.of([0.0, 0, 0], [0, 0, 0, 1]), 0.0)
    targets = [Action(Pose.of([x, 0, 0], [0, 0, 0, 1]), 0.0) for x in (1.0, 2.0, 4.0)]
    plan = Plan(1000, 100, np.stack([t.row() for t in targets]), 1000)
    where = {0: 0.0, 1000: 0.0, 1050: 0.5, 1100: 1.0, 1150: 1.5, 1275: 3.5, 1300: 4.0, 9999: 4.0}
    for now, x in where.items():
        assert plan.at(now, before).tool.position_m[0] == pytest.approx(x)
    assert plan.end_ns == 1300
