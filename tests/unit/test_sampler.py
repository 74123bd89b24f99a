"""Sampling: the schedule decides only the order, never what is true."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from df_policy.config import NetworkConfig
from df_policy.network import RecurrentDenoiser
from df_policy.noise import NoiseSchedule
from df_policy.sampler import Composed, Given, sample
from df_policy.schedule import matrix, rolling

LEVELS, WIDTH = 100, 3


class Chain:
    """The exact denoiser of a chain that adds one: token t is the memory plus one."""

    causal = True

    def __init__(self, schedule):
        self.schedule = schedule
        self.seen = []

    def update(self, z, x, level):
        self.seen.append((x.clone(), int(level[0])))
        return z + 1.0

    def initial(self, batch):
        return torch.zeros(batch, WIDTH)

    def ahead(self, z, x, level):
        memories = [z]
        for t in range(x.shape[1] - 1):
            memories.append(self.update(memories[-1], x[:, t], level[:, t]))
        return torch.stack(memories, dim=1)

    def predict(self, z, x, level, given=None):
        signal_scale, noise_scale = self.schedule.scales(level)
        truth = z + 1.0
        noise = (x - signal_scale * truth) / noise_scale
        return self.schedule.velocity(truth, noise, level)


@settings(max_examples=30)
@given(
    name=st.sampled_from(["pyramid", "full_sequence", "autoregressive"]),
    horizon=st.integers(1, 5),
    steps=st.integers(1, 6),
    eta=st.sampled_from([0.0, 1.0]),
)
def test_a_perfect_denoiser_is_followed_by_every_schedule(name, horizon, steps, eta):
    schedule = NoiseSchedule(LEVELS, "cosine")
    generator = torch.Generator().manual_seed(0)
    z = torch.tensor([[0.0], [10.0]]).expand(2, WIDTH)
    rows = matrix(name, horizon, steps, LEVELS)
    got = sample(Chain(schedule), schedule, z, rows, WIDTH, generator, eta)
    want = z[:, None] + torch.arange(1, horizon + 1)[None, :, None]
    torch.testing.assert_close(got, want, atol=1e-3, rtol=1e-3)


@settings(max_examples=20)
@given(
    name=st.sampled_from(["pyramid", "full_sequence", "autoregressive"]),
    eta=st.sampled_from([0.0, 1.0]),
    known=st.lists(st.booleans(), min_size=3 * WIDTH, max_size=3 * WIDTH),
)
def test_what_is_given_of_a_plan_stays_and_the_rest_goes_with_it(name, eta, known):
    schedule, rows = NoiseSchedule(LEVELS, "cosine"), matrix(name, 3, 4, LEVELS)
    generator = torch.Generator().manual_seed(0)
    mask = torch.tensor(known).reshape(3, WIDTH)
    truth = torch.arange(1.0, 4.0).unsqueeze(-1).expand(3, WIDTH)
    given = Given(torch.where(mask, truth, 99.0), mask)
    z = torch.zeros(2, WIDTH)
    got = sample(Chain(schedule), schedule, z, rows, WIDTH, generator, eta, given)
    torch.testing.assert_close(got, truth.expand(2, -1, -1), atol=1e-3, rtol=1e-3)
    assert torch.equal(got[:, mask], truth[mask].expand(2, -1))


@settings(max_examples=20)
@given(horizon=st.integers(1, 4), steps=st.integers(1, 6), rounds=st.integers(1, 5))
def test_a_plan_that_is_carried_over_follows_a_perfect_denoiser_too(horizon, steps, rounds):
    schedule, generator = NoiseSchedule(LEVELS, "cosine"), torch.Generator().manual_seed(0)
    rows, later = rolling(horizon, steps, LEVELS)
    z, begin = torch.zeros(2, WIDTH), None
    for turn in range(1, rounds + 1):
        args = (Chain(schedule), schedule, z, rows, WIDTH, generator)
        tokens = sample(*args, begin=begin)
        torch.testing.assert_close(
            tokens[:, 0], torch.full((2, WIDTH), float(turn)), atol=1e-3, rtol=1e-3
        )
        z, rows = tokens[:, 0], later
        begin = torch.cat([tokens[:, 1:], torch.randn(2, 1, WIDTH, generator=generator)], 1)


@pytest.mark.parametrize("name", ["pyramid", "full_sequence", "autoregressive"])
@pytest.mark.parametrize("eta", [0.0, 1.0])
def test_a_preference_bends_the_plan_that_is_foreseen(name, eta):
    schedule, rows = NoiseSchedule(LEVELS, "cosine"), matrix(name, 3, 4, LEVELS)
    generator = torch.Generator().manual_seed(0)
    z, seen = torch.zeros(2, WIDTH), []

    def at_most(tokens):
        seen.append(tokens)
        return tokens.clamp(max=0.5)

    args = (Chain(schedule), schedule, z, rows, WIDTH, generator, eta)
    tokens = sample(*args, bend=at_most)
    # The chain's next token is one more than the one before, which was bent.
    want = torch.full((2, 3, WIDTH), 0.5)
    torch.testing.assert_close(tokens, want, atol=1e-3, rtol=1e-3)
    assert all(tokens.shape == (2, 3, WIDTH) for tokens in seen)


def test_a_finished_token_is_left_alone_and_read_as_clean():
    schedule = NoiseSchedule(LEVELS, "cosine")
    chain = Chain(schedule)
    rows = matrix("autoregressive", 2, 3, LEVELS)
    generator = torch.Generator().manual_seed(0)
    sample(chain, schedule, torch.zeros(1, WIDTH), rows, WIDTH, generator)
    clean = [x for x, level in chain.seen if level == 0]
    assert len(clean) == 3  # once for each step of the token after it
    assert all(torch.equal(x, clean[0]) for x in clean)


def test_the_same_seed_gives_the_same_plan_and_another_one_another():
    schedule = NoiseSchedule(LEVELS, "cosine")

    class Passing(Chain):
        def predict(self, z, x, level, given=None):
            return torch.tanh(x)

    def draw(seed):
        generator = torch.Generator().manual_seed(seed)
        rows = matrix("pyramid", 2, 3, LEVELS)
        z = torch.zeros(1, WIDTH)
        return sample(Passing(schedule), schedule, z, rows, WIDTH, generator, eta=1.0)

    assert torch.equal(draw(1), draw(1))
    assert not torch.equal(draw(1), draw(2))


@pytest.mark.parametrize("name", ["pyramid", "full_sequence", "autoregressive"])
def test_a_plan_is_what_the_memory_carried_token_by_token_gives(name):
    torch.manual_seed(0)
    config = NetworkConfig(memory_width=8, embedding_width=8, width=8, blocks=1)
    network = RecurrentDenoiser(WIDTH, LEVELS, config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    schedule, rows = NoiseSchedule(LEVELS, "cosine"), matrix(name, 3, 4, LEVELS)
    z = network.update(network.initial(2), torch.ones(2, WIDTH), torch.zeros(2, dtype=torch.long))
    got = sample(network, schedule, z, rows, WIDTH, torch.Generator().manual_seed(1))

    want = torch.randn((2, 3, WIDTH), generator=torch.Generator().manual_seed(1))
    for row in range(1, len(rows)):
        old, memory = want.clone(), z
        now, then = (torch.tensor(rows[r]).expand(2, -1) for r in (row - 1, row))
        for t in range(3):
            if rows[row, t] != rows[row - 1, t]:
                v = network.predict(memory[:, None], old[:, t : t + 1], now[:, t : t + 1])
                step = schedule.step(old[:, t], v[:, 0], now[:, t], then[:, t])
                want[:, t] = step
            memory = network.update(memory, old[:, t], now[:, t])
    torch.testing.assert_close(got, want, atol=1e-6, rtol=1e-6)


def test_a_past_that_must_be_as_noisy_as_the_plan_is_asked_for_at_the_plans_level():
    schedule = NoiseSchedule(LEVELS, "cosine")
    asked = []

    def recall(level):
        asked.append(level)
        return torch.full((2, WIDTH), 4.0)

    rows = matrix("full_sequence", 2, 5, LEVELS)
    generator = torch.Generator().manual_seed(0)
    plan = sample(Chain(schedule), schedule, recall, rows, WIDTH, generator)
    assert asked == rows[:-1, 0].tolist()
    torch.testing.assert_close(plan[:, 0], torch.full((2, WIDTH), 5.0), atol=1e-3, rtol=1e-3)


@pytest.mark.parametrize("horizon", [1, 4])
def test_the_plan_has_one_token_a_column(horizon):
    schedule = NoiseSchedule(LEVELS, "cosine")
    rows = np.array([[LEVELS] * horizon, [0] * horizon])
    generator = torch.Generator().manual_seed(0)
    plan = sample(Chain(schedule), schedule, torch.zeros(2, WIDTH), rows, WIDTH, generator)
    assert plan.shape == (2, horizon, WIDTH)


def test_memories_composed_by_weight_predict_their_weighted_sum():
    torch.manual_seed(0)
    config = NetworkConfig(memory_width=6, embedding_width=6, width=8, blocks=1)
    network = RecurrentDenoiser(5, 50, config)
    for parameter in network.parameters():
        torch.nn.init.normal_(parameter, std=0.3)
    weights = (0.2, 0.5, 0.3)
    memories = torch.randn(3, 4, 12)
    side_by_side = memories.transpose(0, 1).flatten(1)
    x, level = torch.randn(4, 5), torch.tensor([1, 10, 30, 50])
    composed = Composed(network, weights)
    each = [w * network.predict(z, x, level) for w, z in zip(weights, memories, strict=True)]
    torch.testing.assert_close(composed.predict(side_by_side, x, level), sum(each))
    after = [network.update(z, x, level) for z in memories]
    torch.testing.assert_close(composed.update(side_by_side, x, level), torch.cat(after, -1))
