"""Costs on plans, as a person writes them: what a plan keeps out of, reaches, or keeps under.

Plain numbers in SI units, in the robot's base frame; `guidance` says what they mean to a plan.
"""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from df_policy.errors import DfPolicyError, nearest, need
from df_policy.geometry import Vector

Point = tuple[float, float, float]
Quaternion = tuple[float, float, float, float]
MOST = 32
"""Each costs time at every denoising step."""
MOST_TEXT = 16_384
"""Characters; they go with every job to the planner."""
_ENDLESS = 1e6


@dataclass(frozen=True)
class KeepOutBox:
    """The tool stays out of a box that is aligned with the robot's base frame."""

    center_m: Point
    half_m: Point
    """Half of its size along x, y and z."""
    margin_m: float = 0.04
    """Kept beside it: a fast arm cuts the corners of its plan."""


@dataclass(frozen=True)
class KeepOutCylinder:
    """The tool stays out of an upright cylinder that stands on the ground."""

    center_m: tuple[float, float]
    radius_m: float
    top_m: float
    margin_m: float = 0.04


@dataclass(frozen=True)
class SpeedLimit:
    """The tool moves no faster than this."""

    speed_m_s: float


@dataclass(frozen=True)
class Reach:
    """The tool comes as near to a point as the plan can; of several, those that go there first."""

    point_m: Point
    weight: float = 0.1
    """Share of the way that one step down the gradient goes, up to 1."""


@dataclass(frozen=True)
class ReachPose:
    """The same, and the tool is turned as asked there."""

    point_m: Point
    quat_xyzw: Quaternion
    weight: float = 0.1


@dataclass(frozen=True)
class ApproachFirst:
    """The tool goes near a point before it goes anywhere else; then this cost is over.

    Of several only the first in the list that is not over acts: so they give an order.
    """

    point_m: Point
    radius_m: float = 0.05
    """How near it must come."""
    weight: float = 0.1


Cost = KeepOutBox | KeepOutCylinder | SpeedLimit | Reach | ReachPose | ApproachFirst

KINDS: dict[str, type[Any]] = {
    "keep_out_box": KeepOutBox,
    "keep_out_cylinder": KeepOutCylinder,
    "speed_limit": SpeedLimit,
    "reach": Reach,
    "reach_pose": ReachPose,
    "approach_first": ApproachFirst,
}
_POSITIVE = ("half_m", "radius_m", "speed_m_s", "weight")
_LARGEST = {"weight": 1.0}
_UNIT = 0.01
"""By how much a quaternion's length may differ from 1: people round."""


class Pending:
    """Costs, without the `ApproachFirst`s whose turn has not come, or is over.

    Args:
        costs: all of them, in order.
    """

    def __init__(self, costs: Sequence[Cost]) -> None:
        self._others = tuple(cost for cost in costs if not isinstance(cost, ApproachFirst))
        self._order = [cost for cost in costs if isinstance(cost, ApproachFirst)]

    @property
    def now(self) -> tuple[Cost, ...]:
        """Those that act."""
        return (*self._others, *self._order[:1])

    def passed(self, point_m: Vector) -> bool:
        """The tool is there now; whether that changes what acts."""
        if not self._order:
            return False
        first = self._order[0]
        far_m = float(np.linalg.norm(point_m - np.array(first.point_m)))
        if far_m > first.radius_m:
            return False
        del self._order[0]
        return True


def read(json_or_file: str) -> tuple[Cost, ...]:
    """Costs from JSON, or from a file that holds it.

    Raises:
        DfPolicyError: as `parse`, or if there is no such file.
    """
    text = json_or_file.strip()
    if not text or text[0] in "[{":
        return parse(text)
    try:
        need(Path(text).is_file(), "costs as a JSON list, or a file of it", repr(text[:200]))
        with Path(text).open(encoding="utf-8") as file:
            held = file.read(MOST_TEXT + 1)
    except (OSError, ValueError) as error:
        raise DfPolicyError(f"expected a file of costs: {error}") from error
    return parse(held)


def write(costs: Sequence[Cost]) -> str:
    """The JSON that `parse` reads; nothing for none."""
    kinds = {kind: name for name, kind in KINDS.items()}
    rows = [{"kind": kinds[type(cost)], **dataclasses.asdict(cost)} for cost in costs]
    return json.dumps(rows) if rows else ""


def parse(text: str) -> tuple[Cost, ...]:
    """Costs from JSON: a list of objects, each with its kind and its values.

    For instance `[{"kind": "reach", "point_m": [0.5, 0.0, 0.2]}]`; none for nothing.

    Raises:
        DfPolicyError: if it is no such list, or a kind or value is unknown, missing or of no use.
    """
    need(len(text) <= MOST_TEXT, f"costs in up to {MOST_TEXT} characters", f"{len(text)}")
    try:
        listed = json.loads(text.strip() or "[]")
    except (ValueError, RecursionError) as error:
        raise DfPolicyError(
            f"expected costs as a JSON list, got {text[:200]!r}: {error}"
        ) from error
    need(isinstance(listed, list), "costs as a JSON list", repr(text[:200]))
    need(len(listed) <= MOST, f"up to {MOST} costs", len(listed))
    return tuple(_one(values) for values in listed)


def _one(values: Any) -> Cost:
    need(isinstance(values, dict) and "kind" in values, 'a cost with a "kind"', values)
    given = dict(values)
    name = given.pop("kind")
    if not isinstance(name, str) or name not in KINDS:
        hint = nearest(str(name), KINDS)
        raise DfPolicyError(f"expected a cost of {', '.join(KINDS)}, got {name!r}{hint}")
    lengths = {"Point": 3, "Quaternion": 4, "tuple[float, float]": 2}
    fields = dataclasses.fields(KINDS[name])
    sizes = {item.name: lengths.get(str(item.type), 1) for item in fields}
    for key, value in given.items():
        need(key in sizes, f"values {', '.join(sizes)} of {name}", key)
        numbers = value if isinstance(value, list) else [value]
        fits = len(numbers) == sizes[key] and all(_is_number(number) for number in numbers)
        need(fits, f"{sizes[key]} finite number(s) for {name}.{key}", value)
        given[key] = tuple(map(float, numbers)) if sizes[key] > 1 else float(numbers[0])
        _check_range(f"{name}.{key}", key, [float(number) for number in numbers])
    try:
        whole: Cost = KINDS[name](**given)
    except TypeError as error:
        raise DfPolicyError(f"expected all values of {name}: {error}") from error
    return whole


def _check_range(name: str, key: str, numbers: list[float]) -> None:
    if key in _POSITIVE:
        most = _LARGEST.get(key, _ENDLESS)
        fits = all(0.0 < number <= most for number in numbers)
        need(fits, f"{name} above 0 and up to {most:g}", numbers)
    elif key == "quat_xyzw":
        length = math.hypot(*numbers)
        need(abs(length - 1.0) <= _UNIT, f"{name} of length 1", f"{numbers}, of {length:.3g}")
    elif key == "margin_m":
        need(numbers[0] >= 0.0, f"{name} of at least 0", numbers[0])


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < _ENDLESS
