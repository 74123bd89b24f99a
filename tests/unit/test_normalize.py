"""Statistics: what goes in comes out, and what never moves is left out."""

import numpy as np
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from df_policy.normalize import Normalizer

VALUES = arrays(np.float64, (20, 4), elements=st.floats(-100, 100))


@given(values=VALUES)
def test_values_survive_up_to_the_columns_that_do_not_move(values):
    floor = np.full(4, 1e-2)
    normalizer = Normalizer.fit(values, floor)
    moving = values.std(0) > floor
    assert normalizer.width == moving.sum()
    back = normalizer.inverse(normalizer(torch.from_numpy(values).float())).numpy()
    np.testing.assert_allclose(back[:, moving], values[:, moving], atol=1e-2)
    want = np.broadcast_to(values.mean(0), values.shape)[:, ~moving]
    np.testing.assert_allclose(back[:, ~moving], want, atol=1e-3)


def test_moving_columns_are_standardised():
    values = np.random.default_rng(0).normal(3.0, 5.0, (1000, 2))
    kept = Normalizer.fit(values, np.zeros(2))(torch.from_numpy(values).float())
    torch.testing.assert_close(kept.mean(0), torch.zeros(2), atol=1e-5, rtol=0)
    torch.testing.assert_close(kept.std(0), torch.ones(2), atol=1e-2, rtol=0)
