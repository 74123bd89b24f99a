"""The denoiser: causal, its fast path equal to the slow one, forgetful only when told to be."""

import pytest
import torch

from df_policy.config import DiffusionConfig, NetworkConfig
from df_policy.loss import draw_levels, sequence_loss
from df_policy.network import RecurrentDenoiser
from df_policy.noise import NoiseSchedule

WIDTH, LEVELS = 7, 100
KINDS = ("recurrent", "last_observation")


def make(memory="recurrent"):
    torch.manual_seed(0)
    config = NetworkConfig(memory, memory_width=12, embedding_width=10, width=16, blocks=2)
    remembered = torch.arange(WIDTH) < 4
    network = RecurrentDenoiser(WIDTH, LEVELS, config, remembered)
    for parameter in network.parameters():  # blocks start as the identity: make them matter
        torch.nn.init.normal_(parameter, std=0.3)
    return network


def sequence(batch=3, tokens=6):
    generator = torch.Generator().manual_seed(1)
    x = torch.randn(batch, tokens, WIDTH, generator=generator)
    level = torch.randint(0, LEVELS + 1, (batch, tokens), generator=generator)
    return x, level


@pytest.mark.parametrize("memory", KINDS)
def test_a_scan_is_the_updates_one_by_one(memory):
    network = make(memory)
    x, level = sequence()
    z = network.initial(len(x))
    for t, before in enumerate(network.scan(x, level).unbind(1)):
        torch.testing.assert_close(before, z)
        z = network.update(z, x[:, t], level[:, t])


@pytest.mark.parametrize("memory", KINDS)
@pytest.mark.parametrize("changed", range(6))
def test_a_token_changes_nothing_before_it(memory, changed):
    network = make(memory)
    x, level = sequence()
    other = x.clone()
    other[:, changed] += 1.0
    before, after = network.scan(x, level), network.scan(other, level)
    assert torch.equal(before[:, : changed + 1], after[:, : changed + 1])
    if changed < 5:
        assert not torch.equal(before[:, changed + 1], after[:, changed + 1])


def test_a_recurrent_memory_keeps_the_first_token_and_a_memoryless_one_does_not():
    x, level = sequence()
    other = x.clone()
    other[:, 0] += 1.0
    for memory, keeps in zip(KINDS, (True, False), strict=True):
        network = make(memory)
        same = torch.equal(network.scan(x, level)[:, -1], network.scan(other, level)[:, -1])
        assert same is not keeps


def test_a_memoryless_network_sees_only_the_observation():
    network = make("last_observation")
    x, level = sequence()
    other = x.clone()
    other[..., 4:] += 1.0
    assert torch.equal(network.scan(x, level), network.scan(other, level))


def test_the_level_matters_to_memory_and_prediction():
    network = make()
    x, level = sequence()
    z = network.scan(x, level)
    other = (level + 7) % LEVELS
    assert not torch.equal(z[:, 1:], network.scan(x, other)[:, 1:])
    assert not torch.equal(network.predict(z, x, level), network.predict(z, x, other))


def test_levels_are_independent_and_histories_clean_up_to_a_random_token():
    config = DiffusionConfig(levels=LEVELS)
    generator = torch.Generator().manual_seed(0)
    level, history = draw_levels(4000, 5, config, generator)
    assert int(level.min()) == 1
    assert int(level.max()) == LEVELS
    correlation = torch.corrcoef(level.float().T)
    assert float((correlation - torch.eye(5)).abs().max()) < 0.06
    clean = history == 0
    assert bool((clean[:, 1:] <= clean[:, :-1]).all())
    assert torch.equal(history[~clean], level[~clean])
    lengths = clean.sum(1).bincount(minlength=6) / 4000
    assert lengths.tolist() == pytest.approx([0.1] * 5 + [0.5], abs=0.03)


class Oracle(torch.nn.Module):
    """Knows the clean tokens: its v is exact."""

    def __init__(self, x, schedule):
        super().__init__()
        self.x, self.schedule = x, schedule

    def scan(self, x, level):
        return torch.zeros(*x.shape[:2], 1)

    def predict(self, z, x, level):
        signal_scale, noise_scale = self.schedule.scales(level)
        noise = (x - signal_scale * self.x) / noise_scale
        return self.schedule.velocity(self.x, noise, level)


def test_the_loss_of_the_truth_is_zero_and_padding_does_not_count():
    schedule = NoiseSchedule(LEVELS, "cosine")
    x, _ = sequence()
    real = torch.ones(3, 6, dtype=torch.bool)
    real[:, 4:] = False
    weight = torch.ones(WIDTH)

    def measure(truth):
        generator = torch.Generator().manual_seed(3)
        config = DiffusionConfig(levels=LEVELS)
        oracle = Oracle(truth, schedule)
        return float(sequence_loss(oracle, schedule, x, real, weight, config, generator))

    assert measure(x) < 1e-4
    padded, wrong = x.clone(), x.clone()
    padded[:, 4:] += 1.0
    wrong[:, 2] += 1.0
    assert measure(padded) < 1e-4
    assert measure(wrong) > 0.1
