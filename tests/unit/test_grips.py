"""Each frame is told where the gripper closes and opens next in its own episode."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from training_data import make_demonstrations

from df_policy.grips import CELLS, NextGrips


def gripping(data, opens, seed):
    """The episodes of `data` with the gripper as in `opens`, each target somewhere at random."""
    action = data.action.copy()
    action[:, :2] = np.random.default_rng(seed).uniform(-0.5, 0.5, (len(action), 2))
    action[:, 9] = np.where(opens, 0.08, 0.0)
    return dataclasses.replace(data, action=action)


@given(data=st.data(), seed=st.integers(0, 99), count=st.integers(1, 5))
def test_places_are_those_of_the_next_changes_in_the_episode(data, seed, count):
    plain = make_demonstrations(3)
    opens = data.draw(
        st.lists(st.booleans(), min_size=len(plain.action), max_size=len(plain.action))
    )
    told = gripping(plain, np.array(opens), seed)
    grips = NextGrips.of(told, count)
    changes = [
        [row for row in range(start + 1, end) if opens[row] != opens[row - 1]]
        for start, end in zip(told.starts, told.ends, strict=True)
    ]
    every = [row for episode in changes for row in episode]
    for start, end, here in zip(told.starts, told.ends, changes, strict=True):
        for row in range(start, end):
            coming = [change for change in here if change >= row][:count]
            assert grips.known[row].tolist() == [1.0] * len(coming) + [0.0] * (count - len(coming))
            for nth, change in enumerate(coming):
                low, high = told.action[every, :2].min(0), told.action[every, :2].max(0)
                share = (told.action[change, :2] - low) / np.maximum(high - low, 1e-3)
                assert grips.places[row, nth] == pytest.approx(share * (CELLS - 1), abs=1e-3)


@given(
    places=st.lists(
        st.tuples(*[st.floats(0.0, CELLS - 1.0, width=32)] * 2), min_size=1, max_size=4
    ),
    known=st.booleans(),
)
def test_the_cells_around_a_place_tell_it_to_the_full(places, known):
    one = np.array([places], dtype=np.float32)
    grips = NextGrips(one, np.full(one.shape[:2], known, dtype=np.float32))
    grid = grips.on_grid(np.array([0]))[0].unflatten(-1, (CELLS, CELLS)).double().numpy()
    assert grid.sum((1, 2)) == pytest.approx(float(known), abs=1e-4)
    centres = np.arange(CELLS)
    along_x, along_y = (grid.sum(axis) @ centres for axis in (2, 1))
    assert np.stack([along_x, along_y], -1) == pytest.approx(known * one[0], abs=1e-2)
