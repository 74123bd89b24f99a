"""Trust as a noise level: what is as foreseen is believed, what is not is noise."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.noise import NoiseSchedule
from df_policy.trust import OLDEST_NS, Surprise, level

SCHEDULE = NoiseSchedule(1000, "cosine")
FAR = st.floats(0.0, 50.0)


@given(far=FAR, usual=st.floats(0.1, 3.0))
def test_what_is_no_farther_than_usual_is_believed(far, usual):
    assert (level(Surprise(far, 0), usual, SCHEDULE) == 0) == (far <= usual)


@given(far=FAR, farther=FAR)
def test_the_farther_the_less_it_is_believed(far, farther):
    far, farther = sorted((far, farther))
    levels = [level(Surprise(one, 0), 1.0, SCHEDULE) for one in (far, farther)]
    assert levels == sorted(levels)


def test_what_is_far_off_tells_nothing_and_what_is_old_neither():
    assert level(Surprise(4.5, 0), 1.0, SCHEDULE) == SCHEDULE.levels
    assert level(Surprise(0.0, OLDEST_NS + 1), 1.0, SCHEDULE) == SCHEDULE.levels
    assert level(Surprise(0.0, OLDEST_NS), 1.0, SCHEDULE) == 0


@given(excess=st.floats(0.05, 2.9))
def test_the_noise_is_as_large_as_the_excess(excess):
    found = level(Surprise(1.0 + excess, 0), 1.0, SCHEDULE)
    signal = SCHEDULE.signal(found)
    assert (1.0 - signal**2) ** 0.5 / signal == pytest.approx(excess, rel=0.05)
