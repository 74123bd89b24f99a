"""Evaluation: one decision a chunk, one verdict an episode, and an honest interval."""

import dataclasses
from math import comb

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.costs import ApproachFirst, SpeedLimit
from df_policy.environment import Verdict
from df_policy.errors import DfPolicyError
from df_policy.evaluate import EpisodeResult, compare, run_episode, summary, wilson95
from df_policy.frames import Action, Observation
from df_policy.geometry import Pose
from df_policy.plan import Plan
from df_policy.robot import RobotSpec

SPEC = RobotSpec("arm", ("joint",), {}, max_speed_m_s=0.1)


class World:
    """Counts steps; sends at most what the speed limit allows."""

    spec, episode_steps = SPEC, 20

    def reset(self, seed):
        self.steps, self.sent = 0, Action(Pose.of([0.5, 0, 0.3], [0, 0, 0, 1]), 0.0)
        return self.observe()

    def observe(self):
        stamp, none = self.steps * SPEC.period_ns, np.zeros(1)
        return Observation(stamp, {}, {}, none, none, self.sent.tool, self.sent.gripper_m)

    def step(self, action):
        self.sent = SPEC.limit(action, self.sent, 1e-9 * SPEC.period_ns)
        self.steps += 1
        return self.observe(), self.sent

    def judge(self):
        return Verdict(self.steps == self.episode_steps, "success")

    def close(self):
        pass


class Leaper:
    """Plans a jump that the world will not allow, and remembers what it was told."""

    spec, every, commit = SPEC, 8, 0

    def reset(self, seed):
        self.calls, self.before, self.committed = [], [], []

    def plan(self, observation, executed, committed=()):
        self.calls.append((observation.stamp_ns, list(executed)))
        self.before.append(observation.before)
        goal = Action(Pose.of([0.7, 0, 0.3], [0, 0, 0, 1]), 0.0)
        now = observation.stamp_ns
        return Plan(now, SPEC.period_ns, np.stack([goal.row()] * 16), now)


