"""What all tasks have in common, without physics: starts, moves, and what counts as done.

Fruits lie in places (slots, trays, a plate) and must each end in a place of their own. Tasks
differ in what must be remembered to know which place that is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
from jaxtyping import Float64

from df_policy.environment import Verdict
from df_policy.frames import Action
from df_policy.geometry import Pose, Vector

FRUIT_RADIUS_M = 0.028
JITTER_M = 0.010
"""How far from its place's centre a fruit may lie at first."""

HOME = Pose.of([0.36, 0.0, 0.26], [1.0, 0.0, 0.0, 0.0])
"""The gripper points down, the fingers open along y."""
OPEN_M = 0.08

_IN_PLACE_M = 0.035
"""Farther from the centre a fruit would lie on the rim."""
_ABOVE_TABLE_M = 0.010
_AT_REST_M_S = 0.03
_HAND_OPEN_M = 0.065
_CLEAR_M = 0.060
"""Distance of the tool from a fruit's centre at which no finger can touch it."""

Points = Float64[np.ndarray, "places 2"]
Colour = tuple[float, float, float]


@dataclass(frozen=True)
class Inventory:
    """What stands on the table in every episode of a task."""

    places_m: Points
    """Centres of the places; where they are if the start does not say otherwise."""
    kinds: tuple[Literal["slot", "tray", "plate"], ...]
    fruits: tuple[str, ...] = ("apple", "orange")
    panel: bool = False
    """A lamp in view of the front camera that shows the start's cue."""
    varied: bool = False
    """Whether places, sizes, colours, light and front camera differ between episodes."""


@dataclass(frozen=True)
class Look:
    """How an episode of a varied task looks."""

    fruit_rgb: Mapping[str, Colour]
    table_rgb: Colour
    key_rgb: Colour
    """Of the lamp above the table."""
    key_direction: tuple[float, float, float]
    ambient_rgb: Colour
    camera_m: tuple[float, float, float]
    target_m: tuple[float, float, float]
    """What the front camera looks at."""
    roll_rad: float
    fovy_deg: float


@dataclass(frozen=True)
class Start:
    """How an episode begins and what it asks for: all of it follows from the seed."""

    slots: Mapping[str, int]
    """Fruit -> the place in which it lies at first."""
    goals: Mapping[str, int]
    """Fruit -> the place where it must end."""
    positions_m: Mapping[str, Vector]
    places_m: Points
    radii_m: Mapping[str, float]
    cue: tuple[str, ...] = ()
    """The fruits whose colours the panel shows, one after the other."""
    look: Look | None = None
    hand: Action = field(default_factory=lambda: Action(HOME, OPEN_M))
    """The hand's target at which the episode starts."""

    @property
    def empty(self) -> tuple[int, ...]:
        """The places with no fruit at first."""
        return tuple(sorted(set(range(len(self.places_m))) - set(self.slots.values())))

    def place_of(self, fruit: str, position_m: Vector) -> int | None:
        """The place that a fruit at this position lies in, if any."""
        if not 0.0 <= position_m[2] <= self.radii_m[fruit] + _ABOVE_TABLE_M:
            return None
        distances = np.linalg.norm(self.places_m - position_m[:2], axis=1)
        nearest = int(distances.argmin())
        return nearest if distances[nearest] <= _IN_PLACE_M else None

    def places_of(self, positions_m: Mapping[str, Vector]) -> dict[str, int | None]:
        """For each fruit the place that it lies in."""
        return {fruit: self.place_of(fruit, where) for fruit, where in positions_m.items()}

    def in_place(self, fruit: str, place: int) -> Vector:
        """Where this fruit's centre is when it lies in the middle of a place."""
        return np.array([*self.places_m[place], self.radii_m[fruit]])


@dataclass(frozen=True)
class Scene:
    """What judging and deciding need to know of a moment."""

    positions_m: Mapping[str, Vector]
    speeds_m_s: Mapping[str, float]
    tool_m: Vector
    gripper_m: float
    time_s: float = 0.0
    """Since the start."""
    rested_s: float = 0.0
    """The longest time that a fruit has lain in the task's station with the hand off it."""


@dataclass(frozen=True)
class Move:
    """Carry one fruit into one place."""

    fruit: str
    place: int


