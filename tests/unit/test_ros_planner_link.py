"""The link: nobody waits, a planner that dies has a successor that knows what it knew."""

import dataclasses
import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import counting_planner
import numpy as np
import pytest
from counting_planner import SPEC, CountingPlanner
from line import in_thread

from df_policy.errors import DfPolicyError
from df_policy.frames import Observation
from df_policy.geometry import Pose
from df_policy.ros_nodes import planner_link
from df_policy.ros_nodes.channel import Channel
from df_policy.ros_nodes.planner_link import PlannerLink
from df_policy.ros_nodes.planner_start import starter
from df_policy.ros_nodes.planning import MOST_WAITING, Hello, Job, Outcome, Recall

TOOL = Pose.of([0.5, 0.0, 0.3], [1, 0, 0, 0])
ROOT = Path(__file__).parents[2]


def job(number, session=0, bright=0):
    images = {name: np.full((*size, 3), bright, np.uint8) for name, size in SPEC.cameras.items()}
    seen = Observation(
        number, images, dict.fromkeys(images, number), np.zeros(2), np.zeros(2), TOOL, 0.08
    )
    return Job(session, 7, number, seen, [], [], 0)


@pytest.fixture
def process(monkeypatch):
    """Starts the counting planner as a program."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests' / 'fakes'}")
    program = [sys.executable, counting_planner.__file__]
    return starter(lambda line: [*program, str(line)])


@pytest.fixture
def links():
    made = []
    yield lambda *args, **kinds: made.append(PlannerLink(*args, **kinds)) or made[-1]
    for link in made:
        link.close()


def until(link, done, timeout_s=120.0):
    """Take outcomes until one will do."""
    deadline = time.monotonic() + timeout_s
    while time.monotonic() < deadline:
        outcome = link.take()
        if done(outcome):
            return outcome
        time.sleep(0.002)
    raise AssertionError(f"timed out: {link.down or 'the planner is there'}")


def plan_of(link):
    return until(link, lambda outcome: outcome is not None and outcome.plan is not None)


def remembered(outcome):
    return round(outcome.plan.action(0).gripper_m * 1e3)


def test_the_planner_says_what_it_drives(links):
    hello = links(in_thread(CountingPlanner)).hello()
    assert (hello.spec(), hello.every, hello.commit) == (SPEC, 2, 1)


def test_images_reach_the_planner_through_shared_memory(links):
    link = links(in_thread(CountingPlanner))
    link.hello()
    for number in range(3 * MOST_WAITING):  # every slot more than once
        assert link.submit(job(number, bright=number))
        assert plan_of(link).plan.trust == {"front": number, "wrist": number}


def test_of_jobs_that_wait_together_all_are_remembered_and_the_newest_is_planned(links):
    heard = []
    link = links(in_thread(lambda: CountingPlanner(pause_s=0.2)), heard.append)
    link.hello()
    for number in range(5):
        assert link.submit(job(number))
    newest = until(link, lambda outcome: outcome is not None and outcome.number == 4)
    assert remembered(newest) == 5
    outcomes = [record for record in heard if isinstance(record, Outcome)]
    assert [outcome.number for outcome in outcomes] == list(range(5))
    planned = [outcome.number for outcome in outcomes if outcome.plan is not None]
    assert planned[-1] == 4
    assert len(planned) <= 2
    assert link.waiting == 0


def test_submitting_to_a_planner_far_behind_is_refused_and_never_waits(links):
    link = links(in_thread(lambda: CountingPlanner(pause_s=0.5)))
    link.hello()
    taken = [link.submit(job(number)) for number in range(MOST_WAITING + 2)]
    assert taken == [True] * MOST_WAITING + [False] * 2
    until(link, lambda outcome: outcome is not None and outcome.number == MOST_WAITING - 1)
    assert link.submit(job(MOST_WAITING))


def test_jobs_of_a_session_that_is_over_are_dropped(links):
    link = links(in_thread(lambda: CountingPlanner(pause_s=0.1)))
    link.hello()
    for number in range(MOST_WAITING):
        link.submit(job(number, session=0))
    assert link.submit(job(0, session=1))
    outcome = until(link, lambda outcome: outcome is not None and outcome.session == 1)
    assert remembered(outcome) == 1
    for number in range(1, 2 * MOST_WAITING):  # no slot was lost
        assert link.submit(job(number, session=1))
        plan_of(link)


def test_a_planner_that_cannot_be_made_says_why(links):
    def fail():
        raise DfPolicyError("no checkpoint")

    with pytest.raises(DfPolicyError, match="no checkpoint"):
        links(in_thread(fail)).hello(5.0)


def test_a_program_that_dies_at_once_is_told(links, process, monkeypatch):
    monkeypatch.setenv("COUNTING_DIES", "1")
    with pytest.raises(DfPolicyError, match=r"expected a planner, got none.*exit code 3"):
        links(process).hello()


def test_a_program_that_is_not_there_is_told(links):
    with pytest.raises(DfPolicyError, match="cannot be started"):
        links(starter(lambda line: ["/nowhere/at/all"])).hello()


def test_a_killed_planner_has_a_successor_that_knows_what_it_knew(links, process):
    heard = []
    link = links(process, heard.append)
    link.hello()
    for number in range(3):
        link.submit(job(number))
        assert remembered(plan_of(link)) == number + 1
    os.kill(link.process, signal.SIGSTOP)  # the next job will have no answer
    assert link.submit(job(3))
    planner = link.process
    os.kill(planner, signal.SIGKILL)
    os.waitid(os.P_PID, planner, os.WEXITED | os.WNOWAIT)
    assert link.take() is None  # noticed at once
    assert "exit code -9" in link.down
    assert not link.submit(job(4))
    assert remembered(plan_of(link)) == 4
    assert link.down == ""
    assert link.deaths == 1
    recall = next(record for record in heard if isinstance(record, Recall))
    assert recall.tokens == [b"0", b"1", b"2"]
    assert link.submit(job(4))
    assert remembered(plan_of(link)) == 5


def test_a_planner_that_hangs_is_killed_and_replaced(links, process, monkeypatch):
    link = links(process)
    link.hello()
    link.submit(job(0))
    plan_of(link)
    monkeypatch.setattr(planner_link, "SILENT_S", 0.3)
    os.kill(link.process, signal.SIGSTOP)
    link.submit(job(1))
    until(link, lambda _: "no answer for 0.3 s" in link.down)
    monkeypatch.setattr(planner_link, "SILENT_S", 30.0)
    assert remembered(plan_of(link)) == 2


def test_a_planner_that_talks_nonsense_is_replaced(links):
    lines = []

    def start(end):
        lines.append(end.dup())
        return in_thread(CountingPlanner)(end)

    link = links(start)
    link.hello()
    for nonsense in (b"\xff", b"\x03 no outcome", b"\x00"):
        lines[-1].send(nonsense)
        until(link, lambda _: "cannot be understood" in link.down)
        until(link, lambda _: not link.down)
    assert link.submit(job(0))
    assert remembered(plan_of(link)) == 1
    for line in lines:
        line.close()


def test_a_successor_that_is_another_policy_is_refused_until_the_first_is_back(links):
    class Other(CountingPlanner):
        every = 4

    made = iter([CountingPlanner, Other, CountingPlanner])
    link = links(lambda end: in_thread(next(made))(end))
    link.hello()
    link.submit(job(0))
    plan_of(link)
    link._running.kill()
    until(link, lambda _: "another policy is there now" in link.down)
    until(link, lambda _: not link.down)
    link.submit(job(1))
    assert remembered(plan_of(link)) == 2


class DiesAtOnce:
    """A planner's process that says what it is and then ends."""

    def __init__(self, end):
        channel = Channel(end.dup())
        channel.share(SPEC)
        channel.send_all(Hello(json.dumps(dataclasses.asdict(SPEC)), 2, 1, ""))
        channel.close()

    def poll(self):
        return 137

    def kill(self):
        pass

    def wait(self, timeout=None):
        return 137