def test_the_planner_is_asked_at_its_pace_and_told_what_was_really_sent():
    planner, watched = Leaper(), []
    result = run_episode(planner, World(), 5, watched.append)
    assert result.success
    assert result.seed == 5
    assert len(watched) == World.episode_steps
    assert [stamp // SPEC.period_ns for stamp, _ in planner.calls] == [0, 8, 16]
    assert [len(executed) for _, executed in planner.calls] == [0, 8, 8]
    assert len(result.plan_latency_ms) == 3
    first = planner.calls[1][1]
    assert [a.tool.position_m[0] for a in first] == pytest.approx(
        [0.5 + 0.01 * step for step in range(1, 9)]
    )


class Ordered(Leaper):
    """Notes which costs it was asked to mind."""

    def __init__(self, *costs):
        self.costs = costs

    def plan(self, observation, executed, committed=()):
        self.minded = [*getattr(self, "minded", []), self.costs]
        return super().plan(observation, executed, committed)


def test_what_was_approached_is_minded_no_more_until_the_next_episode():
    """The tool goes 0.01 m with each action; there is a plan each eight of them."""
    near, far = (ApproachFirst((x, 0.0, 0.3), 0.005) for x in (0.55, 0.62))
    slow = SpeedLimit(0.2)
    planner = Ordered(near, slow, far)
    for _ in range(2):
        planner.minded = []
        run_episode(planner, World(), 0)
        assert planner.minded == [(slow, near), (slow, far), (slow,)]
        assert planner.costs == (near, slow, far)


class LateWorld(World):
    """Shows what was three steps ago, with the stamp of then."""

    def observe(self):
        return self._made(max(0, self.steps - 3))

    def _made(self, step):
        stamp, none = step * SPEC.period_ns, np.zeros(1)
        return Observation(stamp, {}, {}, none, none, self.sent.tool, self.sent.gripper_m)


class Holding(World):
    """Holds the robot for a while, and says so."""

    pause = range(6, 13)

    def step(self, action):
        return super().step(self.sent if self.steps in self.pause else action)


class Committing(Leaper):
    """Asks for a way that keeps below the speed limit, with one action under way."""

    every, commit = 2, 1

    def plan(self, observation, executed, committed=()):
        self.calls.append((observation.stamp_ns, list(executed)))
        self.committed.append(list(committed))
        now, here = observation.stamp_ns, observation.tool.position_m[0]
        goals = [Action(Pose.of([here + x, 0, 0.3], [0, 0, 0, 1]), -0.01) for x in ALONG]
        return Plan(now, SPEC.period_ns, np.stack([goal.row() for goal in goals]), now)


ALONG = 0.005 * np.arange(1, 17)


def test_while_the_robot_is_held_nothing_of_a_plan_is_under_way():
    planner, world = Committing(), Holding()
    run_episode(planner, world, 0)
    for number, step in enumerate(range(0, 20, 2)):
        last_was_held = step - 1 in world.pause
        assert len(planner.committed[number]) == (0 if last_was_held or not number else 1)
    held = planner.calls[5][1]
    assert len({action.tool.position_m[0] for action in held}) == 1


class Counter(Leaper):
    """Plans x in millimetres: the time at which each action should be reached."""

    def plan(self, observation, executed, committed=()):
        self.calls.append((observation.stamp_ns, list(executed)))
        self.committed.append([millimetres(action) for action in committed])
        now = observation.stamp_ns
        steps = now // SPEC.period_ns + 1 + np.arange(16)
        goals = [Action(Pose.of([0.5 + 1e-3 * s, 0, 0.3], [0, 0, 0, 1]), 0.0) for s in steps]
        return Plan(now, SPEC.period_ns, np.stack([goal.row() for goal in goals]), now)


def millimetres(action):
    return round(1e3 * (action.tool.position_m[0] - 0.5))


def noting(world, sent):
    """The world's step, which also appends what it is asked to."""
    step = world.step

    def noted(action):
        sent.append(millimetres(action))
        return step(action)

    return noted


@pytest.mark.parametrize(("world", "late"), [(World(), 0), (LateWorld(), 3)])
def test_a_plan_is_followed_by_its_times_even_if_observations_are_late(world, late):
    planner, sent = Counter(), []
    world.step = noting(world, sent)
    run_episode(planner, world, 0)
    assert sent == list(range(1, World.episode_steps + 1))
    assert [stamp // SPEC.period_ns for stamp, _ in planner.calls] == [0, 8 - late, 16 - late]
    for stamp, executed in planner.calls[1:]:
        last = stamp // SPEC.period_ns
        want = [max(0, number) for number in range(last - 7, last + 1)]
        # Those that led to what is seen; before the start the robot stood still.
        assert [millimetres(action) for action in executed] == want


@pytest.mark.parametrize("commit", [0, 1, 3])
@pytest.mark.parametrize(("world", "late"), [(World(), 0), (LateWorld(), 3)])
def test_a_planner_is_told_what_was_sent_since_it_saw_and_what_will_be_till_it_answers(
    world, late, commit
):
    planner = Counter()
    planner.commit = commit
    run_episode(planner, world, 0)
    assert planner.committed[0] == []
    for (stamp, _), committed in zip(planner.calls[1:], planner.committed[1:], strict=True):
        first = stamp // SPEC.period_ns + 1
        assert committed == list(range(first, first + late + commit))


def test_a_plan_that_ends_before_the_next_look_holds_its_last_action():
    class Short(Counter):
        def plan(self, observation, executed, committed=()):
            plan = super().plan(observation, executed)
            return dataclasses.replace(plan, actions=plan.actions[:8])

    world, sent = LateWorld(), []
    world.step = noting(world, sent)
    run_episode(Short(), world, 0)
    assert sent[8:16] == [9, 10, 11, 12, 13, 13, 13, 13]


def figures(solved, seeds=range(20)):
    return {"seeds": list(seeds), "solved": list(solved)}


@given(st.sets(st.integers(0, 19)), st.sets(st.integers(0, 19)))
def test_a_comparison_counts_pairs_that_differ_and_is_the_same_from_both_sides(a, b):
    there, back = compare(figures(a), figures(b)), compare(figures(b), figures(a))
    assert there.episodes == 20
    assert there.only_first - there.only_second == len(a) - len(b)
    assert (there.only_first, there.only_second) == (back.only_second, back.only_first)
    assert there.p_value == pytest.approx(back.p_value)
    assert 0.0 <= there.p_value <= 1.0
    if a == b:
        assert there.p_value == 1.0


def test_the_probability_is_that_of_a_fair_coin():
    found = compare(figures(range(5, 15)), figures(range(5)))
    assert found.p_value == pytest.approx(sum(comb(15, k) for k in range(6)) * 2 / 2**15)
    better = compare(figures(range(10)), figures([]))
    assert better.p_value == pytest.approx(2 / 2**10)


def test_different_seeds_cannot_be_compared():
    with pytest.raises(DfPolicyError, match=r"same seeds.*20 from 0 to 19 and 20 from 5 to 24"):
        compare(figures([]), figures([], range(5, 25)))


def test_the_planner_is_told_what_was_seen_one_action_before():
    planner = Leaper()
    run_episode(planner, World(), 5)
    assert planner.before[0] is None
    for (stamp, _), before in zip(planner.calls[1:], planner.before[1:], strict=True):
        assert before.stamp_ns == stamp - SPEC.period_ns
        assert before.before is None


def test_the_interval_holds_the_rate_and_never_leaves_0_to_1():
    for successes, episodes in ((0, 20), (95, 100), (20, 20)):
        low, high = wilson95(successes, episodes)
        assert 0.0 <= low <= successes / episodes <= high <= 1.0
    assert wilson95(95, 100) == pytest.approx((0.8882, 0.9785), abs=1e-3)


def test_a_summary_counts_each_kind_of_failure():
    results = [
        EpisodeResult(0, True, "success", (1.0, 2.0)),
        EpisodeResult(1, False, "not moved", (3.0,)),
        EpisodeResult(2, False, "not moved", (4.0,)),
    ]
    figures = summary(results)
    assert (figures["successes"], figures["episodes"]) == (1, 3)
    assert figures["failures"] == {"not moved": 2}
    assert figures["seeds"] == [0, 1, 2]
    assert figures["solved"] == [0]
    assert figures["plan_latency_ms"]["p50"] == 2.5
    with pytest.raises(ValueError, match="at least one"):
        summary([])
