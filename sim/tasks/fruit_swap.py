"""Fruit swap: what must be remembered is how many of its moves are done.

The apple and the orange lie in two of three slots and must each end in the other's slot. That
takes three moves through the empty slot, and no single picture tells how many are already done.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from df_policy.sim.tasks.task import FRUIT_RADIUS_M, Inventory, Scene, Start, Task, jittered

SLOTS_M = np.array([[0.52, -0.16], [0.52, 0.0], [0.52, 0.16]])


class FruitSwap(Task):
    """Swap two fruits that lie in two of three slots."""

    def draw_start(self, seed: int) -> Start:
        """Two different slots, each fruit near the middle of its own."""
        rng = np.random.default_rng(seed)
        places = self.inventory.places_m
        slots = {f: int(s) for f, s in zip(self.fruits, rng.permutation(3)[:2], strict=True)}
        radii = dict.fromkeys(self.fruits, FRUIT_RADIUS_M)
        positions = jittered(rng, slots, places, radii)
        return Start(slots, swapped(slots), positions, places, radii)

    def fault(self, start: Start, where: Mapping[str, int], now: Scene) -> str | None:
        """How far the swap came."""
        del now
        if where == start.goals:
            return None
        if where == start.slots:
            return "not moved"
        done = sum(where[fruit] == goal for fruit, goal in start.goals.items())
        return "swap incomplete after two moves" if done else "swap incomplete after one move"


def swapped(slots: Mapping[str, int]) -> dict[str, int]:
    """Each fruit -> the slot of the next one in line, the last one's -> the first's."""
    fruits = list(slots)
    return {fruit: slots[fruits[(n + 1) % len(fruits)]] for n, fruit in enumerate(fruits)}


FRUIT_SWAP = FruitSwap(
    name="fruit_swap",
    gym_id="FruitSwap-v0",
    steps=224,
    inventory=Inventory(SLOTS_M, ("slot",) * 3),
)
