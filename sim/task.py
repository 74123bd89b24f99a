"""Fruit swap without physics: where an episode starts, and what counts as done.

The apple and the orange lie in two of three slots and must each end in the other's slot. That
takes three moves through the empty slot, and no single picture tells how many are already done.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from df_policy.environment import Verdict
from df_policy.geometry import Pose, Vector

SLOTS_M: Float64[np.ndarray, "3 2"] = np.array([[0.52, -0.16], [0.52, 0.0], [0.52, 0.16]])
FRUIT_RADIUS_M = 0.028
JITTER_M = 0.010

HOME = Pose.of([0.36, 0.0, 0.26], [1.0, 0.0, 0.0, 0.0])
"""The gripper points down, the fingers open along y."""
OPEN_M = 0.08

EPISODE_STEPS = 224

_IN_SLOT_M = 0.035
"""Farther from the slot's centre a fruit would lie on the rim."""
_ON_TABLE_M = FRUIT_RADIUS_M + 0.010
_AT_REST_M_S = 0.03
_HAND_OPEN_M = 0.065
_CLEAR_M = 0.060
"""Distance of the tool from a fruit's centre at which no finger can touch it."""


@dataclass(frozen=True)
class Start:
    """Where the fruits lie at first."""

    slots: Mapping[str, int]
    """Fruit -> slot."""
    positions_m: Mapping[str, Vector]

    @property
    def goals(self) -> dict[str, int]:
        """Fruit -> the slot where it must end."""
        return {"apple": self.slots["orange"], "orange": self.slots["apple"]}

    @property
    def empty(self) -> int:
        """The slot with no fruit at first."""
        return ({0, 1, 2} - set(self.slots.values())).pop()


@dataclass(frozen=True)
class Scene:
    """What judging needs to know of a moment."""

    positions_m: Mapping[str, Vector]
    speeds_m_s: Mapping[str, float]
    tool_m: Vector
    gripper_m: float


def draw_start(seed: int) -> Start:
    """The start that belongs to `seed`: two different slots, each fruit within JITTER_M of its."""
    rng = np.random.default_rng(seed)
    apple, orange = (int(slot) for slot in rng.permutation(3)[:2])
    slots = {"apple": apple, "orange": orange}
    positions = {}
    for fruit, slot in slots.items():
        radius, angle = JITTER_M * np.sqrt(rng.uniform()), rng.uniform(0.0, 2.0 * np.pi)
        centre = SLOTS_M[slot] + radius * np.array([np.cos(angle), np.sin(angle)])
        positions[fruit] = np.array([*centre, FRUIT_RADIUS_M])
    return Start(slots, positions)


def slot_of(position_m: Vector) -> int | None:
    """The slot that a fruit at this position lies in, if any."""
    if position_m[2] > _ON_TABLE_M or position_m[2] < 0.0:
        return None
    distances = np.linalg.norm(SLOTS_M - position_m[:2], axis=1)
    nearest = int(distances.argmin())
    return nearest if distances[nearest] <= _IN_SLOT_M else None


def judge(start: Start, now: Scene) -> Verdict:
    """Success if each fruit rests in the other's first slot and the open hand is clear of both."""
    reason = _hand_fault(now) or _fruit_fault(start, now)
    return Verdict(reason is None, reason or "success")


def _hand_fault(now: Scene) -> str | None:
    reach = min(float(np.linalg.norm(now.tool_m - p)) for p in now.positions_m.values())
    is_open = now.gripper_m >= _HAND_OPEN_M
    if reach < _CLEAR_M:
        return "hand at a fruit" if is_open else "fruit still held"
    return None if is_open else "hand not open"


def _fruit_fault(start: Start, now: Scene) -> str | None:
    if max(now.speeds_m_s.values()) > _AT_REST_M_S:
        return "fruit moving"
    slots = {fruit: slot_of(position) for fruit, position in now.positions_m.items()}
    if None in slots.values():
        return "fruit off the slots"
    if slots["apple"] == slots["orange"]:
        return "both in one slot"
    if slots == start.goals:
        return None
    if slots == start.slots:
        return "not moved"
    done = sum(slots[fruit] == goal for fruit, goal in start.goals.items())
    return "swap incomplete after two moves" if done else "swap incomplete after one move"
