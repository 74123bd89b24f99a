"""Drawing in the planner's process: after the plan, for people, and never in a plan's way."""

import argparse
import dataclasses
import time

import numpy as np
import pytest
from counting_planner import SPEC, CountingPlanner
from hypothesis import given
from hypothesis import strategies as st
from line import in_thread
from training_data import make_checkpoint

from df_policy.errors import DfPolicyError
from df_policy.frames import Observation
from df_policy.geometry import Pose
from df_policy.plan import Plan
from df_policy.ros_nodes import wire
from df_policy.ros_nodes.channel import PACKET, Channel, pair
from df_policy.ros_nodes.imagining import LARGEST, Painter, thinned
from df_policy.ros_nodes.planner_link import PlannerLink
from df_policy.ros_nodes.planner_process import load_policy
from df_policy.ros_nodes.planning import Job, Outcome, Picture

TOKEN_NS = 8 * SPEC.period_ns


class Dreamer(CountingPlanner):
    """Foresees that cameras get as bright as the stamp says, and draws that."""

    def __init__(self, drawing_s=0.0, broken=False):
        super().__init__()
        self.drawing_s, self.broken, self.drawn = drawing_s, broken, []

    def plan(self, seen, executed, committed=()):
        plan = super().plan(seen, executed, committed)
        bright = np.array([[seen.stamp_ns], [99]], np.float32)
        return dataclasses.replace(plan, foreseen=dict.fromkeys(SPEC.cameras, bright))

    def pictures(self, plan):
        time.sleep(self.drawing_s)
        self.drawn.append([(camera, len(rows)) for camera, rows in plan.foreseen.items()])
        if self.broken:
            raise ArithmeticError("no paint")
        return {
            camera: np.stack([np.full((4, 4, 3), row[0], np.uint8) for row in rows])
            for camera, rows in plan.foreseen.items()
        }


def observation(stamp_ns):
    images = {name: np.zeros((*size, 3), np.uint8) for name, size in SPEC.cameras.items()}
    stamps, zeros = dict.fromkeys(images, stamp_ns), np.zeros(2)
    pose = Pose.of([0.5, 0.0, 0.3], [1, 0, 0, 0])
    return Observation(stamp_ns, images, stamps, zeros, zeros, pose, 0.08)


def plan_of(planner, stamp_ns):
    return planner.plan(observation(stamp_ns), [])


def told(picture):
    return picture.camera, picture.stamp_ns, set(picture.rgb.flat)


def test_of_each_camera_the_end_of_the_first_token_is_drawn_by_itself():
    dreamer = Dreamer()
    painter = Painter(dreamer)
    painter.offer(plan_of(dreamer, 7))
    drawn = [told(painter.draw()), told(painter.draw())]
    assert drawn == [("front", 7 + TOKEN_NS, {7}), ("wrist", 7 + TOKEN_NS, {7})]
    assert dreamer.drawn == [[("front", 1)], [("wrist", 1)]]
    assert not painter.busy
    assert painter.draw() is None


def test_a_newer_plan_takes_the_place_of_what_is_not_drawn_yet():
    dreamer = Dreamer()
    painter = Painter(dreamer)
    painter.offer(plan_of(dreamer, 1))
    painter.draw()
    painter.offer(None)  # a job that was only remembered
    painter.offer(plan_of(dreamer, 2))
    assert [told(painter.draw())[1] for _ in range(2)] == [2 + TOKEN_NS] * 2
    assert not painter.busy


def test_a_plan_that_cannot_be_drawn_ends_the_pictures_and_nothing_else(caplog):
    dreamer = Dreamer(broken=True)
    painter = Painter(dreamer)
    painter.offer(plan_of(dreamer, 1))
    assert painter.draw() is None
    painter.offer(plan_of(dreamer, 2))
    assert not painter.busy
    assert len(dreamer.drawn) == 1
    assert "could not be drawn" in caplog.text


