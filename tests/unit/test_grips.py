"""Of each frame it is told where things lie that the demonstrator moves."""

import dataclasses
import itertools

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from training_data import make_demonstrations

from df_policy.errors import DfPolicyError
from df_policy.grips import Lying, missed

OPEN_M, SHUT_M, HELD_M = 0.08, 0.03, 0.055
AIR_M, TABLE_M = 0.2, 0.035


def demonstrate(moves, rest=2):
    """One episode in which each thing is fetched from one place to another.

    Args:
        moves: (from, to, what becomes of it): `placed`, `slipped` out of the fingers, `dropped`
            in the air, or `missed`: there was nothing to grasp.
        rest: frames of each phase.
    """
    opening, fingers, places = [OPEN_M] * rest, [OPEN_M] * rest, [(0.4, 0.0, AIR_M)] * rest
    for begin, end, how in moves:
        closed_m = SHUT_M if how == "missed" else HELD_M
        opening += [SHUT_M] * (2 * rest) + [OPEN_M] * rest
        at_end_m = SHUT_M if how == "slipped" else closed_m
        fingers += [closed_m] * rest + [at_end_m] * rest + [OPEN_M] * rest
        places += [(*begin, TABLE_M)] * (2 * rest)
        places += [(*end, TABLE_M if how == "placed" else AIR_M)] * rest
    count = len(opening)
    plain = make_demonstrations(1 + count // 8)
    action, gripper = plain.action.copy(), plain.gripper.copy()
    action[:count, :3], action[:count, 9], gripper[:count, 0] = places, opening, fingers
    action[count:] = action[count - 1]
    gripper[count:] = OPEN_M
    last = np.array([len(action)])
    return dataclasses.replace(
        plain, action=action, gripper=gripper, starts=np.array([0]), ends=last
    )


def seen(lying, row):
    places = lying.places[row][lying.known[row] > 0.0]
    return sorted((round(float(x), 3), round(float(y), 3)) for x, y, _ in places)


A, B, C = (0.5, -0.2), (0.5, 0.0), (0.5, 0.2)


def test_a_thing_lies_where_it_is_grasped_and_then_where_it_was_let_go():
    lying = Lying.of(demonstrate([(A, C, "placed"), (B, A, "placed"), (C, B, "placed")]))
    assert lying.most == 2
    assert seen(lying, 0) == seen(lying, 1) == [A, B]
    assert seen(lying, 2) == seen(lying, 5) == [B]
    assert seen(lying, 6) == [B, C]
    assert seen(lying, 9) == [C]
    assert seen(lying, 12) == [A, C]
    assert seen(lying, 15) == [A]
    assert seen(lying, -1) == [A, B]


@pytest.mark.parametrize("how", ["slipped", "dropped"])
def test_what_was_lost_lies_where_it_is_grasped_again_but_not_from_the_start(how):
    near = (0.5, -0.15)
    lying = Lying.of(demonstrate([(A, A, how), (near, C, "placed"), (B, A, "placed")]))
    assert seen(lying, 0) == [A, B]
    assert seen(lying, 2) == [B]
    assert seen(lying, 6) == seen(lying, 7) == sorted([near, B])
    assert seen(lying, -1) == [A, C]


def test_a_grasp_of_nothing_tells_nothing():
    lying = Lying.of(demonstrate([(B, B, "missed"), (A, C, "placed")]))
    assert seen(lying, 0) == seen(lying, 6) == [A]
    assert seen(lying, -1) == [C]


@pytest.mark.parametrize("how", ["slipped", "dropped"])
def test_what_may_have_been_lost_is_not_told_of_before(how):
    far = (0.65, -0.35)
    lying = Lying.of(demonstrate([(A, A, how), (B, C, "placed"), (far, A, "placed")]))
    assert seen(lying, 0) == [A]
    assert seen(lying, 6) == sorted([far, B])
    assert seen(lying, 8) == [far]
    assert seen(lying, -1) == [A, C]


def test_fingers_on_their_way_and_heights_of_misses_prove_nothing():
    """A slow hand that closes on nothing aloft; without it, what is dropped would seem to lie."""
    data = demonstrate([(B, B, "missed"), (A, C, "dropped")], rest=4)
    gripper, action = data.gripper.copy(), data.action.copy()
    gripper[4:12, 0] = np.linspace(OPEN_M, SHUT_M, 8)
    action[4:12, 2] = 1.0
    lying = Lying.of(dataclasses.replace(data, gripper=gripper, action=action))
    assert lying.most == 1
    assert seen(lying, 0) == [A]
    assert seen(lying, -1) == []


def test_places_have_their_height():
    lying = Lying.of(demonstrate([(A, C, "placed")]))
    assert lying.places[lying.known > 0.0][:, 2] == pytest.approx(TABLE_M)


def test_a_recording_without_a_grasp_is_refused():
    for moves in ([], [(A, A, "missed")]):
        with pytest.raises(DfPolicyError, match="location_weight to 0"):
            Lying.of(demonstrate(moves))


def test_nowhere_nothing_is_known():
    data = demonstrate([(A, B, "placed")])
    nowhere = Lying.nowhere(data)
    assert nowhere.most == 0
    assert len(nowhere.known) == len(data.action)


def test_normalised_places_are_about_their_mean_on_one_scale():
    lying = Lying.of(demonstrate([(A, C, "placed"), (B, A, "placed")]))
    places, known = lying.normalised()
    some = places[known > 0.0]
    assert some.mean(0) == pytest.approx(0.0, abs=1e-5)
    assert float(some.std(0, correction=0).max()) == pytest.approx(1.0, abs=1e-5)
    there = torch.from_numpy(lying.places)[known > 0.0]
    apart, wanted = torch.pdist(some), torch.pdist(there)
    assert torch.allclose(apart * wanted.max(), wanted * apart.max(), atol=1e-4)


@given(count=st.integers(1, 4), seed=st.integers(0, 99), data=st.data())
def test_what_is_missed_is_the_least_over_all_orders_and_counts_known_places_alone(
    count, seed, data
):
    generator = torch.Generator().manual_seed(seed)
    told, places = (torch.randn(3, count, 3, generator=generator) for _ in range(2))
    flags = st.lists(st.booleans(), min_size=3 * count, max_size=3 * count)
    known = torch.tensor(data.draw(flags)).reshape(3, count).float()
    least = sum(
        min(
            sum(
                float((told[row, order[k]] - places[row, k]).square().mean() * known[row, k])
                for k in range(count)
            )
            for order in itertools.permutations(range(count))
        )
        for row in range(3)
    )
    wanted = least / max(1.0, float(known.sum()))
    assert float(missed(told, places, known)) == pytest.approx(wanted, abs=1e-4)
    shuffled = told[:, torch.randperm(count, generator=generator)]
    assert float(missed(shuffled, places, known)) == pytest.approx(wanted, abs=1e-4)
