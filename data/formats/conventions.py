"""What numbers in a file mean: said by the file or by the user, never guessed."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data.formats.rotation import WIDTHS as ROTATIONS
from df_policy.errors import DfPolicyError, nearest

ANGLES = ("rad", "deg")
LENGTHS = ("m", "mm")
GRIPPERS = ("m", "mm", "fingers_m", "open_1", "closed_1", "open_plus", "closed_plus")
"""Opening in metres or millimetres; two fingers' places whose sizes add up to it; 0 to 1 with
1 for open, or for closed; -1 to 1 with 1 for open, or for closed."""
STAMPS = ("ns", "s")
"""Nanoseconds as they stand in our recordings, or seconds from wherever."""
ABSENT = "absent"

COMMANDS = ("action", "requested")
"""How the fields begin that tell what was commanded, not what was seen."""

KINDS: Mapping[str, tuple[str, ...]] = {
    "q": ANGLES,
    "dq": (*ANGLES, ABSENT),
    "tool_position": LENGTHS,
    "tool_rotation": tuple(ROTATIONS),
    "gripper": GRIPPERS,
    "action": ("row",),
    "action_position": LENGTHS,
    "action_rotation": tuple(ROTATIONS),
    "action_gripper": GRIPPERS,
    "action_joints": ANGLES,
    "action_requested": ("row",),
    "requested_position": LENGTHS,
    "requested_rotation": tuple(ROTATIONS),
    "requested_gripper": GRIPPERS,
    "stamp": STAMPS,
    "received": ("ns",),
    "success": ("any",),
}
"""What a file must or may hold, and how it may be written. A `row` is ten numbers as ours."""

ACTIONS = {
    "absolute": "targets of the tool",
    "delta_base": "steps from the tool's measured pose, along the axes of the base",
    "delta_tool": "steps from the tool's measured pose, along its own axes",
    "joints": "targets of the joints; needs --urdf and --tool-frame",
    "next_tool": "none in the file: the target is the tool's pose one frame later",
}
ROWS = {"after": "sent after the frame was seen", "before": "led to the frame"}
COLOURS = {"rgb": "red first", "bgr": "blue first"}

IDENTITY = (0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0)

_FIELD = re.compile(r"(?P<key>.+?)(\[(?P<a>\d{1,6})(:(?P<b>\d{1,6}))?\])?:(?P<kind>\w+)")
_COLUMN = re.compile(r"column:[a-z0-9_]{1,64}")
"""A field that holds a column of ours as it stands."""
_IMAGE_STAMP = re.compile(r"image_([A-Za-z0-9_.-]{1,64})_stamp")


def kinds(name: str) -> tuple[str, ...]:
    """How the field `name` may be written.

    Raises:
        DfPolicyError: if there is no such field.
    """
    if _IMAGE_STAMP.fullmatch(name):
        return STAMPS
    if _COLUMN.fullmatch(name):
        return ("row",)
    if name not in KINDS:
        hint = nearest(name, KINDS) or f"; there are {', '.join(KINDS)}, image_<camera>_stamp"
        raise DfPolicyError(f"unknown field {name!r}{hint}")
    return KINDS[name]


@dataclass(frozen=True)
class Field:
    """Where a file holds something, and in which unit or representation."""

    key: str
    kind: str
    start: int | None = None
    stop: int | None = None

    @classmethod
    def parse(cls, name: str, text: str) -> Field:
        """The field that `KEY:KIND`, `KEY[3]:KIND` or `KEY[0:3]:KIND` describes.

        Raises:
            DfPolicyError: if it is neither, or `name` cannot be of that kind.
        """
        allowed = kinds(name)
        if text == ABSENT and ABSENT in allowed:
            return cls("", ABSENT)
        found = _FIELD.fullmatch(text)
        if found is None or found["kind"] not in allowed:
            raise DfPolicyError(
                f"expected {name}=KEY:KIND or {name}=KEY[0:3]:KIND with a kind of "
                f"{', '.join(allowed)}, got {text!r}"
            )
        if found["a"] is None:
            return cls(found["key"], found["kind"])
        start = int(found["a"])
        return cls(found["key"], found["kind"], start, int(found["b"] or start + 1))

    def __str__(self) -> str:
        if self.kind == ABSENT:
            return ABSENT
        cut = "" if self.start is None else f"[{self.start}:{self.stop}]"
        return f"{self.key}{cut}:{self.kind}"

    def take(self, arrays: Mapping[str, NDArray[Any]]) -> NDArray[Any]:
        """The field's numbers as (frames, width)."""
        rows = arrays[self.key]
        flat = rows.reshape(len(rows), int(np.prod(rows.shape[1:])))
        return flat if self.start is None else flat[:, self.start : self.stop]


