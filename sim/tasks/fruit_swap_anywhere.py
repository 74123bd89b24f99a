"""Fruit swap with the slots anywhere, and with fruits, light and camera that differ each time."""

from __future__ import annotations

import numpy as np

from df_policy.sim.tasks.fruit_swap import SLOTS_M, FruitSwap, swapped
from df_policy.sim.tasks.task import Colour, Inventory, Look, Points, Start, jittered

LOW_M, HIGH_M = np.array([0.30, -0.25]), np.array([0.70, 0.25])
"""Corners of the area in which the slots' centres lie: 40 x 50 cm."""
SPACING_M = 0.13
"""Between centres: rims do not touch, and fingers at one fruit miss the next."""
RADIUS_M = (0.0265, 0.0315)
"""A smaller fruit sometimes slips out of the gripper."""
CAMERA_M, TARGET_M = np.array([1.50, 0.0, 1.00]), np.array([0.50, 0.0, 0.02])
CAMERA_FOVY_DEG = 17.5
_CAMERA_JITTER_M, _TARGET_JITTER_M, _ROLL_RAD = 0.03, 0.012, 0.03

_FRUIT_RGB = {
    "apple": ((0.66, 0.02, 0.03), (0.95, 0.12, 0.14)),
    "orange": ((0.92, 0.44, 0.00), (1.00, 0.60, 0.08)),
}
_TABLE_RGB = (np.array([0.74, 0.60, 0.45]), 0.06)


class FruitSwapAnywhere(FruitSwap):
    """Swap two fruits by way of a third slot; nothing is where it was in the last episode."""

    def draw_start(self, seed: int) -> Start:
        """Places, fruits and look."""
        rng = np.random.default_rng(seed)
        places = scattered(rng, len(self.inventory.kinds))
        slots = {f: int(s) for f, s in zip(self.fruits, rng.permutation(3)[:2], strict=True)}
        radii = {fruit: float(rng.uniform(*RADIUS_M)) for fruit in self.fruits}
        positions = jittered(rng, slots, places, radii)
        look = drawn_look(rng, self.fruits)
        return Start(slots, swapped(slots), positions, places, radii, look=look)


def scattered(rng: np.random.Generator, count: int) -> Points:
    """Centres that are uniform in the area, no two closer than SPACING_M."""
    while True:
        centres = rng.uniform(LOW_M, HIGH_M, (count, 2))
        apart = np.linalg.norm(centres[:, None] - centres[None], axis=2) + np.eye(count)
        if apart.min() >= SPACING_M:
            return np.asarray(centres)


def drawn_look(rng: np.random.Generator, fruits: tuple[str, ...]) -> Look:
    """Colours, light, and where the front camera stands."""
    fruit_rgb = {fruit: _colour(rng.uniform(*_FRUIT_RGB[fruit])) for fruit in fruits}
    table, spread = _TABLE_RGB
    warmth = np.array([1.0, 0.0, -1.0]) * rng.uniform(-0.06, 0.06)
    slant = np.array([-0.28, 0.38, -1.0]) + [*rng.uniform(-0.5, 0.5, 2), 0.0]
    jitter = rng.uniform(-1.0, 1.0, (2, 3))
    return Look(
        fruit_rgb=fruit_rgb,
        table_rgb=_colour(table + rng.uniform(-spread, spread, 3)),
        key_rgb=_colour(rng.uniform(0.35, 0.65) * (1.0 + warmth)),
        key_direction=_colour(slant / np.linalg.norm(slant)),
        ambient_rgb=_colour(rng.uniform(0.28, 0.44) * (1.0 + warmth)),
        camera_m=_colour(CAMERA_M + _CAMERA_JITTER_M * jitter[0]),
        target_m=_colour(TARGET_M + _TARGET_JITTER_M * jitter[1]),
        roll_rad=float(rng.uniform(-_ROLL_RAD, _ROLL_RAD)),
        fovy_deg=CAMERA_FOVY_DEG,
    )


def _colour(values: np.ndarray) -> Colour:
    first, second, third = (float(value) for value in values)
    return first, second, third


FRUIT_SWAP_ANYWHERE = FruitSwapAnywhere(
    name="fruit_swap_anywhere",
    gym_id="FruitSwapAnywhere-v0",
    steps=240,
    inventory=Inventory(SLOTS_M, ("slot",) * 3, varied=True),
    cameras={"front": (48, 80), "wrist": (64, 64)},
    settle_steps=2,
)
