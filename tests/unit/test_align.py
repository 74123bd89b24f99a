"""Alignment: the newest sample not after the tick, never one that is too old."""

from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.align import JointReading, LateStreamError, RobotStreams, Stream
from df_policy.frames import UNKNOWN
from df_policy.geometry import Pose

DOT = np.zeros((1, 1, 3), np.uint8)
stamps = st.lists(st.integers(0, 10**10), min_size=1, max_size=40)


@given(stamps, st.integers(0, 10**10))
def test_a_stream_answers_with_the_newest_sample_not_after_the_tick(arrivals, tick):
    stream = Stream("s", max_age_s=1e9)
    for number, stamp in enumerate(arrivals):
        stream.add(stamp, number)
    before = [stamp for stamp in arrivals if stamp <= tick]
    if before:
        assert stream.at(tick).stamp_ns == max(before)
    else:
        with pytest.raises(LateStreamError, match="all samples are later than now") as late:
            stream.at(tick)
        assert late.value.age_s == pytest.approx((tick - min(arrivals)) * 1e-9)


@given(st.permutations(range(8)), st.integers(0, 8))
def test_the_order_of_arrival_does_not_matter(order, tick):
    stream = Stream("s", max_age_s=1.0)
    for stamp in order:
        stream.add(stamp, stamp)
    assert stream.at(tick).value == min(tick, 7)


@given(st.integers(0, 10**10), st.floats(0.01, 5.0))
def test_a_sample_is_refused_exactly_when_it_is_too_old(stamp, max_age_s):
    stream = Stream("camera/front", max_age_s)
    stream.add(stamp, 0)
    age_ns = round(max_age_s * 1e9)
    assert stream.at(stamp + age_ns).stamp_ns == stamp
    with pytest.raises(LateStreamError, match=r"camera/front.*old"):
        stream.at(stamp + age_ns + 1)


def test_of_two_samples_with_one_stamp_the_later_counts():
    stream = Stream("s", 1.0)
    stream.add(5, "first")
    stream.add(5, "second")
    assert stream.at(5).value == "second"


@given(st.integers(1, 20), st.integers(0, 60))
def test_a_stream_keeps_only_the_newest_samples(capacity, count):
    stream = Stream("s", 1.0, capacity)
    for stamp in range(count):
        stream.add(stamp, stamp)
    oldest = max(0, count - capacity)
    if count:
        assert stream.at(oldest).value == oldest
    if oldest:
        with pytest.raises(LateStreamError):
            stream.at(oldest - 1)


def robot(image_ns: int, joints_ns: int, tool_ns: int) -> RobotStreams:
    streams = RobotStreams(["front"], max_image_age_s=0.25, max_state_age_s=0.1)
    streams.images["front"].add(image_ns, np.zeros((2, 2, 3), np.uint8))
    streams.joints.add(joints_ns, JointReading(np.zeros(7), np.zeros(7), 0.08))
    streams.tool.add(tool_ns, Pose.of([0, 0, 0], [0, 0, 0, 1]))
    return streams


@given(*[st.integers(0, 400_000_000) for _ in range(4)])
def test_an_observation_never_holds_what_came_after_its_tick(image, joints, tool, tick):
    streams = robot(image, joints, tool)
    try:
        streams.check(tick)
    except LateStreamError:
        with pytest.raises(LateStreamError):
            streams.observe(tick)
        return
    seen = streams.observe(tick)
    assert seen.stamp_ns == tick
    assert tick - 250_000_000 <= seen.image_stamps_ns["front"] <= tick
    assert max(joints, tool) <= tick


@given(*[st.integers(0, 400_000_000) for _ in range(4)])
def test_a_tick_is_settled_once_every_stream_has_reached_it(image, joints, tool, tick):
    assert robot(image, joints, tool).settled(tick) == (min(image, joints, tool) >= tick)


def test_a_stream_without_samples_says_so():
    with pytest.raises(LateStreamError, match="got none yet"):
        Stream("s", 1.0).at(5)


def test_a_stream_without_samples_is_never_settled():
    assert not RobotStreams(["front"], 1.0, 1.0).settled(0)


def test_a_late_stream_is_named_with_its_age():
    streams = robot(0, 10**9, 10**9)
    with pytest.raises(LateStreamError, match=r"camera/front within 0.25 s.*1.00 s old") as late:
        streams.observe(10**9)
    assert late.value.stream == "camera/front"


@pytest.mark.parametrize(("age", "capacity"), [(0.0, 1), (-1.0, 1), (1.0, 0)])
def test_senseless_limits_are_refused(age, capacity):
    with pytest.raises(ValueError, match="expected"):
        Stream("s", age, capacity)


@given(
    lost=st.sets(st.integers(1, 38)),
    jitter=st.lists(st.integers(-8_000_000, 8_000_000), min_size=41, max_size=41),
    every=st.integers(1, 5),
)
def test_losses_are_counted_where_they_happened(lost, jitter, every):
    """A camera at 30 Hz; ticks at some slower rate; samples are lost, the others jitter."""
    period_ns = 33_333_333
    streams = RobotStreams(["front"], 9.0, 9.0, {"image_front": 1e-9 * period_ns})
    streams.joints.add(0, JointReading(np.zeros(1), np.zeros(1), 0.0))
    streams.tool.add(0, Pose.of([0, 0, 0], [0, 0, 0, 1]))
    stamps = [0, *(k * period_ns + jitter[k] for k in range(1, 39)), 39 * period_ns]
    there = [k for k in range(40) if k not in lost]
    for k in there:
        streams.images["front"].add(stamps[k], DOT, stamps[k] + 1_000_000)
    ticks = [*range(0, 39 * period_ns, every * period_ns), 39 * period_ns]
    total = 0
    for before, tick in pairwise(ticks):
        seen = streams.observe(tick, before)
        came = seen.arrivals["image_front"]
        assert came.stamp_ns == seen.image_stamps_ns["front"] <= tick
        assert came.received_ns == came.stamp_ns + 1_000_000
        assert seen.arrivals["joints"].dropped == UNKNOWN
        total += came.dropped
    assert total == len(lost)


def test_a_first_tick_knows_of_no_losses():
    streams = RobotStreams(["front"], 9.0, 9.0, {"image_front": 0.1})
    streams.joints.add(0, JointReading(np.zeros(1), np.zeros(1), 0.0))
    streams.tool.add(0, Pose.of([0, 0, 0], [0, 0, 0, 1]))
    streams.images["front"].add(0, DOT)
    assert streams.observe(0).arrivals["image_front"].dropped == UNKNOWN