def test_who_cannot_draw_is_not_asked_to(tmp_path):
    with pytest.raises(DfPolicyError, match="planner that imagines"):
        Painter(CountingPlanner())
    dataclasses.replace(make_checkpoint(), imagination=None).save(tmp_path)
    given = {"checkpoint": str(tmp_path), "device": "cpu", "threads": 1, "every": 0, "sampler": ""}
    with pytest.raises(DfPolicyError, match="cannot imagine"):
        load_policy(argparse.Namespace(**given, imagine=True))
    assert load_policy(argparse.Namespace(**given, imagine=False)).spec


@given(st.integers(1, 700), st.integers(1, 700))
def test_any_picture_can_be_sent(height, width):
    sent = thinned(np.zeros((height, width, 3), np.uint8))
    assert sent.nbytes <= LARGEST + 9 * (height + width)  # rounded up at two edges
    assert min(sent.shape) > 0
    if 3 * height * width <= LARGEST:
        assert sent.shape == (height, width, 3)
    assert len(wire.pack(Picture(0, "front", sent))) < PACKET


@pytest.fixture
def link():
    made = []

    def begin(planner, heard):
        made.append(PlannerLink(in_thread(lambda: planner, imagine=True), heard.append))
        made[0].hello()
        return made[0]

    yield begin
    for one in made:
        one.close()


def until(link, count, wanted):
    deadline = time.monotonic() + 20.0
    while count() < wanted:
        assert time.monotonic() < deadline
        link.take()
        time.sleep(0.001)


def job(number):
    return Job(0, 7, number, observation(number), [], [], 0)


def outcomes(heard):
    return [record for record in heard if isinstance(record, Outcome)]


def pictures(heard):
    return [record for record in heard if isinstance(record, Picture)]


def test_pictures_come_after_the_plan_that_they_are_of(link):
    heard = []
    line = link(Dreamer(), heard)
    for number in range(3):
        line.submit(job(number))
        until(line, lambda: len(heard), 4 * number + 4)
    kinds = [type(record) for record in heard]
    assert kinds == [Job, Outcome, Picture, Picture] * 3
    stamps = [picture.stamp_ns for picture in pictures(heard)]
    assert stamps == [number + TOKEN_NS for number in range(3) for _ in range(2)]


def test_a_job_waits_for_one_camera_at_most_and_a_newer_plan_is_drawn_instead(link):
    heard = []
    line = link(Dreamer(drawing_s=0.2), heard)
    line.submit(job(0))
    until(line, lambda: len(outcomes(heard)), 1)
    line.submit(job(1))
    until(line, lambda: len(outcomes(heard)), 2)
    assert len(pictures(heard)) == 1
    until(line, lambda: len(pictures(heard)), 3)
    assert [picture.stamp_ns - TOKEN_NS for picture in pictures(heard)] == [0, 1, 1]


def test_pictures_that_fail_leave_the_plans_alone(link):
    heard = []
    line = link(Dreamer(broken=True), heard)
    for number in range(3):
        line.submit(job(number))
        until(line, lambda: len(outcomes(heard)), number + 1)
    assert pictures(heard) == []
    assert all(isinstance(outcome.plan, Plan) for outcome in outcomes(heard))


@pytest.fixture
def ends():
    made = [Channel(end) for end in pair()]
    yield made
    for one in made:
        one.close()


def test_what_is_offered_while_nobody_listens_is_left_out_and_nobody_waits(ends):
    ours, theirs = ends
    picture = Picture(0, "front", np.zeros((100, 200, 3), np.uint8))
    begin = time.monotonic()
    for _ in range(50):
        ours.offer(picture)
    assert time.monotonic() - begin < 1.0
    got = 0
    while theirs.receive(wait=False) is not None:
        got += 1
    assert 1 <= got <= 50 * PACKET / picture.rgb.nbytes
    assert got < 50
    ours.offer(picture)
    assert theirs.receive(wait=True).rgb.shape == picture.rgb.shape
