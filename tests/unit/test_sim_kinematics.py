"""Targets of the tool become targets of the joints."""

import time

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from df_policy.geometry import Pose
from df_policy.sim.kinematics import Tracker
from df_policy.sim.scene import arm_model
from df_policy.sim.tasks.task import HOME

DT_S = 0.02
TRACKER = Tracker(DT_S)
HOME_Q = TRACKER.solve(HOME)
RANGE = arm_model().jnt_range


def error(target: Pose, found: Pose) -> tuple[float, float]:
    turn = Rotation.from_quat(target.quat_xyzw).inv() * Rotation.from_quat(found.quat_xyzw)
    return float(np.linalg.norm(target.position_m - found.position_m)), float(turn.magnitude())


def walk(target: Pose, ticks: int) -> None:
    TRACKER.place(HOME_Q)
    for tick in range(1, ticks + 1):
        TRACKER.track(HOME.towards(target, tick / ticks))
    for _ in range(50):
        TRACKER.track(target)


@settings(max_examples=15, deadline=None)
@given(
    st.floats(0.35, 0.60),
    st.floats(-0.30, 0.30),
    st.floats(0.02, 0.40),
    st.floats(-0.5, 0.5),
    st.floats(-0.8, 0.8),
)
def test_a_target_in_the_workspace_is_reached(
    x: float, y: float, z: float, tilt: float, yaw: float
) -> None:
    turn = Rotation.from_euler("zy", [yaw, tilt]) * Rotation.from_quat(HOME.quat_xyzw)
    target = Pose.of([x, y, z], turn.as_quat())
    walk(target, 50)
    distance_m, angle_rad = error(target, TRACKER.tool)
    assert distance_m < 1e-3
    assert angle_rad < 5e-3


@settings(max_examples=15, deadline=None)
@given(
    st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3),
    st.lists(st.floats(-3.0, 3.0), min_size=3, max_size=3),
)
def test_any_target_keeps_the_joints_in_range_and_slow(
    position_m: list[float], rotvec: list[float]
) -> None:
    target = Pose.of(position_m, Rotation.from_rotvec(rotvec).as_quat())
    TRACKER.place(HOME_Q)
    before = TRACKER.q_rad
    for _ in range(60):
        q = TRACKER.track(target)
        assert np.isfinite(q).all()
        assert (q >= RANGE[:, 0] - 1e-9).all()
        assert (q <= RANGE[:, 1] + 1e-9).all()
        assert np.abs(q - before).max() <= 2.6 * DT_S + 1e-6
        before = q


def test_the_way_back_from_an_unreachable_target_ends_at_home() -> None:
    TRACKER.place(HOME_Q)
    for _ in range(100):
        TRACKER.track(Pose.of([2.0, 1.0, -1.0], HOME.quat_xyzw))
    for _ in range(300):
        TRACKER.track(HOME)
    assert error(HOME, TRACKER.tool)[0] < 1e-3


def test_the_elbow_does_not_drift_on_a_closed_way() -> None:
    TRACKER.place(HOME_Q)
    for _ in range(5):
        for angle in np.linspace(0.0, 2.0 * np.pi, 100):
            offset = [0.15 * np.sin(angle), 0.15 * (1.0 - np.cos(angle)) - 0.0, 0.0]
            TRACKER.track(Pose.of(HOME.position_m + offset, HOME.quat_xyzw))
    for _ in range(50):
        q = TRACKER.track(HOME)
    assert np.abs(q - HOME_Q).max() < 0.05


@pytest.mark.parametrize("bad", [np.nan, np.inf])
def test_a_target_that_is_not_finite_holds_the_joints(bad: float) -> None:
    TRACKER.place(HOME_Q)
    broken = Pose(np.array([bad, 0.0, 0.3]), HOME.quat_xyzw)
    np.testing.assert_array_equal(TRACKER.track(broken), HOME_Q)


def test_a_tick_is_solved_in_well_under_its_time() -> None:
    TRACKER.place(HOME_Q)
    took_s = []
    for tick in range(100):
        target = Pose.of(HOME.position_m + [0.0, 0.003 * tick, 0.0], HOME.quat_xyzw)
        start = time.perf_counter()
        TRACKER.track(target)
        took_s.append(time.perf_counter() - start)
    assert np.median(took_s) < 0.2 * DT_S
