"""Images come out of the codec as they went in."""

from __future__ import annotations

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from df_policy.data.image_codec import CODEC_NAME, WebpCodec
from df_policy.errors import DfPolicyError

images = st.tuples(st.integers(1, 40), st.integers(1, 40)).flatmap(
    lambda size: arrays(np.uint8, (2, *size, 3))
)


def through(pixels: np.ndarray) -> np.ndarray:
    stored = zarr.create_array(
        zarr.storage.MemoryStore(),
        shape=pixels.shape,
        chunks=(1, *pixels.shape[1:]),
        dtype=pixels.dtype,
        serializer=WebpCodec(),
        compressors=None,
    )
    stored[:] = pixels
    return stored[:]


@settings(max_examples=60)
@given(images)
def test_no_pixel_changes(pixels: np.ndarray) -> None:
    assert np.array_equal(through(pixels), pixels)


@pytest.mark.parametrize("value", [0, 255])
def test_flat_images_survive(value: int) -> None:
    flat = np.full((2, 5, 7, 3), value, np.uint8)
    assert np.array_equal(through(flat), flat)


def test_noise_survives() -> None:
    noise = np.random.default_rng(0).integers(0, 256, (2, 64, 64, 3), dtype=np.uint8)
    assert np.array_equal(through(noise), noise)


@pytest.mark.parametrize("pixels", [np.zeros((2, 4, 4, 3)), np.zeros((2, 4, 4, 4), np.uint8)])
def test_what_is_no_image_is_refused(pixels: np.ndarray) -> None:
    with pytest.raises(DfPolicyError, match=CODEC_NAME):
        through(pixels)
