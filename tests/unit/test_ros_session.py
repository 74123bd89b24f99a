"""A session looks on its grid, says what was executed, and holds the robot when it is blind.

Its planner hears of every token, or of none any more.
"""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from df_policy.align import JointReading, LateStreamError, RobotStreams
from df_policy.costs import ApproachFirst, SpeedLimit, parse, write
from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.plan import Plan
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.planning import Outcome
from df_policy.ros_nodes.session import WAITING, PolicySession, Timing

SPEC = RobotSpec("arm", ("j1",), {"front": (4, 4), "wrist": (4, 4)})
MS = 1_000_000
TIMING = Timing(tick_ns=20 * MS, every=8, commit=1, gather_ns=60 * MS, plan_age_ns=1400 * MS)
TOOL = Pose.of([0.5, 0.0, 0.3], [1, 0, 0, 0])


class FakePlanning:
    """Answers `delay` ticks after a job with a plan that lifts the tool."""

    def __init__(self, delay=1, tokens=2):
        self.jobs, self.delay, self.tokens, self.left = [], delay, tokens, -1
        self.problem, self.full, self.down = "", False, ""

    def submit(self, job):
        if self.full or self.down:
            return False
        self.jobs.append(job)
        self.left = self.delay
        return True

    waiting = 16

    def take(self):
        self.left -= 1
        if self.left != 0:
            return None
        job = self.jobs[-1]
        times = {"got_ns": job.sent_ns + 2, "begun_ns": job.sent_ns + 3, "trace": None}
        times["ready_ns"] = job.sent_ns + MS
        if self.problem:
            return Outcome(job.session, job.number, None, self.problem, **times)
        start = job.observation.stamp_ns
        heights = 0.3 + 1e-11 * (start + 100 * MS * np.arange(1, 8 * self.tokens + 1))
        rows = [Action(Pose.of([0.5, 0, z], [1, 0, 0, 0]), 0.08).row() for z in heights]
        plan = Plan(start, 100 * MS, np.array(rows), start)
        return Outcome(job.session, job.number, plan, "", **times)


class Run:
    """A robot at 50 Hz with two cameras at 10 Hz, and a session that drives it."""

    def __init__(self, **planning):
        self.streams = RobotStreams(SPEC.cameras, 0.15, 0.1)
        self.planning = FakePlanning(**planning)
        self.now, self.late_ns = 0, 0
        self.dead = set()
        self.sense()
        self.session = PolicySession(
            0, 3, SPEC, TIMING, self.streams, self.planning, self.now, mono_ns=lambda: self.now
        )
        self.targets, self.reasons = [], []

    def sense(self):
        reading = JointReading(np.zeros(1), np.zeros(1), 0.08)
        self.streams.joints.add(self.now, reading, heard_ns=self.now)
        self.streams.tool.add(self.now, TOOL, heard_ns=self.now)
        taken = self.now - self.late_ns
        if taken >= 0 and taken % (100 * MS) == 0:
            for camera in SPEC.cameras:
                if camera not in self.dead:
                    image = np.zeros((4, 4, 3), np.uint8)
                    self.streams.images[camera].add(taken, image, heard_ns=self.now)

    def go(self, ticks):
        for _ in range(ticks):
            self.now += 20 * MS
            self.sense()
            self.session.look(self.now)
            target, _, reason = self.session.target(self.now)
            self.session.sent(self.now, target)
            self.targets.append(target)
            self.reasons.append(reason)
        return self


def test_it_looks_at_its_pace_on_the_grid_of_the_first_new_images():
    run = Run().go(200)
    stamps = [job.observation.stamp_ns for job in run.planning.jobs]
    assert stamps == [100 * MS + 800 * MS * n for n in range(5)]
    assert all(set(job.observation.images) == {"front", "wrist"} for job in run.planning.jobs)


def test_the_planner_is_told_what_was_seen_one_action_before():
    run = Run().go(200)
    assert run.planning.jobs[0].observation.before is None
    for job in run.planning.jobs[1:]:
        assert job.observation.before.stamp_ns == job.observation.stamp_ns - 100 * MS
        assert job.observation.before.before is None


def test_a_look_is_taken_though_what_was_seen_before_it_is_lost():
    run = Run().go(70)  # until 1400 ms; the next look is at 1700 ms, its forerunner at 1600 ms
    run.dead.add("wrist")
    run.go(12)
    run.dead.clear()
    run.go(20)
    assert run.planning.jobs[-1].observation.stamp_ns == 1700 * MS
    assert run.planning.jobs[-1].observation.before is None
    assert run.reasons[-1] == ""


