"""Settings: a value out of its range is refused before anything is done with it."""

import dataclasses
import re

import pytest

from df_policy.commands import train
from df_policy.commands.evaluate import parser
from df_policy.commands.playing import load_policy
from df_policy.config import SamplerConfig, resampled
from df_policy.errors import DfPolicyError
from df_policy.presets import PRESETS

PLACES = ["--data", "a.zarr", "--out", "b"]


@pytest.mark.parametrize(
    "option",
    [
        "--encoder.latent=0",
        "--token.chunk=0",
        "--token.window=1",
        "--diffusion.levels=0",
        "--diffusion.clean-history=1.5",
        "--network.width=0",
        "--network.window=0",
        "--network.block=2",
        "--sampler.horizon=0",
        "--sampler.steps=5000",
        "--sampler.eta=-3",
        "--policy-fit.batch=0",
        "--policy-fit.ema=1",
        "--encoder-fit.imitate=0",
        "--run.threads=0",
        "--run.validation=0",
    ],
)
def test_a_value_out_of_its_range_is_named_with_what_came(option):
    name, _, value = option.partition("=")
    words = name.removeprefix("--").replace("-", "_").split(".")[-1]
    with pytest.raises(DfPolicyError, match=f"{words}.*got {float(value):g}"):
        train.parse([*PLACES, option])


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_is_parsed_and_can_be_changed(name):
    parsed = train.parse([*PLACES, "--preset", name, "--policy-fit.steps", "7"])
    assert parsed.config.policy_fit.steps == 7
    assert parsed.config.network == PRESETS[name].network


def test_a_sampler_that_does_not_fit_is_refused_before_any_episode(tmp_path):
    from training_data import make_checkpoint

    make_checkpoint().save(tmp_path)
    with pytest.raises(DfPolicyError, match=r"at most diffusion\.levels = 1000, got 5000"):
        load_policy(parser().parse_args([str(tmp_path), "--steps=5000"]))
    with pytest.raises(DfPolicyError, match="expected a device"):
        load_policy(parser().parse_args([str(tmp_path), "--device=abacus"]))


def test_a_sampler_is_changed_by_name_and_the_rest_of_it_stays():
    before = SamplerConfig(samples=3)
    after = resampled(before, '{"horizon": 1, "lag": 2, "histories": [], "matrix": "warm"}')
    assert after == dataclasses.replace(before, horizon=1, lag=2, matrix="warm")
    assert resampled(before, "") == before


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ("horizon=1", "as a JSON object"),
        ("[1]", "as a JSON object"),
        ('{"horizont": 1}', "did you mean 'horizon'"),
        ('{"horizon": "1"}', "sampler.horizon as 2 is, got 1"),
        ('{"horizon": true}', "sampler.horizon as 2 is, got True"),
        ('{"horizon": 0}', "sampler.horizon above 0"),
        ('{"eta": 2.0}', "sampler.eta from 0 to 1"),
    ],
)
def test_a_sampler_that_cannot_be_is_refused_with_the_reason(changes, says):
    with pytest.raises(DfPolicyError, match=re.escape(says)):
        resampled(SamplerConfig(), changes)
