"""The planning thread: never in the way, every job in order, each failure told and final."""

import threading

import numpy as np
import pytest

from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Observation
from df_policy.geometry import Pose
from df_policy.plan import Plan
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.planning import MOST_WAITING, Job, PlanningThread, check

TOOL = Pose.of([0.5, 0.0, 0.3], [1, 0, 0, 0])


def observation(stamp_ns=0):
    return Observation(stamp_ns, {}, {}, np.zeros(1), np.zeros(1), TOOL, 0.08)


def plan(stamp_ns=0):
    return Plan(stamp_ns, 100, np.array([Action(TOOL, 0.08).row()] * 2), stamp_ns)


class FakePlanner:
    spec = RobotSpec("arm", ("j1",), {})
    every, commit = 2, 1

    def __init__(self):
        self.go = threading.Semaphore(0)
        self.begun = threading.Semaphore(0)
        self.calls = []
        self.answer = lambda seen: plan(seen.stamp_ns)

    def reset(self, seed):
        self.calls.append(f"reset {seed}")

    def plan(self, seen, executed, committed=()):
        self.begun.release()
        self.calls.append(f"plan {seen.stamp_ns}")
        assert self.go.acquire(timeout=5.0)
        return self.answer(seen)


@pytest.fixture
def planner():
    return FakePlanner()


@pytest.fixture
def planning(planner):
    thread = PlanningThread(planner)
    thread.start()
    yield thread
    planner.go.release(100)
    assert thread.close()


def outcome(planning, timeout_s=5.0):
    wait = threading.Event()
    for _ in range(int(timeout_s / 0.002)):
        taken = planning.take()
        if taken is not None:
            return taken
        wait.wait(0.002)
    raise AssertionError("no outcome")


def test_submitting_never_waits_and_every_job_is_done_in_order(planner, planning):
    planning.submit(Job(0, 7, observation(1), [], []))
    assert planner.begun.acquire(timeout=5.0)
    for stamp in (2, 3, 4):
        assert planning.submit(Job(0, 7, observation(stamp), [], []))
    assert planning.take() is None
    assert planning.waiting == 3
    for _ in range(4):
        planner.go.release()
    while (taken := outcome(planning)).plan.observed_ns < 4:
        pass
    assert taken.plan.observed_ns == 4
    assert planner.calls == ["reset 7", "plan 1", "plan 2", "plan 3", "plan 4"]


def test_only_the_newest_outcome_is_given(planner, planning):
    for stamp in (1, 2, 3):
        planner.go.release()
        planning.submit(Job(0, 7, observation(stamp), [], []))
    planning.submit(Job(0, 7, observation(4), [], []))
    for _ in range(4):  # the fourth has begun: what became of the three is known
        assert planner.begun.acquire(timeout=5.0)
    assert outcome(planning).plan.observed_ns == 3
    assert planning.take() is None


def test_a_planner_far_behind_is_given_no_more(planner, planning):
    planning.submit(Job(0, 0, observation(), [], []))
    assert planner.begun.acquire(timeout=5.0)
    taken = [planning.submit(Job(0, 0, observation(n), [], [])) for n in range(MOST_WAITING + 2)]
    assert taken == [True] * MOST_WAITING + [False] * 2
    assert planning.submit(Job(1, 0, observation(), [], []))
    assert planning.waiting == 1


def test_jobs_of_a_session_that_is_over_are_dropped(planner, planning):
    for stamp in (1, 2, 3):
        planning.submit(Job(0, 5, observation(stamp), [], []))
    assert planner.begun.acquire(timeout=5.0)
    planning.submit(Job(1, 6, observation(4), [], []))
    planner.go.release()
    planner.go.release()
    while outcome(planning).session != 1:
        pass
    assert planner.calls == ["reset 5", "plan 1", "reset 6", "plan 4"]


def test_an_outcome_is_given_once(planner, planning):
    planner.go.release()
    planning.submit(Job(0, 0, observation(), [], []))
    outcome(planning)
    assert planning.take() is None


def test_the_planner_is_reset_for_each_session_and_only_then(planner, planning):
    for session, seed in ((0, 5), (0, 5), (1, 6)):
        planner.go.release()
        planning.submit(Job(session, seed, observation(), [], []))
        assert outcome(planning).session == session
    assert planner.calls == ["reset 5", "plan 0", "plan 0", "reset 6", "plan 0"]


@pytest.mark.parametrize("error", [DfPolicyError("no camera"), ZeroDivisionError("oops")])
def test_a_failure_is_told_and_final_until_the_next_session(planner, planning, error):
    def fail(seen):
        raise error

    works, planner.answer = planner.answer, fail
    planner.go.release()
    planning.submit(Job(0, 0, observation(), [], []))
    failed = outcome(planning)
    assert failed.plan is None
    assert str(error) in failed.problem
    planner.answer = works
    planning.submit(Job(0, 0, observation(), [], []))
    again = outcome(planning)
    assert (again.plan, again.problem) == (None, failed.problem)
    assert planner.calls == ["reset 0", "plan 0"]
    planner.go.release()
    planning.submit(Job(1, 0, observation(), [], []))
    assert outcome(planning).problem == ""


def test_a_plan_that_cannot_be_carried_out_is_refused(planner, planning):
    bad = plan()
    bad.actions[1, 2] = np.nan
    planner.answer = lambda seen: bad
    planner.go.release()
    planning.submit(Job(0, 0, observation(), [], []))
    assert "finite" in outcome(planning).problem


def test_a_plan_without_proper_rotations_is_refused():
    bad = plan()
    bad.actions[0, 3:9] = 0.0
    with pytest.raises(DfPolicyError, match="proper rotations"):
        check(bad)
    with pytest.raises(DfPolicyError, match="finite"):
        check(Plan(0, 100, np.zeros((0, 10)), 0))


def test_closing_gives_up_on_a_planner_that_does_not_return(planner):
    thread = PlanningThread(planner)
    thread.start()
    thread.submit(Job(0, 0, observation(), [], []))
    assert planner.begun.acquire(timeout=5.0)
    assert not thread.close(timeout_s=0.05)
    planner.go.release()
    assert thread.close()


def test_a_thread_that_was_never_started_closes(planner):
    assert PlanningThread(planner).close()