def test_the_planner_hears_what_was_sent_since_it_last_looked():
    run = Run().go(200)
    assert run.planning.jobs[0].executed == []
    for job in run.planning.jobs[1:]:
        end = job.observation.stamp_ns
        times = end - 100 * MS * np.arange(7, -1, -1)
        heights = [action.tool.position_m[2] for action in job.executed]
        np.testing.assert_allclose(heights, 0.3 + 1e-11 * times, atol=1e-9)


@pytest.mark.parametrize("delay", [1, 7, 12])
def test_the_planner_hears_what_will_be_sent_until_it_can_answer(delay):
    """One action at least; where looks are late, as many as begin before a plan can be there."""
    run = Run(delay=delay)
    run.late_ns = 260 * MS
    for stream in run.streams.images.values():
        stream.max_age_s = 0.45
    run.go(200)
    first, *others = run.planning.jobs
    assert len(others) >= 3
    assert first.committed == [Action(TOOL, 0.08)] * 2  # it was held so long since that look
    for job in others:
        start = job.observation.stamp_ns
        heights = [action.tool.position_m[2] for action in job.committed]
        assert len(heights) == 3
        times = start + 100 * MS * np.arange(1, 4)
        np.testing.assert_allclose(heights, 0.3 + 1e-11 * times, atol=1e-9)


def test_between_start_and_first_plan_it_stays_where_it_is():
    run = Run(delay=4).go(8)
    assert run.targets[0] == Action(TOOL, 0.08)
    assert run.reasons[0] == WAITING
    assert run.reasons[-1] == ""


def test_late_plans_are_bridged_by_the_token_before():
    run = Run(delay=15).go(200)
    follows = [n for n, reason in enumerate(run.reasons) if not reason]
    assert follows == list(range(follows[0], 200))
    assert np.isfinite([target.row() for target in run.targets]).all()


def test_a_plan_of_what_was_seen_too_long_ago_is_not_followed_to_its_end():
    run = Run(tokens=4).go(60)
    run.planning.delay = 10**6  # it hangs; the next look is at 1700 ms
    run.go(100)
    moved = [n for n, reason in enumerate(run.reasons) if not reason]
    seen_ms = run.planning.jobs[1].observation.stamp_ns / MS
    assert 1380 <= 20 * (moved[-1] + 1) - seen_ms <= 1400
    assert "expected a plan of what was seen within 1.4 s" in run.reasons[moved[-1] + 1]
    assert run.session.figures.holds["old plan"] > 0


def test_a_plan_of_one_token_that_is_late_holds_and_says_so():
    run = Run(delay=15, tokens=1).go(120)
    assert any("expected a plan in time" in reason for reason in run.reasons)
    assert run.session.figures.holds["no plan"] > 0


def test_a_dead_camera_holds_the_last_target_and_is_named():
    run = Run().go(60)
    run.dead.add("wrist")
    run.go(60)
    held = [n for n, reason in enumerate(run.reasons) if "camera/wrist" in reason]
    assert 5 <= held[0] - 60 <= 10
    assert held == list(range(held[0], 120))
    assert all(run.targets[n] == run.targets[held[0] - 1] for n in held)


def test_it_goes_on_when_the_camera_comes_back_before_the_next_look():
    run = Run().go(50)  # until 1000 ms; the next look is at 1700 ms
    run.dead.add("wrist")
    run.go(25)
    assert "camera/wrist" in run.reasons[-1]
    run.dead.clear()
    run.go(60)
    assert run.reasons[-1] == ""
    assert [job.observation.stamp_ns for job in run.planning.jobs] == [
        100 * MS,
        900 * MS,
        1700 * MS,
        2500 * MS,
    ]
    steps = np.diff([target.tool.position_m for target in run.targets], axis=0)
    assert np.abs(steps).max() <= SPEC.max_speed_m_s * 0.02 + 1e-9
    assert len(run.planning.jobs[-1].executed) == 8


def test_after_a_look_that_was_lost_it_goes_on_with_a_new_grid_and_the_same_memory():
    run = Run().go(60)
    run.dead.add("wrist")
    run.go(60)  # until 2400 ms; the look at 1700 ms is lost
    jobs = len(run.planning.jobs)
    assert "camera/wrist" in run.reasons[-1]
    held = run.targets[-1]
    run.dead.clear()
    run.go(60)
    assert run.reasons[-1] == ""
    assert run.session.figures.pauses == {"camera/wrist": 1}
    new = run.planning.jobs[jobs:]
    assert new[0].number == jobs  # the same session: nothing was forgotten
    assert new[0].observation.stamp_ns == 2600 * MS  # what is seen first has a forerunner
    assert new[0].observation.before.stamp_ns == 2500 * MS
    assert new[0].executed == [held] * 8
    heights = np.array([target.tool.position_m[2] for target in run.targets])
    moved = np.flatnonzero(heights != held.tool.position_m[2])
    assert 129 <= moved[moved >= 120][0] <= 134
    steps = np.diff([target.tool.position_m for target in run.targets], axis=0)
    assert np.abs(steps).max() <= SPEC.max_speed_m_s * 0.02 + 1e-9