@dataclass(frozen=True)
class Task:
    """One task: a subclass draws its starts and names its failures."""

    name: str
    gym_id: str
    steps: int
    """Actions in one episode, the same for all; a multiple of 8."""
    inventory: Inventory
    cameras: Mapping[str, tuple[int, int]] = field(
        default_factory=lambda: {"front": (64, 64), "wrist": (64, 64)}
    )
    """Camera -> (height, width) of its image."""
    settle_steps: int = 0
    """For so long an operator waits at a fruit before it closes the hand: near the robot's base
    the arm lags behind."""
    station: int | None = None
    """The place in which a fruit must rest for a while."""

    @property
    def fruits(self) -> tuple[str, ...]:
        """All fruits, in the order of the model."""
        return self.inventory.fruits

    def draw_start(self, seed: int) -> Start:
        """The start that belongs to `seed`."""
        raise NotImplementedError

    def order(self, start: Start, rng: np.random.Generator) -> tuple[str, ...]:
        """In which order an operator prefers to move the fruits."""
        del start
        first = str(rng.choice(self.fruits))
        return (first, *(fruit for fruit in self.fruits if fruit != first))

    def next_move(self, start: Start, order: Sequence[str], now: Scene) -> Move | None:
        """The move to make now; None to wait, or because all is done.

        It follows from where the fruits lie, not from what was tried, so that a miss is repeated.
        """
        return rearrange(start, order, now)

    def cue(self, start: Start, time_s: float) -> str | None:
        """The fruit whose colour the panel shows at this time, if any."""
        del start, time_s
        return None

    def judge(self, start: Start, now: Scene) -> Verdict:
        """Success if all fruits rest where they must and the open hand is clear of them."""
        reason = hand_fault(now) or self._fruit_fault(start, now)
        return Verdict(reason is None, reason or "success")

    def _fruit_fault(self, start: Start, now: Scene) -> str | None:
        if max(now.speeds_m_s.values()) > _AT_REST_M_S:
            return "fruit moving"
        where = start.places_of(now.positions_m)
        found = {fruit: place for fruit, place in where.items() if place is not None}
        if len(found) < len(where):
            return "fruit off the slots"
        if len(set(found.values())) < len(found):
            return "both in one slot"
        return self.fault(start, found, now)

    def fault(self, start: Start, where: Mapping[str, int], now: Scene) -> str | None:
        """What is wrong with fruits that rest in these places, if anything."""
        raise NotImplementedError


def rearrange(start: Start, order: Sequence[str], now: Scene) -> Move | None:
    """The next move of the fewest that bring all fruits to their goals.

    A fruit off all places goes first; then one whose goal is free; and if none is, the first one
    steps aside.

    Args:
        start: what is asked for.
        order: which fruit to take if there is a choice.
        now: where the fruits are.
    """
    where = start.places_of(now.positions_m)
    free = set(range(len(start.places_m))) - set(where.values())
    wrong = [fruit for fruit in order if where[fruit] != start.goals[fruit]]
    if not wrong:
        return None
    loose = [fruit for fruit in wrong if where[fruit] is None]
    aside = sorted(free - {start.goals[fruit] for fruit in wrong}) or sorted(free)
    for fruit in [*loose, *wrong]:
        if start.goals[fruit] in free:
            return Move(fruit, start.goals[fruit])
        if fruit in loose:
            break
    chosen = (loose or wrong)[0]
    return Move(chosen, aside[0]) if aside else None


def hand_fault(now: Scene) -> str | None:
    """What is wrong with the hand at the end of an episode, if anything."""
    reach = min(float(np.linalg.norm(now.tool_m - p)) for p in now.positions_m.values())
    is_open = now.gripper_m >= _HAND_OPEN_M
    if reach < _CLEAR_M:
        return "hand at a fruit" if is_open else "fruit still held"
    return None if is_open else "hand not open"


def rests_in(start: Start, place: int, now: Scene) -> bool:
    """Whether a fruit lies still in this place with the hand off it."""
    for fruit, position_m in now.positions_m.items():
        if start.place_of(fruit, position_m) == place:
            still = now.speeds_m_s[fruit] <= _AT_REST_M_S
            return still and float(np.linalg.norm(now.tool_m - position_m)) >= _CLEAR_M
    return False


def jittered(
    rng: np.random.Generator, slots: Mapping[str, int], places_m: Points, radii_m: dict[str, float]
) -> dict[str, Vector]:
    """A position for each fruit, within JITTER_M of its place's centre."""
    positions: dict[str, Vector] = {}
    for fruit, slot in slots.items():
        radius, angle = JITTER_M * np.sqrt(rng.uniform()), rng.uniform(0.0, 2.0 * np.pi)
        centre = places_m[slot] + radius * np.array([np.cos(angle), np.sin(angle)])
        positions[fruit] = np.array([*centre, radii_m[fruit]])
    return positions
