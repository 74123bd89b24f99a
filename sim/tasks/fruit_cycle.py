"""Fruit cycle: three fruits change places in a ring, by way of the one empty slot."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from df_policy.sim.tasks.fruit_swap import swapped
from df_policy.sim.tasks.task import FRUIT_RADIUS_M, Inventory, Scene, Start, Task, jittered

SLOTS_M = np.array([[0.44, -0.09], [0.44, 0.09], [0.60, -0.09], [0.60, 0.09]])


class FruitCycle(Task):
    """The apple goes to the orange's slot, the orange to the lime's, the lime to the apple's."""

    def draw_start(self, seed: int) -> Start:
        """Three of the four slots."""
        rng = np.random.default_rng(seed)
        places = self.inventory.places_m
        slots = {f: int(s) for f, s in zip(self.fruits, rng.permutation(4)[:3], strict=True)}
        radii = dict.fromkeys(self.fruits, FRUIT_RADIUS_M)
        positions = jittered(rng, slots, places, radii)
        return Start(slots, swapped(slots), positions, places, radii)

    def order(self, start: Start, rng: np.random.Generator) -> tuple[str, ...]:
        """The apple steps aside.

        Whichever did, the rest would follow from it: three times as many ways to be learnt, each
        from a third of the demonstrations.
        """
        del start, rng
        return self.fruits

    def fault(self, start: Start, where: Mapping[str, int], now: Scene) -> str | None:
        """How many fruits are where they must be."""
        del now
        if where == start.goals:
            return None
        if where == start.slots:
            return "not moved"
        done = sum(where[fruit] == goal for fruit, goal in start.goals.items())
        return f"{('none', 'one', 'two')[done]} of three fruits in place"


FRUIT_CYCLE = FruitCycle(
    name="fruit_cycle",
    gym_id="FruitCycle-v0",
    steps=256,
    inventory=Inventory(SLOTS_M, ("slot",) * 4, ("apple", "orange", "lime")),
)
