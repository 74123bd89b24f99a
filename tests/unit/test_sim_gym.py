"""The tasks behind gymnasium's interface."""

import warnings
from collections.abc import Iterator

import gymnasium
import numpy as np
import pytest
from gymnasium.utils.env_checker import check_env

import df_policy.sim
from df_policy.sim.gym_env import TaskGym
from df_policy.sim.scripted import ScriptedOperator
from df_policy.sim.tasks import find, names


@pytest.fixture(scope="module")
def env() -> Iterator[TaskGym]:
    made = gymnasium.make("FruitSwap-v0", render_mode="rgb_array").unwrapped
    assert isinstance(made, TaskGym)
    yield made
    made.close()


@pytest.mark.parametrize("name", names())
def test_gymnasium_finds_no_fault(name: str) -> None:
    env = gymnasium.make(find(name).gym_id, render_mode="rgb_array").unwrapped
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        check_env(env)
    env.close()
    advice = ("infinity", "recommend")  # metres stay metres, and joints have no common bound
    faults = [str(w.message) for w in caught]
    assert [fault for fault in faults if not any(word in fault for word in advice)] == []


def test_registering_again_is_harmless() -> None:
    df_policy.sim.register()
    assert {find(name).gym_id for name in names()} <= set(gymnasium.registry)


def test_an_unknown_render_mode_is_refused() -> None:
    with pytest.raises(ValueError, match="rgb_array"):
        TaskGym(render_mode="human")


def test_a_seed_repeats_an_episode(env: TaskGym) -> None:
    env.action_space.seed(0)
    actions = [env.action_space.sample() for _ in range(4)]
    runs = []
    for _ in range(2):
        env.reset(seed=5)
        runs.append([env.step(action)[0] for action in actions])
    for first, second in zip(*runs, strict=True):
        assert all(np.array_equal(first[name], second[name]) for name in first)


def test_only_a_swap_at_the_end_is_rewarded(env: TaskGym) -> None:
    reading, _ = env.reset(seed=1)
    operator = ScriptedOperator(env._inner)
    seen = env._inner.world.observe(cameras=False)
    operator.start(seen, 1)
    rewards, ended = [], False
    while not ended:
        row = operator.act(seen).action.row().astype(np.float32)
        reading, reward, terminated, ended, info = env.step(row)
        assert not terminated
        rewards.append(reward)
    assert reading in env.observation_space
    assert len(rewards) == 224
    assert rewards[-1] == 1.0
    assert sum(rewards) == 1.0
    assert info["is_success"]
    assert info["verdict"] == "success"
