"""Alignment: the newest sample not after the tick, never one that is too old."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.align import JointReading, LateStreamError, RobotStreams, Stream
from df_policy.geometry import Pose

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