def test_a_successor_that_dies_while_it_is_told_what_was_has_one_too(links):
    """Of a job that the first left unanswered nothing is lost."""
    made = iter([in_thread(CountingPlanner), DiesAtOnce, DiesAtOnce, in_thread(CountingPlanner)])
    link = links(lambda end: next(made)(end))
    link.hello()
    link.submit(job(0))
    plan_of(link)
    link._running.kill()
    link.submit(job(1))
    until(link, lambda _: link.deaths == 3 and "exit code 137" in link.down)
    assert remembered(plan_of(link)) == 2


def test_a_planner_that_dies_again_and_again_without_an_answer_needs_a_person(links):
    made = iter([in_thread(CountingPlanner), *[DiesAtOnce] * 2, in_thread(CountingPlanner)])
    link = links(lambda end: next(made)(end))
    link.hello()
    link.submit(job(0))
    plan_of(link)
    link._running.kill()
    until(link, lambda _: link.deaths == 1 and link.down)
    assert link.stuck == ""
    until(link, lambda _: link.stuck)
    assert link.deaths == 3
    until(link, lambda _: not link.down)
    link.submit(job(1))
    plan_of(link)
    assert link.stuck == ""


def test_starts_are_tried_ever_less_often_and_an_answer_ends_that(links):
    clock, broken, tries = [0], [False], []

    def start(end):
        tries.append(clock[0])
        if broken[0]:
            raise FileNotFoundError("no such program")
        return in_thread(CountingPlanner)(end)

    link = links(start, now_ns=lambda: clock[0])

    def kill():
        link._running.kill()
        until(link, lambda _: "died" in link.down)

    def pauses(count):
        tries.clear()
        begin = clock[0]
        while len(tries) < count:
            clock[0] += 50_000_000
            link.take()
        return np.diff([begin, *tries]) * 1e-9

    link.hello()
    broken[0] = True
    kill()
    link._running = None
    assert pauses(7) == pytest.approx([0.2, 0.4, 0.8, 1.6, 3.2, 6.4, 10.0], abs=0.06)
    broken[0] = False
    pauses(1)
    until(link, lambda _: not link.down)
    link.submit(job(0))
    plan_of(link)
    broken[0] = True
    kill()
    link._running = None
    assert pauses(1) == pytest.approx([0.2], abs=0.06)


def test_the_planner_ends_when_the_control_side_is_gone(process):
    code = (
        "import sys, time; from df_policy.ros_nodes.planner_link import PlannerLink;"
        "from df_policy.ros_nodes.planner_start import starter;"
        f"link = PlannerLink(starter(lambda n: [sys.executable, {counting_planner.__file__!r}, "
        "str(n)])); link.hello(); print(link.process, flush=True); time.sleep(60)"
    )
    program = [sys.executable, "-c", code]
    with subprocess.Popen(program, stdout=subprocess.PIPE, text=True) as control:
        planner = Path(f"/proc/{control.stdout.readline().strip()}/cmdline")
        assert planner.exists()
        control.kill()
    deadline = time.monotonic() + 120.0
    while planner.exists() and planner.read_bytes():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_the_control_side_knows_no_torch():
    code = (
        "import sys, importlib.util as u, df_policy.ros_nodes.planner_link;"
        "import df_policy.ros_nodes.session;"
        "u.find_spec('rclpy') and __import__('df_policy.ros_nodes.policy_node');"
        "sys.exit('torch' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False, cwd=ROOT).returncode == 0
