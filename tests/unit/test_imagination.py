"""Imagination: latents become images, strange images are told apart, roll-outs go on and on."""

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_data import SPEC, TINY, make_checkpoint

from df_policy.encoder import decoders_for
from df_policy.imagination import Imagination, as_images, halved, roll_out, unexplained
from df_policy.noise import NoiseSchedule


def picture(seed=0, size=16):
    """A smooth image, as eight-bit RGB."""
    coarse = np.random.default_rng(seed).uniform(60, 200, (1, 3, 4, 4))
    fine = torch.nn.functional.interpolate(torch.from_numpy(coarse), (size, size), mode="bilinear")
    return fine.permute(0, 2, 3, 1).round().to(torch.uint8)


@given(gain=st.floats(0.5, 1.5), offset=st.floats(-0.1, 0.1), seed=st.integers(0, 20))
def test_light_and_colour_explain_themselves(gain, offset, seed):
    told = halved(picture(seed))
    assert unexplained(gain * told + offset, told) < 0.25


@pytest.mark.parametrize("shows", [0, 110, 255])
def test_an_image_of_one_colour_is_unexplained_whatever_is_told_of_it(shows):
    plain = halved(torch.full((1, 16, 16, 3), shows, dtype=torch.uint8))
    assert float(unexplained(plain, halved(picture()))) == pytest.approx(1.0, abs=1e-5)


def test_the_more_is_covered_the_less_is_explained():
    whole = picture()
    shares = []
    for side in (0, 4, 8, 12, 16):
        covered = whole.clone()
        covered[:, :side, :side] = 0
        shares.append(float(unexplained(halved(covered), halved(whole))))
    assert shares == sorted(shares)


def test_what_is_drawn_has_half_the_size_and_any_axes():
    drawn = Imagination(decoders_for(SPEC.cameras, TINY.encoder))
    latents = {"front": np.zeros((2, 3, TINY.encoder.latent), np.float32)}
    images = drawn.images(latents)
    assert images["front"].shape == (2, 3, 8, 8, 3)
    assert images["front"].dtype == np.uint8
    one = drawn.images({"front": latents["front"][1, 2]})["front"]
    assert np.array_equal(one, images["front"][1, 2])


@given(st.integers(0, 50))
def test_an_image_survives_the_networks_units(seed):
    small = picture(seed, 8)
    large = small.repeat_interleave(2, 1).repeat_interleave(2, 2)
    assert np.array_equal(as_images(halved(large)), small.numpy())


class Drifting:
    """A denoiser that is sure that each token is what it remembers, and a little more."""

    causal = True

    def __init__(self):
        self.remembered = []

    def initial(self, batch):
        return torch.zeros(batch, 2)

    def update(self, z, x, level):
        self.remembered.append((x, level))
        return x

    def ahead(self, z, x, level):
        return z.unsqueeze(1)

    def predict(self, z, x, level, given=None):
        signal, noise = NoiseSchedule(10, "cosine").scales(level)
        clean = z + 1.0
        return (signal * x - clean) / noise


def test_each_token_is_imagined_from_the_one_before():
    schedule = NoiseSchedule(10, "cosine")
    z = torch.zeros(3, 2)
    generator = torch.Generator().manual_seed(0)
    got = roll_out(Drifting(), schedule, z, 5, 2, 10, generator)
    want = torch.arange(1.0, 6.0)[None, :, None].expand(3, 5, 2)
    torch.testing.assert_close(got, want, atol=1e-4, rtol=1e-4)


@pytest.mark.parametrize("level", [0, 4])
def test_what_was_imagined_is_remembered_at_the_level_that_is_asked_for(level):
    schedule, denoiser = NoiseSchedule(10, "cosine"), Drifting()
    generator = torch.Generator().manual_seed(0)
    got = roll_out(denoiser, schedule, torch.zeros(200, 2), 1, 2, 10, generator, level)
    ((remembered, levels),) = denoiser.remembered
    assert levels.unique().tolist() == [level]
    signal, noise = schedule.scales(torch.tensor(level))
    spread = (remembered - signal * got[:, 0]).std()
    assert float(spread) == pytest.approx(float(noise), rel=0.1, abs=1e-6)


def test_a_long_roll_out_is_a_short_one_that_goes_on():
    trained = make_checkpoint()
    schedule = NoiseSchedule(1000, "cosine")
    z = trained.denoiser.initial(2)

    def run(tokens):
        generator = torch.Generator().manual_seed(1)
        return roll_out(
            trained.denoiser, schedule, z, tokens, trained.codec.width, 3, generator, 50
        )

    assert torch.equal(run(9)[:, :4], run(4))
