"""Checkpoints: what is loaded is what was saved, and what is wrong with one is said."""

import dataclasses
import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file
from training_data import SPEC, make_checkpoint, tiny

from df_policy import checkpoint, config, presets
from df_policy.errors import DfPolicyError


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_checkpoint_survives_the_disk(tmp_path, name):
    saved = make_checkpoint(config=tiny(name))
    saved.save(tmp_path)
    loaded = checkpoint.load(str(tmp_path))
    assert loaded.config == saved.config
    assert loaded.spec == saved.spec
    assert loaded.about == saved.about
    for part in ("codec", "denoiser", "imagination"):
        want, got = getattr(saved, part).state_dict(), getattr(loaded, part).state_dict()
        assert want.keys() == got.keys()
        assert all(torch.equal(want[name], got[name]) for name in want)


def test_a_missing_checkpoint_is_said_with_the_nearest_name(tmp_path, monkeypatch):
    monkeypatch.setattr(checkpoint, "SHIPPED", tmp_path)
    make_checkpoint().save(tmp_path / "fruit_swap")
    assert checkpoint.find("fruit_swap") == tmp_path / "fruit_swap"
    with pytest.raises(DfPolicyError, match="did you mean 'fruit_swap'"):
        checkpoint.find("fruit_swop")
    with pytest.raises(DfPolicyError, match="holds no checkpoint"):
        checkpoint.find(str(tmp_path))


def test_a_damaged_file_is_said(tmp_path):
    make_checkpoint().save(tmp_path)
    weights = tmp_path / checkpoint.WEIGHTS
    weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(DfPolicyError, match="damaged"):
        checkpoint.load(str(tmp_path))


def test_weights_of_another_size_are_said(tmp_path):
    make_checkpoint().save(tmp_path)
    about = json.loads((tmp_path / checkpoint.ABOUT).read_text())
    about["config"]["network"]["width"] = 48
    (tmp_path / checkpoint.ABOUT).write_text(json.dumps(about))
    with pytest.raises(DfPolicyError, match="do not fit their configuration"):
        checkpoint.load(str(tmp_path))


def test_weights_of_the_format_before_do_not_hear_of_what_is_given(tmp_path):
    saved = make_checkpoint()
    saved.save(tmp_path)
    tensors = load_file(tmp_path / checkpoint.WEIGHTS)
    width = saved.codec.width
    tensors["denoiser.enter.weight"] = tensors["denoiser.enter.weight"][:, :width].contiguous()
    save_file(tensors, tmp_path / checkpoint.WEIGHTS)
    about = json.loads((tmp_path / checkpoint.ABOUT).read_text()) | {"format": 2}
    (tmp_path / checkpoint.ABOUT).write_text(json.dumps(about))
    old = checkpoint.load(str(tmp_path)).denoiser
    z, x, level = old.initial(2), torch.randn(2, width), torch.tensor([3, 7])
    given = torch.rand(2, width) < 0.5
    assert torch.equal(old.predict(z, x, level), old.predict(z, x, level, given))
    torch.testing.assert_close(old.predict(z, x, level), saved.denoiser.predict(z, x, level))


def test_a_checkpoint_without_decoders_is_one_that_cannot_imagine(tmp_path):
    dataclasses.replace(make_checkpoint(), imagination=None).save(tmp_path)
    assert checkpoint.load(str(tmp_path)).imagination is None


def test_another_format_is_said(tmp_path):
    make_checkpoint().save(tmp_path)
    about = json.loads((tmp_path / checkpoint.ABOUT).read_text()) | {"format": 99}
    (tmp_path / checkpoint.ABOUT).write_text(json.dumps(about))
    with pytest.raises(DfPolicyError, match="format 99"):
        checkpoint.load(str(tmp_path))


@pytest.mark.parametrize("name", presets.PRESETS)
def test_a_configuration_survives_json(name):
    values = json.loads(json.dumps(config.to_json(presets.PRESETS[name])))
    assert config.from_json(values) == presets.PRESETS[name]


def test_a_setting_that_came_later_has_its_default():
    values = config.to_json(presets.PRESETS["tiny"])
    del values["sampler"]["trust"]
    assert config.from_json(values) == presets.PRESETS["tiny"]


def test_an_unknown_setting_is_not_silently_lost():
    values = config.to_json(presets.PRESETS["tiny"])
    values["sampler"]["temperature"] = 1.0
    with pytest.raises(DfPolicyError, match="temperature"):
        config.from_json(values)


def test_an_unknown_preset_is_said_with_the_nearest_name():
    with pytest.raises(DfPolicyError, match="did you mean 'fruit_swap'"):
        presets.preset("fruitswap")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"cameras": {"front": (32, 32)}}, "cameras"),
        ({"joint_names": ("other",)}, "joint_names"),
        ({"action_rate_hz": 20.0}, "action_rate_hz"),
    ],
)
def test_a_robot_that_differs_is_refused(change, said):
    checkpoint.check_robot(SPEC, SPEC)
    with pytest.raises(DfPolicyError, match=said):
        checkpoint.check_robot(SPEC, dataclasses.replace(SPEC, **change))


def test_constant_columns_are_not_modelled_and_come_back():
    codec = make_checkpoint().codec
    assert codec.action.width == 4
    x = torch.randn(2, codec.width)
    actions = codec.decode_actions(x)
    assert actions.shape == (2, codec.chunk, 10)
    want = torch.tensor([1.0, 0, 0, 0, -1.0, 0])
    torch.testing.assert_close(actions[..., 3:9], want.expand(2, codec.chunk, 6))


@pytest.mark.parametrize("name", ["fruit_swap", "fruit_swap_memoryless_two"])
def test_actions_survive_the_codec(name):
    saved = make_checkpoint(config=tiny(name))
    codec = saved.codec
    rng = np.random.default_rng(0)
    actions = torch.zeros(5, codec.chunk, 10)
    actions[..., 3], actions[..., 7] = 1.0, -1.0
    actions[..., [0, 1, 2, 9]] = torch.from_numpy(rng.normal(size=(5, codec.chunk, 4))).float()
    latents = torch.zeros(5, 2 * saved.config.encoder.latent)
    here = (latents, torch.zeros(5, 10))
    x = codec.encode(*here, actions, here if codec.frames == 2 else None)
    assert int(codec.is_observation().sum()) == codec.frames * codec.observation.width
    assert x.shape == (5, codec.width)
    torch.testing.assert_close(codec.decode_actions(x), actions, atol=1e-5, rtol=1e-5)


def test_half_precision_halves_the_weights_and_keeps_the_statistics(tmp_path):
    saved = make_checkpoint()
    saved.save(tmp_path / "whole")
    saved.save(tmp_path / "half", torch.float16)
    whole, half = ((tmp_path / n / checkpoint.WEIGHTS).stat().st_size for n in ("whole", "half"))
    assert half < 0.7 * whole
    loaded = checkpoint.load(str(tmp_path / "half"))
    for name, value in loaded.denoiser.state_dict().items():
        assert value.dtype == torch.float32
        torch.testing.assert_close(value, saved.denoiser.state_dict()[name], atol=1e-3, rtol=1e-3)
    for part in ("mean", "scale", "varies"):
        want, got = (getattr(c.codec.observation, part) for c in (saved, loaded))
        assert torch.equal(want, got)
