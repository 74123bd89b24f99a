"""Presets: each baseline differs from the policy in what it is there to show, and in no size."""

import dataclasses

import pytest

from df_policy import checkpoint
from df_policy.checkpoint import build_denoiser
from df_policy.config import Config
from df_policy.presets import PRESETS
from df_policy.tokens import TokenCodec

COMPARED = sorted(set(PRESETS) - {"tiny", "fruit_swap_anywhere"})


def numbers(config):
    """Learnt numbers of a preset's network, for the robot of the shipped weights."""
    shipped = checkpoint.load("fruit_swap")
    statistics = (shipped.codec.observation, shipped.codec.action)
    codec = TokenCodec(shipped.spec, config, *statistics)
    return sum(parameter.numel() for parameter in build_denoiser(codec, config).parameters())


@pytest.mark.parametrize("name", COMPARED)
def test_all_networks_that_are_compared_are_of_one_size(name):
    assert numbers(PRESETS[name]) == pytest.approx(numbers(Config()), rel=0.05)


@pytest.mark.parametrize("name", COMPARED)
def test_all_that_are_compared_are_trained_alike(name):
    chosen = PRESETS[name]
    for section in ("encoder", "encoder_fit", "policy_fit", "run"):
        assert getattr(chosen, section) == getattr(Config(), section)
    same = dataclasses.replace(chosen.token, frames=1)
    assert same == Config().token
    assert (chosen.sampler.steps, chosen.sampler.horizon, chosen.sampler.samples) == (4, 2, 8)
