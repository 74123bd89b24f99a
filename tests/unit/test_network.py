"""The denoiser: causal, its fast path equal to the slow one, forgetful only when told to be."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from df_policy.attention import AttentionDenoiser
from df_policy.config import DiffusionConfig, NetworkConfig
from df_policy.loss import draw_doubt, draw_levels, sequence_loss
from df_policy.network import RecurrentDenoiser
from df_policy.noise import NoiseSchedule

WIDTH, LEVELS = 7, 100
SEEN = torch.arange(WIDTH) < 4
KINDS = ("recurrent", "last_observation", "attention")


def make(memory="recurrent", predicted=None):
    torch.manual_seed(0)
    sizes = {"memory_width": 12, "embedding_width": 10, "width": 16, "blocks": 2}
    config = NetworkConfig(memory, **sizes, window=4, heads=2)
    kind = AttentionDenoiser if memory == "attention" else RecurrentDenoiser
    network = kind(WIDTH, LEVELS, config, SEEN, predicted)
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
        torch.testing.assert_close(before, z[:, : network.read_width])
        z = network.update(z, x[:, t], level[:, t])


@pytest.mark.parametrize("memory", KINDS)
@given(known=st.integers(0, 5))
def test_a_plan_reads_what_it_would_as_the_rest_of_a_sequence(memory, known):
    network = make(memory)
    x, level = sequence()
    z = network.initial(len(x))
    for t in range(known):
        z = network.update(z, x[:, t], level[:, t])
    got = network.ahead(z, x[:, known:], level[:, known:])
    torch.testing.assert_close(
        got[..., : network.read_width], network.scan(x, level)[:, known:], atol=1e-5, rtol=1e-5
    )


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


def test_a_memory_keeps_the_first_token_and_a_memoryless_network_does_not():
    x, level = sequence()
    other = x.clone()
    other[:, 0] += 1.0
    for memory, keeps in zip(KINDS, (True, False, True), strict=True):
        network = make(memory)
        same = torch.equal(network.scan(x, level)[:, -1], network.scan(other, level)[:, -1])
        assert same is not keeps


def test_a_memoryless_network_sees_only_the_observation():
    network = make("last_observation")
    x, level = sequence()
    other = x.clone()
    other[..., 4:] += 1.0
    assert torch.equal(network.scan(x, level), network.scan(other, level))


@pytest.mark.parametrize("memory", KINDS)
def test_where_actions_alone_are_predicted_no_observation_is_invented(memory):
    """What is not predicted is read where it was observed, at level 0, and nowhere else."""
    network = make(memory, predicted=~SEEN)
    x, level = sequence()
    level = level.clamp_min(1)
    other = x + SEEN
    z = network.initial(len(x))
    assert torch.equal(network.scan(x, level), network.scan(other, level))
    read = network.scan(x, level)
    assert torch.equal(network.predict(read, x, level), network.predict(read, other, level))
    clean = torch.zeros_like(level)
    assert not torch.equal(network.scan(x, clean), network.scan(other, clean))
    # A token of a plan that is finished is at level 0, and still nobody saw it.
    assert torch.equal(network.ahead(z, x, clean), network.ahead(z, other, clean))


def by_part():
    torch.manual_seed(0)
    config = NetworkConfig(
        "recurrent", "camera", memory_width=12, embedding_width=10, width=16, blocks=2
    )
    return RecurrentDenoiser(WIDTH, LEVELS, config, parts=torch.tensor([1, 1, 2, 2, 0, 0, 0]))


def test_one_level_for_a_token_is_that_level_for_each_of_its_parts():
    network = by_part()
    x, level = sequence()
    each = level.unsqueeze(-1).expand(-1, -1, 3)
    assert torch.equal(network.scan(x, level), network.scan(x, each))
    z = network.initial(3)
    assert torch.equal(
        network.update(z, x[:, 0], level[:, 0]), network.update(z, x[:, 0], each[:, 0])
    )


def test_the_memory_can_tell_which_part_is_noised():
    network = by_part()
    x, _ = sequence()
    levels = torch.zeros(3, 3, dtype=torch.long)
    levels[torch.arange(3), torch.arange(3)] = LEVELS
    z = [network.update(network.initial(3), x[:, 0], row.expand(3, 3)) for row in levels]
    assert not torch.equal(z[0], z[1])
    assert not torch.equal(z[1], z[2])


@pytest.mark.parametrize("memory", KINDS)
def test_the_level_matters_to_memory_and_prediction(memory):
    network = make(memory)
    x, level = sequence()
    z = network.scan(x, level)
    other = (level + 7) % LEVELS
    assert not torch.equal(z[:, 1:], network.scan(x, other)[:, 1:])
    assert not torch.equal(network.predict(z, x, level), network.predict(z, x, other))


def test_levels_are_independent_and_histories_clean_up_to_a_random_token():
    config = DiffusionConfig(levels=LEVELS, doubt=0.0, forget=0.0)
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


def test_a_shared_level_is_one_for_all_tokens_and_the_memory_reads_them_at_it():
    config = DiffusionConfig(levels=LEVELS, shared_level=True)
    level, history = draw_levels(500, 5, config, torch.Generator().manual_seed(0))
    assert torch.equal(level, history)
    assert torch.equal(level, level[:, :1].expand(-1, 5))
    assert len(level[:, 0].unique()) > 50
    assert (int(level.min()), int(level.max())) == (1, LEVELS)


def test_some_sequences_forget_their_beginning():
    config = DiffusionConfig(levels=LEVELS, clean_history=1.0, forget=0.3)
    _, history = draw_levels(4000, 6, config, torch.Generator().manual_seed(0))
    forgotten = history == LEVELS
    assert bool((forgotten[:, 1:] <= forgotten[:, :-1]).all()), "only a beginning is forgotten"
    assert bool((history[~forgotten] == 0).all())
    assert not bool(forgotten[:, -1].any()), "something is left to look at"
    assert float(forgotten[:, 0].float().mean()) == pytest.approx(0.3, abs=0.03)


class Spy(torch.nn.Module):
    """Keeps what the memory was told."""

    causal = True

    def __init__(self):
        super().__init__()
        self.parts = torch.tensor([1, 1, 2, 2, 0, 0, 0])

    def scan(self, x, level):
        self.told = x, level
        return torch.zeros(*x.shape[:2], 1)

    def predict(self, z, x, level, given=None):
        return torch.zeros_like(x)


def test_the_memory_reads_every_part_at_the_level_that_it_is_told():
    """Noise as strong as the label says: a token said to be pure noise holds nothing of itself."""
    config = DiffusionConfig(levels=LEVELS, forget=0.5, doubt=0.5, history_noise=0.0)
    schedule, spy = NoiseSchedule(LEVELS, "cosine"), Spy()
    x = torch.full((4000, 6, WIDTH), 10.0)
    real = torch.ones(4000, 6, dtype=torch.bool)
    generator = torch.Generator().manual_seed(0)
    sequence_loss(spy, schedule, x, real, torch.ones(WIDTH), config, generator)
    seen, level = spy.told
    each = level[..., spy.parts]
    for name, chosen in {
        "clean": each == 0,
        "nothing": each == LEVELS,
        "half": each == 50,
    }.items():
        signal, noise = schedule.scales(
            torch.tensor({"clean": 0, "nothing": LEVELS, "half": 50}[name])
        )
        assert float(seen[chosen].mean()) == pytest.approx(10.0 * float(signal), abs=0.15), name
        assert float(seen[chosen].std()) == pytest.approx(float(noise), abs=0.15), name


def test_a_camera_is_doubted_for_one_stretch_and_never_less_than_its_token():
    config = DiffusionConfig(levels=LEVELS, doubt=0.4, forget=0.0)
    generator = torch.Generator().manual_seed(0)
    _, history = draw_levels(4000, 6, config, generator)
    level = draw_doubt(history, 3, config, generator)
    assert torch.equal(level[..., 0], history)
    assert bool((level >= history.unsqueeze(-1)).all())
    clean = draw_doubt(torch.zeros_like(history), 3, config, generator)[..., 1]
    doubted = clean > 0
    starts = doubted[:, 0].long() + (doubted[:, 1:] & ~doubted[:, :-1]).sum(1)
    assert int(starts.max()) == 1
    assert float(doubted.any(1).float().mean()) == pytest.approx(0.4, abs=0.03)
    assert float((clean[doubted] == LEVELS).float().mean()) == pytest.approx(0.5, abs=0.05)


class Oracle(torch.nn.Module):
    """Knows the clean tokens: its v is exact."""

    causal = True

    def __init__(self, x, schedule):
        super().__init__()
        self.x, self.schedule = x, schedule
        self.parts = torch.zeros(WIDTH, dtype=torch.long)

    def scan(self, x, level):
        return torch.zeros(*x.shape[:2], 1)

    def predict(self, z, x, level, given=None):
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
        config = DiffusionConfig(levels=LEVELS, doubt=0.0, forget=0.0)
        oracle = Oracle(truth, schedule)
        return float(sequence_loss(oracle, schedule, x, real, weight, config, generator))

    assert measure(x) < 1e-4
    padded, wrong = x.clone(), x.clone()
    padded[:, 4:] += 1.0
    wrong[:, 2] += 1.0
    assert measure(padded) < 1e-4
    assert measure(wrong) > 0.1


def test_what_is_given_is_told_as_it_is_and_is_not_to_be_predicted():
    schedule = NoiseSchedule(LEVELS, "cosine")
    x, _ = sequence()
    prefixes = torch.arange(WIDTH) < torch.tensor([[2], [4]])

    class Told(Oracle):
        def predict(self, z, x, level, given=None):
            assert torch.equal(x[given], self.x[given])
            self.given = given
            return super().predict(z, x, level) + 5.0 * given

    def measure(share):
        oracle, config = Told(x, schedule), DiffusionConfig(levels=LEVELS, commit=share)
        generator = torch.Generator().manual_seed(3)
        real, weight = torch.ones(3, 6, dtype=torch.bool), torch.ones(WIDTH)
        loss = sequence_loss(oracle, schedule, x, real, weight, config, generator, prefixes)
        return oracle.given, float(loss)

    given, loss = measure(1.0)
    assert loss < 1e-4
    assert {tuple(row) for row in given.flatten(0, 1).tolist()} == {
        tuple(p) for p in prefixes.tolist()
    }
    assert not measure(1e-9)[0].any()


def test_a_memory_that_saw_the_clean_token_is_not_judged_by_it():
    schedule = NoiseSchedule(LEVELS, "cosine")
    x, _ = sequence()
    wrong = Oracle(x + 1.0, schedule)
    real, weight = torch.ones(3, 6, dtype=torch.bool), torch.ones(WIDTH)

    def measure(clean_history):
        generator = torch.Generator().manual_seed(3)
        config = DiffusionConfig(levels=LEVELS, clean_history=clean_history, doubt=0.0, forget=0.0)
        return float(sequence_loss(wrong, schedule, x, real, weight, config, generator))

    assert measure(1.0) > 0.1
    wrong.causal = False
    assert measure(1.0) == 0.0
    assert measure(0.0) > 0.1
