"""A whole run on a small recording: it learns, and it can be stopped anywhere."""

import dataclasses
import threading

import pytest
import torch
from training_data import make_demonstrations

from df_policy import checkpoint
from df_policy.config import PRESETS, NetworkConfig, PolicyFitConfig
from df_policy.train import Hooks, StoppedError, Training

TINY = PRESETS["tiny"]


def tensors(folder):
    loaded = checkpoint.load(str(folder))
    return loaded.denoiser.state_dict() | loaded.codec.state_dict()


def stop_at(stage, step):
    stop = threading.Event()

    def watch(now, done, _of, _losses):
        if (now, done) == (stage, step):
            stop.set()

    return Hooks(on_step=watch, stop=stop)


@pytest.mark.parametrize(("stage", "step"), [("encoder", 7), ("policy", 13)])
def test_a_run_that_is_stopped_and_resumed_gives_the_same_checkpoint(tmp_path, stage, step):
    data = make_demonstrations()
    Training(data, TINY, tmp_path / "whole", {}, Hooks()).run()
    with pytest.raises(StoppedError):
        Training(data, TINY, tmp_path / "parts", {}, stop_at(stage, step)).run()
    Training(data, TINY, tmp_path / "parts", {}, Hooks()).run()
    want, got = tensors(tmp_path / "whole"), tensors(tmp_path / "parts")
    assert want.keys() == got.keys()
    assert all(torch.equal(want[name], got[name]) for name in want)


@pytest.mark.parametrize("memory", ["recurrent", "last_observation"])
def test_training_lowers_the_loss(tmp_path, memory):
    losses = []
    config = dataclasses.replace(
        TINY,
        network=dataclasses.replace(TINY.network, memory=memory),
        policy_fit=PolicyFitConfig(steps=150, batch=8),
    )
    assert isinstance(config.network, NetworkConfig)

    def watch(stage, _done, _of, values):
        if stage == "policy":
            losses.append(values["loss"])

    Training(make_demonstrations(), config, tmp_path, {}, Hooks(on_step=watch)).run()
    assert sum(losses[-20:]) < 0.8 * sum(losses[:20])
