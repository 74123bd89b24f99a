"""Packed weights give what the layers give that they were made of."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import nn

from df_policy.packed import PackedLinear, packed

SIZE = st.integers(1, 70)


@settings(deadline=None)
@given(st.lists(SIZE, min_size=1, max_size=3), SIZE, SIZE, st.booleans(), st.integers(1, 16))
@torch.inference_mode()
def test_a_packed_layer_gives_what_the_layer_gives(batch, wide, out, biased, rows):
    layer = nn.Linear(wide, out, bias=biased).bfloat16()
    x = torch.randn(*batch, wide).bfloat16()
    expected = layer(x)
    got = packed(layer, rows)(x)
    assert got.shape == expected.shape
    assert got.dtype == expected.dtype
    torch.testing.assert_close(got, expected, atol=0.02, rtol=0.02)


@pytest.mark.parametrize("kind", [torch.float32, torch.float64])
def test_layers_of_another_precision_stay_as_they_are(kind):
    network = nn.Sequential(nn.Linear(3, 4), nn.SiLU(), nn.Sequential(nn.Linear(4, 2))).to(kind)
    assert not any(isinstance(part, PackedLinear) for part in packed(network, 8).modules())


def test_layers_within_layers_are_packed():
    network = nn.Sequential(nn.Linear(3, 4), nn.Sequential(nn.Linear(4, 2))).bfloat16()
    parts = list(packed(network, 8).modules())
    if not torch.backends.mkldnn.is_available():
        pytest.skip("PyTorch without oneDNN")
    assert sum(isinstance(part, PackedLinear) for part in parts) == 2
    assert not any(isinstance(part, nn.Linear) for part in parts)
