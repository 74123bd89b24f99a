"""The forward process: its ends mean what they say, and its algebra closes."""

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from df_policy.noise import NoiseSchedule, signal_table

SCHEDULES = ("cosine", "linear", "sigmoid")


@pytest.mark.parametrize("name", SCHEDULES)
def test_level_0_is_clean_and_level_k_is_pure_noise(name):
    table = signal_table(1000, name)
    assert table[0] == 1.0
    assert table[-1] == 0.0
    assert bool((table.diff() < 0).all())


def test_an_unknown_schedule_is_refused():
    with pytest.raises(ValueError, match="cosine, linear, sigmoid"):
        signal_table(10, "quadratic")


@given(level=st.integers(0, 1000), seed=st.integers(0, 2**31), name=st.sampled_from(SCHEDULES))
def test_signal_and_noise_are_recovered_from_v(level, seed, name):
    schedule = NoiseSchedule(1000, name)
    generator = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(2, 3, 5, generator=generator).unbind(0)
    k = torch.full((3,), level)
    x_k = schedule.add(x, noise, k)
    got_x, got_noise = schedule.split(x_k, schedule.velocity(x, noise, k), k)
    torch.testing.assert_close(got_x, x, atol=1e-5, rtol=1e-5)
    torch.testing.assert_close(got_noise, noise, atol=1e-5, rtol=1e-5)


@given(
    level=st.integers(1, 100),
    fraction=st.floats(0.0, 1.0, exclude_max=True),
    seed=st.integers(0, 2**31),
)
def test_a_step_with_the_true_v_lands_on_the_forward_process(level, fraction, seed):
    schedule = NoiseSchedule(100, "cosine")
    generator = torch.Generator().manual_seed(seed)
    x, noise = torch.randn(2, 4, 3, generator=generator).unbind(0)
    k, to = torch.full((4,), level), torch.full((4,), int(fraction * level))
    v = schedule.velocity(x, noise, k)
    stepped = schedule.step(schedule.add(x, noise, k), v, k, to)
    torch.testing.assert_close(stepped, schedule.add(x, noise, to), atol=1e-4, rtol=1e-4)


@given(level=st.integers(0, 99), more=st.integers(0, 100), seed=st.integers(0, 2**31))
def test_noise_can_be_added_in_two_goes(level, more, seed):
    schedule = NoiseSchedule(100, "cosine")
    generator = torch.Generator().manual_seed(seed)
    x, some, other = torch.randn(3, 4000, 1, generator=generator).unbind(0)
    k, to = torch.full((4000,), level), torch.full((4000,), min(100, level + more))
    raised = schedule.raised(schedule.add(x, some, k), other, k, to)
    signal_scale, noise_scale = schedule.scales(to)
    rest = raised - signal_scale * x
    torch.testing.assert_close(rest.std(), noise_scale[0, 0], atol=0.05, rtol=0.05)
    assert float((rest * x).mean().abs()) < 0.1


def test_a_stochastic_step_keeps_the_variance():
    schedule = NoiseSchedule(100, "cosine")
    generator = torch.Generator().manual_seed(0)
    x, noise = torch.zeros(20000, 1), torch.randn(20000, 1, generator=generator)
    k, to = torch.full((20000,), 80), torch.full((20000,), 40)
    v = schedule.velocity(x, noise, k)
    stepped = schedule.step(schedule.add(x, noise, k), v, k, to, eta=1.0, generator=generator)
    assert float(stepped.std()) == pytest.approx(float(schedule.scales(to)[1][0]), rel=0.03)
