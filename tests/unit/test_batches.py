"""Batches are as large as the settings say, and are decided by the generator."""

import dataclasses

import numpy as np
import torch
from training_data import TINY, make_checkpoint, make_demonstrations

from df_policy.batches import Batches
from df_policy.demonstrations import join


def make(data=None, **fit):
    data = data or make_demonstrations(episodes=6, length=60)
    config = dataclasses.replace(TINY, policy_fit=dataclasses.replace(TINY.policy_fit, **fit))
    config = dataclasses.replace(config, token=dataclasses.replace(config.token, window=8))
    latents = torch.randn(len(data.action), 2 * config.encoder.latent)
    codec = make_checkpoint(config=config).codec
    return Batches(data, codec, latents, config, torch.device("cpu"))


def draw(batches, seed, count=1):
    generator = torch.Generator().manual_seed(seed)
    return [batches.draw(generator) for _ in range(count)]


def test_as_many_sequences_have_pauses_as_the_settings_say():
    def paused(share):
        drawn = draw(make(batch=50, pauses=share), 0, 4)
        return np.mean([(b.read != b.free).any((1, 2)).float().mean().item() for b in drawn])

    assert paused(0.0) == 0.0
    assert 0.3 < paused(0.5) < 0.6
    assert paused(1.0) > 0.9
    for batch in draw(make(batch=5, pauses=1.0), 0, 5):
        assert batch.read.shape[:2] == batch.free.shape[:2] == batch.real.shape == (5, 8)


def test_what_is_imposed_is_read_and_not_learnt():
    differ = [
        (batch.read != batch.free).any(-1).float().mean().item()
        for batch in draw(make(batch=16, pauses=1.0), 0, 10)
    ]
    assert 0.05 < np.mean(differ) < 0.95
    assert all((b.read[:, 0] == b.free[:, 0]).all() for b in draw(make(pauses=1.0), 1, 5))


def test_a_seed_decides_the_batch():
    batches = make(pauses=0.5)
    for one, other in zip(draw(batches, 3, 5), draw(batches, 3, 5), strict=True):
        assert torch.equal(one.read, other.read)
        assert torch.equal(one.free, other.free)
    assert not torch.equal(draw(batches, 3)[0].read[:, 0], draw(batches, 4)[0].read[:, 0])


def test_each_frame_of_a_recording_is_as_likely_as_any_other():
    short = make_demonstrations(episodes=10, length=6, seed=1)
    batches = make(join([make_demonstrations(episodes=1, length=60), short]), pauses=0.0, batch=16)
    long = [int(batch.real.sum(1).gt(1).sum()) for batch in draw(batches, 0, 60)]
    assert 0.4 < np.mean(long) / 16 < 0.6


def test_whole_episodes_are_read_from_their_start():
    batch = make().whole()
    assert batch.real.shape == (6, 8)
    assert batch.real.all()
    assert batch.free is batch.read
