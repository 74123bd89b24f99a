"""Records survive the wire as they were, and bytes that are none are refused."""

from dataclasses import dataclass

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Arrival, Observation
from df_policy.geometry import Pose
from df_policy.plan import Plan, Trace
from df_policy.ros_nodes import wire
from df_policy.ros_nodes.planning import Hello, Job, Outcome, Picture, Recall

seeds = st.integers(0, 2**32 - 1)
EXTREMES = (0.0, -0.0, 1e308, -5e-324, float("inf"), 1.5)
STAMPS = (-(2**63), -1, 0, 1, 2**63 - 1)
TEXTS = ("", "front", "größer \N{BEAR FACE}", "a\0b")


class Maker:
    """Records of every kind and size, drawn by a seed: built while no strategy is drawn."""

    def __init__(self, seed):
        self.rng = np.random.default_rng(seed)

    def some(self, values):
        return values[self.rng.integers(len(values))]

    def numbers(self, count):
        values = self.rng.normal(size=count)
        values[self.rng.random(count) < 0.2] = self.some(EXTREMES)
        return values

    def listed(self, make, most=3):
        return [make() for _ in range(self.rng.integers(most + 1))]

    def named(self, make):
        return {name: make() for name in TEXTS[: self.rng.integers(3)]}

    def stamp(self):
        return self.some(STAMPS)

    def data(self):
        return self.rng.bytes(self.rng.integers(20))

    def image(self):
        return self.rng.integers(0, 256, (2, 3, 3), dtype=np.uint8)

    def pose(self):
        return Pose(self.numbers(3), self.numbers(4))

    def action(self):
        return Action(self.pose(), float(self.numbers(1)[0]))

    def observation(self, before=None):
        joints = self.rng.integers(8)
        return Observation(
            self.stamp(),
            self.named(self.image),
            self.named(self.stamp),
            self.numbers(joints),
            self.numbers(joints),
            self.pose(),
            float(self.numbers(1)[0]),
            before,
            self.named(lambda: Arrival(self.stamp(), self.stamp(), self.stamp())),
        )

    def job(self):
        ids = (self.stamp(), self.stamp(), self.stamp())
        seen = self.observation(self.observation() if self.rng.random() < 0.5 else None)
        given = (self.listed(self.action), self.listed(self.action), self.stamp())
        return Job(*ids, seen, *given, self.some(TEXTS))

    def plan(self):
        rows = self.numbers(10 * self.rng.integers(1, 5)).reshape(-1, 10)
        trust = self.named(lambda: float(self.numbers(1)[0]))
        foreseen = self.named(lambda: self.rng.normal(size=(2, 3)).astype(np.float32))
        return Plan(self.stamp(), self.stamp(), rows, self.stamp(), trust, foreseen)

    def outcome(self):
        plan = self.plan() if self.rng.random() < 0.7 else None
        trace = Trace(self.data(), self.data()) if self.rng.random() < 0.7 else None
        times = (self.stamp(), self.stamp(), self.stamp())
        return Outcome(self.stamp(), self.stamp(), plan, self.some(TEXTS), *times, trace)

    def recall(self):
        return Recall(self.stamp(), self.listed(self.data), self.data())

    def hello(self):
        return Hello(self.some(TEXTS), self.stamp(), self.stamp(), self.some(TEXTS))

    def picture(self):
        return Picture(self.stamp(), self.some(TEXTS), self.image())

    def record(self):
        return self.some((self.job, self.outcome, self.recall, self.hello, self.picture))()


@given(seeds)
def test_a_record_comes_out_as_it_went_in(seed):
    record = Maker(seed).record()
    data = wire.pack(record)
    again = wire.unpack(type(record), data)
    assert wire.pack(again) == data
    if isinstance(record, Job):
        assert again.seed == record.seed
        np.testing.assert_array_equal(again.observation.q_rad, record.observation.q_rad)
        assert set(again.observation.images) == set(record.observation.images)
        assert again.observation.arrivals == record.observation.arrivals
        assert again.costs == record.costs


@given(seeds, st.floats(0.0, 1.0, exclude_max=True))
def test_what_was_cut_short_or_added_to_is_refused(seed, share):
    packed = wire.pack(Maker(seed).outcome())
    cut = int(share * len(packed))
    with pytest.raises(DfPolicyError, match=r"expected a Outcome|bytes of a Outcome"):
        wire.unpack(Outcome, packed[:cut])
    with pytest.raises(DfPolicyError, match="bytes of a Outcome"):
        wire.unpack(Outcome, packed + b"x")


@given(st.binary(max_size=200))
def test_no_bytes_do_more_than_be_refused(data):
    try:
        record = wire.unpack(Outcome, data)
    except DfPolicyError:
        return
    assert len(wire.pack(record)) == len(data)


@given(seeds)
def test_images_may_lie_elsewhere(seed):
    job, store = Maker(seed).job(), []

    def place(image):
        store.append(image)
        return len(store) - 1

    data = wire.pack(job, place)
    again = wire.unpack(Job, data, lambda at, shape: store[at].reshape(shape))
    assert wire.pack(again) == wire.pack(job)
    if store:
        with pytest.raises(DfPolicyError, match="not here"):
            wire.unpack(Job, data)


def test_a_type_without_a_layout_is_refused():
    @dataclass(frozen=True)
    class Odd:
        thing: complex

    with pytest.raises(TypeError, match="no layout"):
        wire.pack(Odd(1j))
