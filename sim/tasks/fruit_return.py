"""Fruit return: what must be remembered is where the fruit came from.

An apple lies in one of four slots. It must be carried to the plate, rest there, and be carried
back. On the plate nothing shows its origin, and in its slot nothing shows whether it was away.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from df_policy.sim.tasks.task import (
    FRUIT_RADIUS_M,
    Inventory,
    Move,
    Scene,
    Start,
    Task,
    jittered,
)

PLATE = 4
PLACES_M = np.array([[0.44, -0.15], [0.44, 0.15], [0.60, -0.15], [0.60, 0.15], [0.52, 0.0]])
REST_S = 1.5
"""So long the apple must lie on the plate without a hand at it."""


class FruitReturn(Task):
    """Carry the apple to the plate, wait, and put it back."""

    def draw_start(self, seed: int) -> Start:
        """One of the four slots."""
        rng = np.random.default_rng(seed)
        places = self.inventory.places_m
        slots = {"apple": int(rng.integers(PLATE))}
        radii = {"apple": FRUIT_RADIUS_M}
        return Start(slots, slots, jittered(rng, slots, places, radii), places, radii)

    def next_move(self, start: Start, order: Sequence[str], now: Scene) -> Move | None:
        """To the plate until it has rested there, then home."""
        del order
        wanted = start.goals["apple"] if now.rested_s >= REST_S else PLATE
        there = start.place_of("apple", now.positions_m["apple"]) == wanted
        return None if there else Move("apple", wanted)

    def fault(self, start: Start, where: Mapping[str, int], now: Scene) -> str | None:
        """What is missing."""
        rested = now.rested_s >= REST_S
        if where["apple"] == PLATE:
            return "left on the plate"
        if where == start.goals:
            return None if rested else "never rested on the plate"
        return "returned to a wrong slot" if rested else "carried to a wrong slot"


FRUIT_RETURN = FruitReturn(
    name="fruit_return",
    gym_id="FruitReturn-v0",
    steps=160,
    inventory=Inventory(PLACES_M, ("slot",) * 4 + ("plate",), ("apple",)),
    station=PLATE,
)
