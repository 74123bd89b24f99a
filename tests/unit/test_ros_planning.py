"""The worker: every job in order, each failure told and final, a session taken up where it was."""

import numpy as np
import pytest
import torch
from training_data import make_checkpoint

from df_policy.costs import KeepOutBox, SpeedLimit, write
from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Observation
from df_policy.geometry import Pose
from df_policy.guidance import price
from df_policy.plan import Plan, Trace
from df_policy.policy import Policy
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.planning import Job, Recall, Worker, check

TOOL = Pose.of([0.5, 0.0, 0.3], [1, 0, 0, 0])


def observation(stamp_ns=0):
    return Observation(stamp_ns, {}, {}, np.zeros(1), np.zeros(1), TOOL, 0.08)


def plan(stamp_ns=0):
    return Plan(stamp_ns, 100, np.array([Action(TOOL, 0.08).row()] * 2), stamp_ns)


def job(session, seed=0, stamp=0, costs=""):
    return Job(session, seed, stamp, observation(stamp), [], [], 0, costs)


class FakePlanner:
    spec = RobotSpec("arm", ("j1",), {})
    every, commit = 2, 1

    def __init__(self):
        self.calls = []
        self.answer = lambda seen: plan(seen.stamp_ns)

    def reset(self, seed):
        self.calls.append(f"reset {seed}")

    def plan(self, seen, executed, committed=()):
        self.calls.append(f"plan {seen.stamp_ns}")
        return self.answer(seen)

    def remember(self, seen, executed):
        self.calls.append(f"remember {seen.stamp_ns}")

    def trace(self):
        return Trace(self.calls[-1].encode(), str(len(self.calls)).encode())

    def recall(self, tokens, rest):
        self.calls.append(f"recall {b','.join(tokens).decode()} {rest.decode()}")


@pytest.fixture
def planner():
    return FakePlanner()


@pytest.fixture
def worker(planner):
    times = iter(range(0, 10_000, 10))
    return Worker(planner, lambda: next(times))


def test_a_job_becomes_a_plan_with_its_times_and_what_it_left_behind(worker):
    outcome = worker.carry_out(job(3, stamp=7), got_ns=-5)
    assert (outcome.session, outcome.number, outcome.plan.observed_ns) == (3, 7, 7)
    assert (outcome.got_ns, outcome.begun_ns, outcome.ready_ns) == (-5, 0, 10)
    assert outcome.compute_s == pytest.approx(1e-8)
    assert outcome.trace == Trace(b"plan 7", b"2")


def test_the_planner_is_reset_for_each_session_and_only_then(planner, worker):
    for session, seed in ((0, 5), (0, 5), (1, 6)):
        worker.carry_out(job(session, seed), 0)
    assert planner.calls == ["reset 5", "plan 0", "plan 0", "reset 6", "plan 0"]


def test_a_job_that_nobody_waits_for_is_remembered_without_a_plan(planner, worker):
    outcome = worker.carry_out(job(0), 0, plan=False)
    assert (outcome.plan, outcome.problem) == (None, "")
    assert outcome.trace.token == b"remember 0"
    assert planner.calls == ["reset 0", "remember 0"]


def test_a_session_is_taken_up_where_another_planner_left_it(planner, worker):
    worker.recall(Recall(4, [b"a", b"b"], b""))
    assert planner.calls == []
    worker.recall(Recall(4, [b"c"], b"rest"))
    worker.carry_out(job(4, stamp=9), 0)
    assert planner.calls == ["recall a,b,c rest", "plan 9"]


def test_what_cannot_be_recalled_is_told_with_the_next_job(planner, worker):
    def refuse(tokens, rest):
        raise DfPolicyError("another checkpoint's")

    planner.recall = refuse
    worker.recall(Recall(4, [], b"rest"))
    assert worker.carry_out(job(4), 0).problem == "another checkpoint's"
    assert worker.carry_out(job(5), 0).problem == ""


@pytest.mark.parametrize("error", [DfPolicyError("no camera"), ZeroDivisionError("oops")])
def test_a_failure_is_told_and_final_until_the_next_session(planner, worker, error):
    def fail(seen):
        raise error

    works, planner.answer = planner.answer, fail
    failed = worker.carry_out(job(0), 0)
    assert failed.plan is None
    assert str(error) in failed.problem
    planner.answer = works
    again = worker.carry_out(job(0), 0)
    assert (again.plan, again.problem, again.trace) == (None, failed.problem, None)
    assert planner.calls == ["reset 0", "plan 0"]
    assert worker.carry_out(job(1), 0).problem == ""


def test_a_plan_that_cannot_be_carried_out_is_refused(planner, worker):
    bad = plan()
    bad.actions[1, 2] = np.nan
    planner.answer = lambda seen: bad
    outcome = worker.carry_out(job(0), 0)
    assert "finite" in outcome.problem
    assert outcome.plan is None


def test_a_plan_without_proper_rotations_is_refused():
    bad = plan()
    bad.actions[0, 3:9] = 0.0
    with pytest.raises(DfPolicyError, match="proper rotations"):
        check(bad)
    with pytest.raises(DfPolicyError, match="finite"):
        check(Plan(0, 100, np.zeros((0, 10)), 0))


def test_plans_are_bent_by_the_costs_of_their_job():
    policy = Policy(make_checkpoint())
    worker = Worker(policy)
    images = {name: np.zeros((*size, 3), np.uint8) for name, size in policy.spec.cameras.items()}
    stamps = dict.fromkeys(images, 0)
    seen = Observation(0, images, stamps, np.zeros(1), np.zeros(1), TOOL, 0.08)

    def planned(session, costs):
        text = write(costs)
        return worker.carry_out(Job(session, 7, 0, seen, [], [], 0, text), 0).plan.actions

    free = planned(0, ())
    zone = KeepOutBox(tuple(map(float, free[8, :3])), (0.02, 0.02, 0.02))
    bent = planned(1, (zone,))

    def cost(actions):
        return float(price(zone, torch.from_numpy(actions)[None], 0.1))

    assert cost(bent) < 0.5 * cost(free)
    np.testing.assert_array_equal(planned(2, ()), free)


def test_a_planner_whose_plans_cannot_be_bent_says_so_and_plans_without(worker):
    costs = write((SpeedLimit(0.1),))
    refused = worker.carry_out(job(0, costs=costs), 0)
    assert refused.plan is None
    assert "cannot be bent" in refused.problem
    assert worker.carry_out(job(1), 0).plan is not None


def test_costs_that_are_none_are_a_problem_and_no_crash(planner, worker):
    planner.costs = ()
    assert "JSON list" in worker.carry_out(job(0, costs="{"), 0).problem
    assert worker.carry_out(job(1), 0).problem == ""
