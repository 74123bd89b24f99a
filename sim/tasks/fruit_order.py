"""Fruit order: what must be remembered is a cue, and its order.

At the start a panel shows two fruits' colours, one after the other, and goes dark. The fruit shown
first belongs into the left tray (as the front camera sees it), the other into the right one; the
third stays where it is.
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
    rearrange,
)

TRAYS = (3, 4)
PLACES_M = np.array([[0.57, -0.15], [0.57, 0.0], [0.57, 0.15], [0.42, -0.10], [0.42, 0.10]])
CUE_S = 1.6
"""Each colour's time: a policy that looks once in 0.8 s sees each, whenever it begins."""


class FruitOrder(Task):
    """Put two of three fruits into two trays, as the panel said."""

    def draw_start(self, seed: int) -> Start:
        """The fruits' slots, and which two are named in which order."""
        rng = np.random.default_rng(seed)
        places = self.inventory.places_m
        slots = {f: int(s) for f, s in zip(self.fruits, rng.permutation(3), strict=True)}
        cue = tuple(str(fruit) for fruit in rng.permutation(self.fruits)[:2])
        radii = dict.fromkeys(self.fruits, FRUIT_RADIUS_M)
        goals = slots | dict(zip(cue, TRAYS, strict=True))
        positions = jittered(rng, slots, places, radii)
        return Start(slots, goals, positions, places, radii, cue)

    def order(self, start: Start, rng: np.random.Generator) -> tuple[str, ...]:
        """As the panel said."""
        del rng
        return (*start.cue, *(fruit for fruit in self.fruits if fruit not in start.cue))

    def next_move(self, start: Start, order: Sequence[str], now: Scene) -> Move | None:
        """Wait for the end of the cue."""
        return rearrange(start, order, now) if self.cue(start, now.time_s) is None else None

    def cue(self, start: Start, time_s: float) -> str | None:
        """First the one, then the other, then dark."""
        turn = int((time_s + 1e-6) / CUE_S)
        return start.cue[turn] if turn < len(start.cue) else None

    def fault(self, start: Start, where: Mapping[str, int], now: Scene) -> str | None:
        """Which tray is wrong."""
        del now
        if where == start.goals:
            return None
        if where == start.slots:
            return "not moved"
        held = {place: fruit for fruit, place in where.items() if place in TRAYS}
        if tuple(held.get(tray) for tray in TRAYS) == start.cue[::-1]:
            return "trays in the wrong order"
        if len(held) < len(TRAYS):
            return "a tray is empty"
        return "a wrong fruit in a tray" if set(held.values()) != set(start.cue) else "third moved"


FRUIT_ORDER = FruitOrder(
    name="fruit_order",
    gym_id="FruitOrder-v0",
    steps=176,
    inventory=Inventory(
        PLACES_M, ("slot",) * 3 + ("tray",) * 2, ("apple", "orange", "lime"), panel=True
    ),
)
