"""Counting: intervals that make sense, rates that are right, results that can be read."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.environment import Verdict
from df_policy.errors import DfPolicyError
from df_policy.evaluate import wilson95
from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.film_log import FilmLog
from df_policy.ros_nodes.monitor import Pace, Spread
from df_policy.ros_nodes.simulated_world import NewestTarget
from df_policy.ros_nodes.tally import Ending, Tally


@given(st.integers(1, 500).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_the_interval_holds_the_rate_and_lies_in_0_to_1(counts):
    low, high = wilson95(*counts)
    assert 0.0 <= low <= counts[0] / counts[1] + 1e-12
    assert counts[0] / counts[1] - 1e-12 <= high <= 1.0


def test_the_interval_agrees_with_the_literature():
    assert wilson95(98, 100) == pytest.approx((0.9300, 0.9945), abs=1e-4)
    assert wilson95(0, 0) == (0.0, 1.0)


def test_the_result_is_written_whole(tmp_path):
    tally = Tally()
    tally.add(Ending(0, True, "success", 100, 50.0, 20.0))
    tally.add(Ending(1, False, "not moved", 100, 40.0, 60.0))
    tally.write(tmp_path / "deep" / "result.json", asked=3)
    result = json.loads((tmp_path / "deep" / "result.json").read_text())
    assert (result["successes"], result["episodes"], result["asked"]) == (1, 2, 3)
    assert result["failures"] == {"not moved": 1}
    assert result["seeds"] == [0, 1]
    assert result["control"] == {"rate_hz": 45.0, "worst_gap_ms": 60.0, "targets": 200}
    assert "1 of 2" in tally.summary()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["result.json"]


def test_no_episode_is_a_result_too(tmp_path):
    Tally().write(tmp_path / "r.json", asked=5)
    assert json.loads((tmp_path / "r.json").read_text())["episodes"] == 0


@given(st.integers(1, 10**9), st.integers(2, 50))
def test_a_steady_pace_has_its_rate_and_gap(period_ns, count):
    pace = Pace()
    gaps = [pace.tick(n * period_ns) for n in range(count)]
    assert pace.rate_hz == pytest.approx(1e9 / period_ns)
    assert pace.worst_gap_ns == period_ns
    assert gaps == [0] + [period_ns] * (count - 1)


def test_nothing_measured_is_no_rate_and_no_percentile():
    assert Pace().rate_hz == 0.0
    assert np.isnan(Spread().percentile(50))


def test_a_film_log_keeps_episodes_apart_and_pads_plans(tmp_path):
    path = tmp_path / "films" / "episodes.npz"
    log = FilmLog(path)
    log.add(0, np.zeros(3))  # before the first episode: of no use
    for episode, reason in enumerate(("success", "not moved")):
        log.begin(seed=10 + episode)
        log.add(1, np.full(3, float(episode)))
        log.plan = np.ones((episode + 1, 3))
        log.add(2, np.full(3, float(episode)))
        log.end(Verdict(reason == "success", reason))
        log.add(3, np.zeros(3))  # after the verdict: belongs to none
    log.write()
    with np.load(path) as film:
        assert film["episode"].tolist() == [0, 0, 1, 1]
        assert film["qpos"][:, 0].tolist() == [0, 0, 1, 1]
        assert film["seed"].tolist() == [10, 11]
        assert film["verdict"].tolist() == ["success", "not moved"]
        assert np.isnan(film["plan"]).all(axis=(1, 2)).tolist() == [True, False, True, False]
    assert [entry.name for entry in path.parent.iterdir()] == ["episodes.npz"]


def test_a_film_log_without_moments_writes_nothing(tmp_path):
    FilmLog(tmp_path / "none.npz").write()
    assert list(tmp_path.iterdir()) == []


def test_a_film_log_that_cannot_be_written_says_so_at_once(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DfPolicyError, match="expected to write"):
        FilmLog(tmp_path / "file" / "episodes.npz")


def test_a_result_that_cannot_be_written_is_one_clear_error(tmp_path):
    (tmp_path / "file").touch()
    with pytest.raises(DfPolicyError, match="expected to write"):
        Tally().write(tmp_path / "file" / "result.json", asked=1)


SPEC = RobotSpec("arm", ("j1",), {})
HOME = Action(Pose.of([0.5, 0.0, 0.3], [1, 0, 0, 0]), 0.08)


@given(st.lists(st.tuples(*[st.floats(-2, 2) for _ in range(4)]), max_size=10))
def test_no_target_moves_the_robot_faster_or_farther_than_the_limits(targets):
    newest = NewestTarget(SPEC, HOME)
    last, now = HOME.tool.position_m, 0
    for *position, opening in targets:
        newest.gripper(opening)
        newest.pose(1, Pose.of(position, [1, 0, 0, 0]))
        now += 20_000_000
        sent = newest.next(now).target
        step = np.linalg.norm(sent.tool.position_m - last)
        assert step <= SPEC.max_speed_m_s / SPEC.control_rate_hz + 1e-9
        assert SPEC.gripper_range_m[0] <= sent.gripper_m <= SPEC.gripper_range_m[1]
        last = sent.tool.position_m


def test_targets_of_the_last_episode_do_not_move_the_robot():
    newest = NewestTarget(SPEC, HOME)
    newest.reset(100, HOME)
    newest.gripper(0.0)
    newest.pose(99, Pose.of([0.5, 0.1, 0.3], [1, 0, 0, 0]))
    assert newest.next(0).target.row() == pytest.approx(HOME.row())
    newest.gripper(0.01)
    newest.pose(100, Pose.of([0.5, 0.005, 0.3], [1, 0, 0, 0]))
    sent = newest.next(20_000_000).target
    assert sent.tool.position_m[1] == pytest.approx(0.005)
    assert sent.gripper_m == 0.01


def test_a_tick_between_the_two_halves_of_a_target_does_not_mix_them():
    newest = NewestTarget(SPEC, HOME)
    newest.gripper(0.02)
    assert newest.next(0).target.gripper_m == HOME.gripper_m
    newest.pose(1, Pose.of([0.5, 0.005, 0.3], [1, 0, 0, 0]))
    sent = newest.next(20_000_000).target
    assert (sent.gripper_m, sent.tool.position_m[1]) == (0.02, pytest.approx(0.005))


def test_a_target_far_away_or_a_reason_holds_the_robot_and_is_told():
    newest = NewestTarget(SPEC, HOME)
    newest.pose(1, Pose.of([0.5, 3.0, 0.3], [1, 0, 0, 0]))
    assert "within 0.25 m" in newest.next(0).reason
    held = newest.next(20_000_000, "two senders")
    assert (held.reason, held.target.row().tolist()) == ("two senders", HOME.row().tolist())
