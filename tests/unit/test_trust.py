"""Trust as a noise level: an image that the encoder knows is believed, what is not is noise."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.noise import NoiseSchedule
from df_policy.trust import OLDEST_NS, belief, level_of_belief, level_of_imagined

SCHEDULE = NoiseSchedule(1000, "cosine")
STRANGE = st.floats(0.0, 2.0)


@given(strange=STRANGE, usual=st.floats(0.05, 0.9))
def test_what_is_no_stranger_than_usual_is_believed(strange, usual):
    assert (belief(strange, usual, 0) == 1.0) == (strange <= usual)


@given(strange=STRANGE, stranger=STRANGE, usual=st.floats(0.05, 0.9))
def test_the_stranger_the_less_it_is_believed(strange, stranger, usual):
    strange, stranger = sorted((strange, stranger))
    beliefs = [belief(one, usual, 0) for one in (strange, stranger)]
    assert beliefs == sorted(beliefs, reverse=True)
    levels = [level_of_belief(one, SCHEDULE) for one in beliefs]
    assert levels == sorted(levels)


def test_what_shows_nothing_tells_nothing_and_what_is_old_neither():
    assert belief(1.0, 0.3, 0) == belief(0.0, 0.3, OLDEST_NS + 1) == 0.0
    assert belief(0.0, 0.3, OLDEST_NS) == 1.0
    assert level_of_belief(0.0, SCHEDULE) == SCHEDULE.levels
    assert level_of_belief(1.0, SCHEDULE) == 0


@given(share=st.floats(0.02, 0.999))
def test_a_level_has_as_much_signal_as_is_believed(share):
    assert SCHEDULE.signal(level_of_belief(share, SCHEDULE)) == pytest.approx(share, abs=2e-3)


@given(uncertainty=st.floats(0.05, 1.0), tokens=st.integers(1, 20))
def test_the_error_of_what_is_imagined_is_its_noise_and_grows_as_variances_add_up(
    uncertainty, tokens
):
    signal = SCHEDULE.signal(level_of_imagined(uncertainty, tokens, SCHEDULE))
    noise = np.sqrt(1.0 - signal**2) / signal
    assert noise**2 == pytest.approx(tokens * uncertainty**2, rel=0.1)
