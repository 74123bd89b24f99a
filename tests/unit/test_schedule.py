"""Scheduling matrices hold their promises whatever the horizon, the steps and the lag."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.schedule import (
    NAMES,
    autoregressive,
    full_sequence,
    levels_of,
    matrix,
    pyramid,
    rolling,
    warm,
)

HORIZON, STEPS, LAG = st.integers(1, 12), st.integers(1, 20), st.floats(0.0, 30.0)
LEVELS = 1000


@given(horizon=HORIZON, steps=STEPS, lag=LAG)
def test_a_matrix_goes_from_pure_noise_to_clean_and_never_back(horizon, steps, lag):
    rows = pyramid(horizon, steps, LEVELS, lag)
    assert (rows[0] == LEVELS).all()
    assert (rows[-1] == 0).all()
    assert (np.diff(rows, axis=0) <= 0).all()


@given(horizon=HORIZON, steps=STEPS, lag=LAG)
def test_a_later_token_is_never_cleaner(horizon, steps, lag):
    assert (np.diff(pyramid(horizon, steps, LEVELS, lag), axis=1) >= 0).all()


@given(horizon=HORIZON, steps=STEPS, lag=LAG)
def test_every_token_takes_exactly_its_steps(horizon, steps, lag):
    moves = (np.diff(pyramid(horizon, steps, LEVELS, lag), axis=0) < 0).sum(0)
    assert (moves == steps).all()


@given(horizon=HORIZON, steps=STEPS)
def test_full_sequence_shares_one_level_and_autoregressive_moves_one_token(horizon, steps):
    assert (np.ptp(full_sequence(horizon, steps, LEVELS), axis=1) == 0).all()
    one_by_one = autoregressive(horizon, steps, LEVELS)
    assert len(one_by_one) == horizon * steps + 1
    assert ((np.diff(one_by_one, axis=0) < 0).sum(1) == 1).all()


@given(horizon=HORIZON, steps=STEPS)
def test_a_round_of_rolling_begins_as_the_one_before_ended_a_token_later(horizon, steps):
    first, later = rolling(horizon, steps, LEVELS)
    for rows in (first, later):
        assert (rows[-1][:1] == 0).all()
        assert (rows[:-1, 0] > 0).all()
        assert (later[0] == [*rows[-1][1:], LEVELS]).all()
    assert (first[0] == LEVELS).all()
    assert len(later) - 1 == -(-steps // horizon)


@given(horizon=HORIZON, steps=STEPS)
def test_a_warm_round_leaves_out_the_row_of_pure_noise(horizon, steps):
    first, later = warm(horizon, steps, LEVELS)
    assert (first[0] == LEVELS).all()
    for rows in (first, later):
        assert rows[-1, 0] == 0
        assert (rows[:-1, 0] > 0).all()
    assert len(first) - len(later) == (steps > 1)
    # What a round leaves is never noisier than where the next one begins: noise can be added.
    assert (first[-1][1:] <= later[0][:-1]).all()


def test_matrices_are_found_by_name():
    assert (matrix("pyramid", 3, 4, LEVELS, 2.0) == pyramid(3, 4, LEVELS, 2.0)).all()
    assert (matrix("full_sequence", 3, 4, LEVELS) == full_sequence(3, 4, LEVELS)).all()
    assert (matrix("autoregressive", 3, 4, LEVELS) == autoregressive(3, 4, LEVELS)).all()
    assert all((matrix(name, 3, 4, LEVELS)[0] == LEVELS).all() for name in NAMES)
    with pytest.raises(ValueError, match="expected one of pyramid, autoregressive"):
        matrix("spiral", 3, 4, LEVELS)


@pytest.mark.parametrize("steps", [0, -1, 1001])
def test_steps_must_fit_the_levels(steps):
    with pytest.raises(ValueError, match="denoising steps"):
        levels_of(steps, LEVELS)


@pytest.mark.parametrize(("horizon", "lag"), [(0, 1.0), (3, -0.5)])
def test_a_pyramid_refuses_what_is_below_its_range(horizon, lag):
    with pytest.raises(ValueError, match="expected horizon"):
        pyramid(horizon, 4, LEVELS, lag)