def test_while_the_planner_is_dead_it_holds_and_afterwards_goes_on():
    run = Run().go(60)
    run.planning.down = "the planner died (exit code -9)"
    run.go(1)
    assert "exit code -9" in run.reasons[-1]
    held, jobs = run.targets[-1], len(run.planning.jobs)
    run.go(200)
    assert set(run.reasons[60:]) == {run.reasons[60]}
    assert all(target == held for target in run.targets[60:])
    assert len(run.planning.jobs) == jobs
    run.planning.down = ""
    run.go(10)
    assert run.reasons[-1] == ""
    assert run.planning.jobs[-1].number == jobs
    assert run.planning.jobs[-1].executed == [held] * 8
    assert run.session.figures.pauses == {"planner": 1}


def test_a_plan_made_before_a_pause_is_not_followed_after_it():
    run = Run(delay=12).go(6)
    assert len(run.planning.jobs) == 1
    run.planning.down = "the planner died"
    run.go(2)
    run.planning.down = ""
    run.planning.left = 1
    run.go(1)
    assert "waiting for a new plan, the planner died" in run.reasons[-1]
    run.go(30)
    assert run.reasons[-1] == ""


def test_a_planner_far_behind_pauses_the_session():
    run = Run().go(60)
    run.planning.full = True
    run.go(60)
    assert "16 tokens behind" in run.reasons[-1]
    run.planning.full = False
    run.go(60)
    assert run.reasons[-1] == ""


def test_a_clock_that_is_set_back_pauses_the_session():
    run = Run().go(160)
    run.now = 100 * MS
    for stream in run.streams.all():
        stream.clear()
    last = run.targets[-1]
    run.go(3)
    assert run.targets[-1] == last
    run.go(20)
    assert run.reasons[-1] == ""
    assert run.session.figures.pauses == {"clock": 1}
    assert run.planning.jobs[-1].executed == [last] * 8


@given(st.integers(2, 49))
@settings(max_examples=10)
def test_a_clock_set_back_by_less_than_a_second_holds_with_the_reason_until_it_is_there_again(
    ticks,
):
    """What lies ahead by so little is waited for: no plan is lost, and nobody moves meanwhile."""
    run = Run().go(60)
    last, jobs = run.targets[-1], len(run.planning.jobs)
    run.now -= ticks * 20 * MS
    run.go(ticks - 1)
    assert all("the clock was set back" in reason for reason in run.reasons[60:])
    assert run.targets[60:] == [last] * (ticks - 1)
    assert run.session.figures.holds["clock"] == ticks - 1
    run.go(40)
    assert run.reasons[60 + ticks :] == [""] * 39
    steps = np.diff([target.tool.position_m for target in run.targets], axis=0)
    assert np.abs(steps).max() <= SPEC.max_speed_m_s * 0.02 + 1e-9
    assert run.session.figures.pauses == {}
    assert len(run.planning.jobs) >= jobs


def test_a_clock_set_back_a_little_again_and_again_is_one_that_was_set_back_far():
    run = Run().go(160)
    for _ in range(3):
        run.now -= 500 * MS
        run.go(1)
    assert run.session.figures.pauses == {"clock": 1}


@pytest.mark.parametrize("slow", [1, 2])
def test_a_plan_that_took_long_once_lengthens_no_other(slow):
    """Two of the last twenty do, until twenty others have come: that is how long plans take."""
    run = Run().go(60)
    for _ in range(slow):
        run.session.figures.answered(0.45)
    run.session.figures.answered(0.02)
    run.go(41)  # the next look, at 1700 ms
    assert len(run.planning.jobs[-1].committed) == (1 if slow == 1 else 5)
    for _ in range(20):
        run.session.figures.answered(0.02)
    run.go(40)
    assert len(run.planning.jobs[-1].committed) == 1


def test_looks_wait_as_long_as_images_usually_take():
    """Measured, not assumed: else each look would see what was before it."""
    run = Run()
    for _ in range(200):
        run.now += 20 * MS
        late = run.now - 300 * MS
        if late >= 0:
            reading = JointReading(np.zeros(1), np.zeros(1), 0.08)
            run.streams.joints.add(late, reading, heard_ns=run.now)
            run.streams.tool.add(late, TOOL, heard_ns=run.now)
            if late % (100 * MS) == 0:
                for camera in SPEC.cameras:
                    image = np.zeros((4, 4, 3), np.uint8)
                    run.streams.images[camera].add(late, image, heard_ns=run.now)
        for stream in run.streams.all():
            stream.max_age_s = 0.45
        run.session.look(run.now)
        run.session.target(run.now)
    assert run.session.report()["look_image_age_ms_worst"] == 0.0
    assert run.session.report()["image to node ms_p50"] == 300.0
    assert len(run.planning.jobs[-1].committed) == 4
    assert run.session.figures.late_actions == 0


