"""A fruit has just slipped out of the hand: grasp it again and carry it into a free slot.

Short episodes that show this alone, never a whole swap: what to do then, whatever was before.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.sim.tasks.fruit_swap import SLOTS_M, FruitSwap
from df_policy.sim.tasks.task import (
    FRUIT_RADIUS_M,
    HOME,
    OPEN_M,
    Inventory,
    Scene,
    Start,
    jittered,
)

_IN_SLOT_SHARE = 0.4
"""So often the fruit fell back into the slot; otherwise it lies somewhere on the hand's way."""
_CLOSED_SHARE = 0.7
"""So often the hand is still closed."""
_HAND_AWAY_M = 0.05
_HAND_HEIGHT_M = (0.05, 0.19)
_STRAY_M = 0.14
"""How far from the hand's way a fruit may have rolled."""
_OFF_SLOTS_M = 0.07
"""From the middle of every slot at least: a fruit may lean on a rim."""
_APART_M = 0.07
"""From the other fruit, so that there is room for the fingers."""


class FruitSwapRegrasp(FruitSwap):
    """The hand stands near a fruit that it has dropped between two slots."""

    def draw_start(self, seed: int) -> Start:
        """Which fruit fell on the way between which slots, and where the hand is now."""
        rng = np.random.default_rng(seed)
        places = self.inventory.places_m
        fallen, other = (str(fruit) for fruit in rng.permutation(self.fruits))
        origin, goal, occupied = (int(slot) for slot in rng.permutation(3))
        slots, goals = {fallen: origin, other: occupied}, {fallen: goal, other: occupied}
        radii = dict.fromkeys(self.fruits, FRUIT_RADIUS_M)
        positions = jittered(rng, slots, places, radii)
        if rng.random() >= _IN_SLOT_SHARE:
            positions[fallen] = _strayed(rng, places[origin], places[goal], positions[other])
        away = rng.uniform(-_HAND_AWAY_M, _HAND_AWAY_M, 2)
        height = FRUIT_RADIUS_M + float(rng.uniform(*_HAND_HEIGHT_M))
        at = np.array([*(positions[fallen][:2] + away), height])
        opening = 0.0 if rng.random() < _CLOSED_SHARE else OPEN_M
        hand = Action(Pose(at, HOME.quat_xyzw), opening)
        ordered = {fruit: positions[fruit] for fruit in self.fruits}
        return Start(slots, goals, ordered, places, radii, hand=hand)

    def fault(self, start: Start, where: Mapping[str, int], now: Scene) -> str | None:
        """A fruit off the slots may go into any: to which one it was on its way nobody can see."""
        del now
        before = start.places_of(start.positions_m)
        for fruit, goal in start.goals.items():
            if goal == start.slots[fruit] != where[fruit]:
                return "the other fruit moved"
            if goal != start.slots[fruit] and where[fruit] == before[fruit]:
                return "not moved"
        return None


def _strayed(
    rng: np.random.Generator, origin: np.ndarray, goal: np.ndarray, other: np.ndarray
) -> np.ndarray:
    """Somewhere along the way, off all slots and away from the other fruit."""
    while True:
        point = origin + rng.uniform(0.0, 1.0) * (goal - origin)
        point = point + rng.uniform(-_STRAY_M, _STRAY_M, 2)
        off_rims = np.linalg.norm(SLOTS_M - point, axis=1).min() > _OFF_SLOTS_M
        if off_rims and np.linalg.norm(other[:2] - point) > _APART_M:
            return np.array([*point, FRUIT_RADIUS_M])


FRUIT_SWAP_REGRASP = FruitSwapRegrasp(
    name="fruit_swap_regrasp",
    gym_id="FruitSwapRegrasp-v0",
    steps=48,
    inventory=Inventory(SLOTS_M, ("slot",) * 3),
)
