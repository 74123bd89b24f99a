"""Fruit swap: where episodes start, and what counts as done; no physics."""

import itertools
from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.sim.tasks import task
from df_policy.sim.tasks.fruit_swap import FRUIT_SWAP, SLOTS_M

SEEDS = st.integers(0, 2**32)
REST = {"apple": 0.0, "orange": 0.0}
ANY = FRUIT_SWAP.draw_start(0)


def scene(apple: int, orange: int, **changes: object) -> task.Scene:
    positions = {
        fruit: np.array([*SLOTS_M[slot], task.FRUIT_RADIUS_M])
        for fruit, slot in (("apple", apple), ("orange", orange))
    }
    now = task.Scene(positions, REST, task.HOME.position_m, task.OPEN_M)
    return replace(now, **changes)


def swapped(start: task.Start, **changes: object) -> task.Scene:
    return scene(start.goals["apple"], start.goals["orange"], **changes)


@given(SEEDS)
def test_a_seed_always_draws_the_same_start(seed: int) -> None:
    first, second = FRUIT_SWAP.draw_start(seed), FRUIT_SWAP.draw_start(seed)
    assert first.slots == second.slots
    assert all(np.array_equal(first.positions_m[f], second.positions_m[f]) for f in first.slots)


@given(SEEDS)
def test_fruits_start_in_different_slots_near_their_centres(seed: int) -> None:
    start = FRUIT_SWAP.draw_start(seed)
    assert {*start.slots.values(), *start.empty} == {0, 1, 2}
    for fruit, slot in start.slots.items():
        offset = start.positions_m[fruit][:2] - SLOTS_M[slot]
        assert np.linalg.norm(offset) <= task.JITTER_M + 1e-12
        assert start.place_of(fruit, start.positions_m[fruit]) == slot


def test_all_six_starts_are_drawn() -> None:
    drawn = {tuple(FRUIT_SWAP.draw_start(seed).slots.values()) for seed in range(100)}
    assert drawn == set(itertools.permutations(range(3), 2))


@given(SEEDS)
def test_only_the_swap_succeeds(seed: int) -> None:
    start = FRUIT_SWAP.draw_start(seed)
    for apple, orange in itertools.permutations(range(3), 2):
        is_swap = (apple, orange) == (start.goals["apple"], start.goals["orange"])
        assert FRUIT_SWAP.judge(start, scene(apple, orange)).success == is_swap


@given(SEEDS)
def test_the_reason_tells_how_far_the_swap_came(seed: int) -> None:
    start = FRUIT_SWAP.draw_start(seed)
    apple, orange, (empty,) = start.slots["apple"], start.slots["orange"], start.empty
    assert FRUIT_SWAP.judge(start, scene(apple, orange)).reason == "not moved"
    one, two = "swap incomplete after one move", "swap incomplete after two moves"
    assert FRUIT_SWAP.judge(start, scene(empty, orange)).reason == one
    assert FRUIT_SWAP.judge(start, scene(apple, empty)).reason == one
    assert FRUIT_SWAP.judge(start, scene(empty, apple)).reason == two
    assert FRUIT_SWAP.judge(start, scene(orange, empty)).reason == two
    assert FRUIT_SWAP.judge(start, swapped(start)).reason == "success"


@given(SEEDS, st.floats(0.04, 5.0))
def test_a_moving_fruit_is_no_success(seed: int, speed_m_s: float) -> None:
    start = FRUIT_SWAP.draw_start(seed)
    now = swapped(start, speeds_m_s={"apple": 0.0, "orange": speed_m_s})
    assert FRUIT_SWAP.judge(start, now).reason == "fruit moving"


@pytest.mark.parametrize(("gripper_m", "reason"), [(0.056, "still held"), (0.08, "hand at")])
def test_a_hand_at_a_fruit_is_no_success(gripper_m: float, reason: str) -> None:
    start = FRUIT_SWAP.draw_start(0)
    now = swapped(start)
    now = replace(now, tool_m=now.positions_m["apple"] + 0.005, gripper_m=gripper_m)
    verdict = FRUIT_SWAP.judge(start, now)
    assert not verdict.success
    assert reason in verdict.reason


def test_a_closed_hand_is_no_success_even_far_away() -> None:
    start = FRUIT_SWAP.draw_start(0)
    assert FRUIT_SWAP.judge(start, swapped(start, gripper_m=0.0)).reason == "hand not open"


@given(st.floats(-1.0, 1.5), st.floats(-1.0, 1.0), st.floats(-0.8, 1.0))
def test_a_fruit_lies_in_a_slot_only_near_its_centre_and_on_the_table(
    x: float, y: float, z: float
) -> None:
    slot = ANY.place_of("apple", np.array([x, y, z]))
    if slot is not None:
        assert np.linalg.norm(SLOTS_M[slot] - [x, y]) < 0.04
        assert 0.0 <= z < 0.04