def test_waiting_long_for_the_first_plan_says_what_is_missing():
    run = Run(delay=1000).go(150)
    assert run.reasons[90] == WAITING
    assert "expected the planner's answer" in run.reasons[-1]
    blind = Run()
    for camera in SPEC.cameras:  # as if all that came later bore the stamps of the start
        blind.dead.add(camera)
        blind.streams.images[camera].max_age_s = 10.0
    blind.go(150)
    assert "expected new images of every camera, got none in 3 s" in blind.reasons[-1]


def test_an_image_under_way_is_waited_for():
    run = Run().go(44)  # until 880 ms; the next look is at 900 ms
    run.dead.add("wrist")
    jobs = len(run.planning.jobs)
    run.go(1)
    assert len(run.planning.jobs) == jobs
    run.streams.images["wrist"].add(900 * MS, np.ones((4, 4, 3), np.uint8))
    run.session.look(run.now)
    assert run.planning.jobs[-1].observation.image_stamps_ns["wrist"] == 900 * MS


def test_an_image_that_does_not_come_is_replaced_by_the_one_before():
    run = Run().go(44)
    run.dead.add("wrist")
    run.go(5)
    assert run.planning.jobs[-1].observation.stamp_ns == 900 * MS
    assert run.planning.jobs[-1].observation.image_stamps_ns["wrist"] == 800 * MS
    assert run.session.report()["look_image_age_ms_worst"] == 100.0


def test_a_planner_that_fails_holds_the_robot_with_its_reason():
    run = Run(tokens=1).go(60)
    run.planning.problem = "out of memory"
    run.go(60)
    assert run.reasons[-1] == "out of memory; call policy/start again"
    assert run.targets[-1] == run.targets[-2]


def test_plans_of_an_earlier_session_are_not_followed():
    run = Run(delay=4).go(6)
    run.session.number = 1
    run.go(10)
    assert run.targets[-1] == Action(TOOL, 0.08)
    assert run.reasons[-1] == WAITING


def test_time_that_leaps_over_a_look_begins_a_new_grid():
    run = Run().go(60)
    run.now += 3_000 * MS
    run.sense()
    run.go(60)
    assert run.reasons[-1] == ""
    stamps = [job.observation.stamp_ns for job in run.planning.jobs]
    assert stamps[:2] == [100 * MS, 900 * MS]
    assert min(stamps[2:]) > 4200 * MS


def test_looks_that_nobody_took_in_time_are_made_up_for():
    run = Run().go(60)
    for _ in range(100):  # all is heard, but the session gets no turn
        run.now += 20 * MS
        run.sense()
    run.go(10)
    stamps = [job.observation.stamp_ns for job in run.planning.jobs]
    assert stamps == [100 * MS + 800 * MS * n for n in range(5)]
    assert run.reasons[-1] == ""


def test_a_robot_that_is_silent_is_no_start():
    streams = RobotStreams(SPEC.cameras, 0.25, 0.1)
    with pytest.raises(LateStreamError, match="current_pose"):
        PolicySession(0, 0, SPEC, TIMING, streams, FakePlanning(), 0)


def test_the_report_tells_latencies_and_holds():
    report = Run().go(60).session.report()
    assert report["looks"] == 2
    assert report["look_image_age_ms_worst"] == 0.0
    assert report["plan_latency_ms_p50"] == pytest.approx(0.0, abs=40.0)
    assert report["held_ticks first plan"] > 0


def test_from_a_change_on_plans_are_asked_for_with_the_new_costs():
    run = Run().go(60)
    slower = write((SpeedLimit(0.2),))
    run.session.bend(slower)
    run.go(100)
    assert [job.costs for job in run.planning.jobs] == ["", "", slower, slower]


def test_what_is_to_be_approached_first_is_asked_for_until_the_tool_was_there():
    """The plan lifts by 10 mm a second."""
    run = Run().go(60)
    high, low = (ApproachFirst((0.5, 0.0, z), 0.004) for z in (0.35, 0.32))
    run.session.bend(write((high, low, SpeedLimit(0.2))))
    run.go(300)
    asked = [(parse(job.costs), job.observation.stamp_ns) for job in run.planning.jobs[2:]]
    before = [stamp_ns for costs, stamp_ns in asked if costs == (SpeedLimit(0.2), high)]
    after = [stamp_ns for costs, stamp_ns in asked if costs == (SpeedLimit(0.2), low)]
    assert len(before) + len(after) == len(asked)
    assert max(before) <= 4600 * MS <= min(after)  # though it passed the lower one on the way
