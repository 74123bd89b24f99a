"""Memory in a window: the kept keys and values give what the whole window would, and no more."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from df_policy.attention import AttentionDenoiser
from df_policy.config import NetworkConfig

WIDTH, LEVELS = 5, 100


def make(window=4, layers=2, heads=2, block=1):
    torch.manual_seed(0)
    sizes = {"memory_width": 6, "embedding_width": 8, "width": 8, "blocks": 1}
    shape = {"window": window, "layers": layers, "heads": heads, "block": block}
    network = AttentionDenoiser(WIDTH, LEVELS, NetworkConfig("attention", **sizes, **shape))
    for parameter in network.parameters():  # biases start at 0: make them matter
        torch.nn.init.normal_(parameter, std=0.4)
    return network


def sequence(tokens, clean=0, batch=2):
    generator = torch.Generator().manual_seed(tokens)
    x = torch.randn(batch, tokens, WIDTH, generator=generator)
    level = torch.randint(1, LEVELS + 1, (batch, tokens), generator=generator)
    level[:, :clean] = 0
    return x, level


def slowly(network, x, level):
    """What is read before each token, from the whole sequence and with no cache at all."""
    layers, window = len(network.layers), network.layers[0].window
    embedded = network._embed(x, level)
    filler = network.start.expand(len(x), layers * window, -1)
    h = torch.cat([filler, embedded], dim=1)
    for layer in network.layers:
        normed = layer.norm(h)
        queries = layer.query(normed)
        keys, values = layer.key_value(normed).chunk(2, dim=-1)
        part = queries.shape[-1] // layer.heads
        rows = []
        for t in range(h.shape[1]):
            ages = torch.arange(min(t + 1, window))
            heads = []
            for head in range(layer.heads):
                own = slice(head * part, (head + 1) * part)
                logits = (keys[:, t - ages, own] * queries[:, t, None, own]).sum(-1) / part**0.5
                weights = (logits + layer.bias[head, ages]).softmax(-1)
                heads.append((weights[..., None] * values[:, t - ages, own]).sum(1))
            rows.append(torch.cat(heads, dim=-1))
        h = h + layer.mix(torch.stack(rows, dim=1))
        h = h + layer.think(h)
    newest = torch.cat([filler, embedded], dim=1)
    first = layers * window - 1
    return torch.cat([network.read(h), newest], dim=-1)[:, first:-1]


@settings(max_examples=25)
@given(
    window=st.integers(1, 6),
    layers=st.integers(1, 3),
    heads=st.sampled_from([1, 2, 4]),
    tokens=st.integers(1, 10),
)
def test_the_fast_paths_are_the_slow_one(window, layers, heads, tokens):
    network = make(window, layers, heads)
    x, level = sequence(tokens)
    want = slowly(network, x, level)
    torch.testing.assert_close(network.scan(x, level), want, atol=1e-4, rtol=1e-4)
    z = network.initial(len(x))
    size = z.shape
    for t in range(tokens):
        torch.testing.assert_close(z[:, : network.read_width], want[:, t], atol=1e-4, rtol=1e-4)
        z = network.update(z, x[:, t], level[:, t])
        assert z.shape == size


@pytest.mark.parametrize(("window", "layers"), [(2, 1), (3, 2), (2, 3)])
def test_memory_reaches_as_far_back_as_its_windows_and_no_farther(window, layers):
    network = make(window, layers)
    x, level = sequence(12)
    other = x.clone()
    other[:, 0] += 1.0
    changed = (network.scan(x, level) != network.scan(other, level)).any(-1).any(0)
    reach = layers * (window - 1) + 1
    assert changed.tolist() == [0 < t <= reach for t in range(12)]


@pytest.mark.parametrize("changed", range(7))
def test_noisy_tokens_of_a_block_see_one_another_and_clean_ones_the_past_alone(changed):
    network = make(window=8, block=2)
    x, level = sequence(7, clean=3)
    other = x.clone()
    other[:, changed] += 1.0
    differs = (network.scan(x, level) != network.scan(other, level)).any(-1).any(0)
    end_of_block = {3: 3, 4: 3, 5: 5, 6: 5}
    first = end_of_block.get(changed, changed)
    assert differs.tolist() == [t >= first for t in range(7)]


@given(clean=st.integers(0, 9), block=st.integers(2, 4))
@settings(max_examples=25)
def test_a_plan_whose_tokens_see_one_another_follows_the_kept_memory(clean, block):
    network = make(window=3, block=block)
    x, level = sequence(10, clean=clean)
    z = network.initial(len(x))
    for t in range(clean):
        z = network.update(z, x[:, t], level[:, t])
    got = network.ahead(z, x[:, clean:], level[:, clean:])
    torch.testing.assert_close(got, network.scan(x, level)[:, clean:], atol=1e-4, rtol=1e-4)


def test_a_switch_that_is_off_is_a_block_of_one():
    assert make().causal
    assert not make(block=2).causal
