"""Keypoints say where things are, whatever the light and the colour of all around them."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from df_policy.config import EncoderConfig
from df_policy.keypoints import KeypointEncoder, by_itself

CONFIG = EncoderConfig("keypoints", latent=8, keypoints=6)
SHARE = st.floats(0.2, 1.0)


def scene(row, column, size=(32, 48)):
    """A spot of 8 pixels before one colour."""
    image = torch.full((1, 3, *size), -0.1)
    image[:, 0, row : row + 8, column : column + 8] = 0.4
    return image


def encoder():
    torch.manual_seed(0)
    return KeypointEncoder(32, 48, CONFIG)


def test_a_latent_has_its_width_and_the_size_must_fit():
    assert encoder()(torch.zeros(5, 3, 32, 48)).shape == (5, 8)
    with pytest.raises(ValueError, match="divisible by 4"):
        KeypointEncoder(30, 48, CONFIG)


@given(gain=SHARE, shade=st.floats(-0.3, 0.3))
def test_neither_the_strength_of_light_nor_the_ground_s_colour_is_seen(gain, shade):
    image = scene(8, 16)
    assert torch.allclose(by_itself(image), by_itself(image + shade), atol=1e-5)
    changed = by_itself(gain * image)
    assert float((changed - by_itself(image)).abs().max()) < 0.3 * (1 / gain - 1) + 1e-5


@given(down=st.integers(0, 2), across=st.integers(0, 4))
def test_what_moves_in_the_image_moves_its_keypoints_and_nothing_else(down, across):
    """Far from the borders, where the image ends."""
    network = encoder()
    at = torch.tensor([8 + 4 * down, 12 + 4 * across])
    with torch.no_grad():
        here, there = network.maps(by_itself(scene(8, 12))), network.maps(by_itself(scene(*at)))
    moved = there[:, :, 2 + down : 4 + down, 2 + across : 6 + across]
    assert torch.allclose(here[:, :, 2:4, 2:6], moved, atol=1e-5)


def test_places_are_within_the_image():
    with torch.no_grad():
        places = encoder().places(torch.rand(20, 3, 32, 48) - 0.5)
    assert places.shape == (20, 6, 3)
    assert float(places[..., :2].abs().max()) <= 1.0
