"""The figures of a trace: right where the answer is known, blind to nothing that matters."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.ros_nodes import regularity as r
from df_policy.ros_nodes.stages import STAGES

PERIOD = 0.1
STAMPS = 1000.0 + np.arange(500) / 100


def line(speed=0.2):
    return np.stack([speed * (STAMPS - 1000.0), 0 * STAMPS, 0 * STAMPS], axis=1)


@given(st.lists(st.integers(0, 3), min_size=2, max_size=50))
def test_each_tick_that_is_not_there_is_missed(gaps):
    stamps = np.cumsum([0.01 * (1 + gap) for gap in gaps])
    found = r.ticks(stamps, 100.0)
    assert found["missed"] == sum(gaps[1:])
    assert found["targets"] == len(gaps)
    np.testing.assert_allclose(found["jitter_ms"], 10.0 * np.array(gaps[1:]), atol=1e-6)


def test_a_target_is_as_old_as_the_image_of_the_plan_that_it_follows():
    began, seen = np.array([1001.0, 1002.0]), np.array([1000.9, 1001.8])
    ages = r.ages(np.array([1000.5, 1001.0, 1001.5, 1002.0]), began, seen)
    np.testing.assert_allclose(ages, [100.0, 600.0, 200.0], atol=1e-6)


def test_on_a_straight_line_no_seam_is_seen():
    found = r.seams(STAMPS, line(), np.array([1001.05, 1002.25]), 1000.0, PERIOD)
    assert len(found["step_mm at hand-overs"]) == 2
    for where in ("at hand-overs", "elsewhere"):
        np.testing.assert_allclose(found[f"step_mm {where}"], 20.0, atol=1e-6)
        np.testing.assert_allclose(found[f"velocity_mm_s {where}"], 0.0, atol=1e-5)
    again = r.jumps(STAMPS, line(), np.array([1001.05, 1002.25]))
    assert len(again["target velocity_mm_s at hand-overs"]) == 2
    np.testing.assert_allclose(again["target step_mm elsewhere"], 2.0, atol=1e-6)


def test_a_jump_at_a_hand_over_is_seen_there_and_nowhere_else():
    points = line()
    points[STAMPS >= 1002.249] += [0.0, 0.03, 0.0]
    found = r.seams(STAMPS, points, np.array([1001.05, 1002.25]), 1000.0, PERIOD)
    assert found["step_mm at hand-overs"].max() > 30.0
    assert found["step_mm elsewhere"].max() < 20.1
    again = r.jumps(STAMPS, points, np.array([1001.05, 1002.25]))
    assert again["target step_mm at hand-overs"].max() > 30.0
    assert again["target step_mm elsewhere"].max() < 2.1
    assert again["target velocity_mm_s at hand-overs"].max() > 2000.0


def test_the_jerk_of_a_cube_is_six():
    times = PERIOD * np.arange(20)
    points = np.stack([times**3, 0 * times, 0 * times], axis=1)
    np.testing.assert_allclose(r.jerk(points, PERIOD), 6.0, rtol=1e-6)


def test_all_figures_of_a_trace():
    targets = [np.column_stack([np.full(500, e), STAMPS + 10 * e, line(), np.zeros((500, 4))])
               for e in (0, 1)]  # fmt: skip
    began = 1000.2 + 0.2 * np.arange(20)
    stages = np.tile(np.arange(1.0, len(STAGES) + 1), (20, 1))
    plans = [np.column_stack([np.full(20, e), began + 10 * e, began + 10 * e - 0.05, stages])
             for e in (0, 1)]  # fmt: skip
    trace = {"targets": np.concatenate(targets), "plans": np.concatenate(plans)}
    found = r.figures(trace, 100.0, PERIOD)
    assert (found["targets"], found["missed_ticks"], found["plans"]) == (1000, 0, 40)
    assert found["stages_ms"]["whole chain"]["p50"] == pytest.approx(15.0)
    assert found["age_ms"]["worst"] < 1250.0
    assert found["age_ms"]["p50"] == pytest.approx(140.0, abs=30.0)
    assert found["planning_hz"]["p50"] == pytest.approx(5.0)


def test_a_trace_without_plans_has_figures_too():
    targets = np.column_stack([np.zeros(500), STAMPS, line(), np.zeros((500, 4))])
    found = r.figures({"targets": targets, "plans": np.zeros((0, 8))}, 100.0, PERIOD)
    assert found["plans"] == 0
    assert np.isnan(found["stages_ms"]["whole chain"]["p50"])