@dataclass(frozen=True)
class Conventions:
    """All that must be known to read another format; what is None is not known yet."""

    fields: Mapping[str, Field] = field(default_factory=dict)
    cameras: Mapping[str, str] = field(default_factory=dict)
    """Camera's name here -> key in the file."""
    action: str | None = None
    action_row: str | None = None
    base: tuple[float, ...] | None = None
    """Pose of the robot's base in the file's frame: x y z [m], quaternion xyzw."""
    colour: str | None = None
    scale: tuple[float, float] | None = None
    """What a step of 1 means: [m], [rad]."""

    def over(self, told: Conventions) -> Conventions:
        """These, completed by what `told` knows besides."""
        rest = {
            name: getattr(self, name) if getattr(self, name) is not None else getattr(told, name)
            for name in ("action", "action_row", "base", "colour", "scale")
        }
        cameras = self.cameras or told.cameras
        return replace(self, fields={**told.fields, **self.fields}, cameras=cameras, **rest)

    def missing(self, kinematics: bool) -> list[str]:
        """A line for each thing that must be said yet.

        Args:
            kinematics: whether the tool's pose follows from the joints.
        """
        tool = () if kinematics else ("tool_position", "tool_rotation")
        lines = [_wanted(n) for n in ("q", "dq", *tool, "gripper") if n not in self.fields]
        if tool and lines:
            lines.append("or, in place of the tool's pose, --urdf FILE --tool-frame LINK")
        if "action" not in self.fields:
            lines += self._missing_action()
        lines += self._missing_request()
        if self.base is None:
            lines.append(
                "--base base if poses are in the frame of the robot's base, else its pose in "
                "their frame: X,Y,Z,QX,QY,QZ,QW"
            )
        if self.cameras and self.colour is None:
            lines.append(f"--colour {_choices(COLOURS)}")
        return lines

    def _missing_action(self) -> Iterable[str]:
        if self.action is None:
            yield f"--action {_choices(ACTIONS)}"
        if self.action != "next_tool":
            pose = ("action_position", "action_rotation")
            for name in (
                *(("action_joints",) if self.action == "joints" else pose),
                "action_gripper",
            ):
                if name not in self.fields:
                    yield _wanted(name)
            if self.action_row is None:
                yield f"--action-row {_choices(ROWS)}"
        if (self.action or "").startswith("delta") and self.scale is None:
            yield "--scale METRES,RADIANS: what a step of 1 means (1,1 for SI units)"

    def _missing_request(self) -> Iterable[str]:
        names = ("requested_position", "requested_rotation", "requested_gripper")
        if any(name in self.fields for name in names):
            for name in names:
                if name not in self.fields:
                    yield _wanted(name)

    def to_json(self) -> dict[str, Any]:
        """As JSON values."""
        return {
            "fields": {name: str(place) for name, place in self.fields.items()},
            "cameras": dict(self.cameras),
            "action": self.action,
            "action_row": self.action_row,
            "base": self.base,
            "colour": self.colour,
            "scale": self.scale,
        }

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> Conventions:
        """What `to_json` wrote, checked.

        Raises:
            DfPolicyError, TypeError, ValueError, KeyError, AttributeError: if it is no such thing.
        """
        base, scale = values["base"], values["scale"]
        return cls(
            {str(n): Field.parse(str(n), str(place)) for n, place in values["fields"].items()},
            {str(name): str(key) for name, key in values["cameras"].items()},
            None if values["action"] is None else one_of("action", values["action"], ACTIONS),
            None if values["action_row"] is None else one_of("row", values["action_row"], ROWS),
            None if base is None else numbers(base, 7),
            None if values["colour"] is None else one_of("colour", values["colour"], COLOURS),
            None if scale is None else _pair(scale),
        )


def one_of(name: str, value: object, choices: Mapping[str, str]) -> str:
    """`value`, if it is a choice.

    Raises:
        DfPolicyError: if not.
    """
    if not isinstance(value, str) or value not in choices:
        raise DfPolicyError(f"expected {name} of {', '.join(choices)}, got {value!r}")
    return value


def numbers(values: Iterable[Any], count: int) -> tuple[float, ...]:
    """So many finite numbers.

    Raises:
        DfPolicyError: if they are not.
    """
    try:
        found = tuple(float(value) for value in values)
    except (TypeError, ValueError):
        found = ()
    if len(found) != count or not np.isfinite(found).all():
        raise DfPolicyError(f"expected {count} finite numbers, got {values!r}")
    return found


def _pair(values: Iterable[Any]) -> tuple[float, float]:
    first, second = numbers(values, 2)
    return first, second


def _wanted(name: str) -> str:
    return f"--field {name}=KEY:KIND, KIND one of {', '.join(KINDS[name])}"


def _choices(choices: Mapping[str, str]) -> str:
    return "; or ".join(f"{name} ({meaning})" for name, meaning in choices.items())
