"""What a recording's attributes say of all of it; they may come from strangers."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from df_policy.data.schema import SCHEMA_VERSION
from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec

_NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,63}", re.ASCII)
"""A camera's name is part of file names: here, in the decoded copy, in an export."""

_MOST_JOINTS, _MOST_CAMERAS = 256, 32
_LARGEST_SIDE = 16383
"""Pixels; WebP cannot hold more."""
_LARGEST_IMAGE_BYTES = 2**28
_FASTEST_HZ = 1e5

CHECKSUM = "header_checksum"
"""Attribute: CRC-32 of the others."""


@dataclass(frozen=True)
class Header:
    """What the store's attributes say of the whole recording."""

    spec: RobotSpec
    task: str
    operators: tuple[str, ...] = ()
    """Who drove: a device's name, each once, in the order in which they came."""
    code_versions: tuple[str, ...] = ()
    """Versions of this package that wrote here, each once."""
    version: int = SCHEMA_VERSION
    """Of the schema."""

    def attributes(self) -> dict[str, Any]:
        """This header as JSON values."""
        values = {
            "schema_version": self.version,
            "robot": asdict(self.spec),
            "task": self.task,
            "operators": self.operators,
            "code_versions": self.code_versions,
        }
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain if self.version < 2 else plain | {CHECKSUM: checksum(plain)}

    @classmethod
    def from_attributes(cls, attributes: Mapping[str, Any], where: str) -> Header:
        """The header that `attributes` writes down.

        Args:
            attributes: the store's attributes.
            where: the store, for the message.

        Raises:
            DfPolicyError: if they are not a recording's, or of another schema version.
        """
        version = attributes.get("schema_version")
        if version is None:
            raise DfPolicyError(
                f"expected a recording at {where}, got a zarr store without a schema_version; "
                "name another path"
            )
        if type(version) is not int or not 1 <= version <= SCHEMA_VERSION:
            raise DfPolicyError(
                f"expected schema version 1 to {SCHEMA_VERSION} at {where}, got {version!r}; "
                "read it with the version of df_policy that wrote it"
            )
        try:
            spec = RobotSpec.from_json(attributes["robot"])
            check_spec(spec)
            return cls(
                spec,
                str(attributes["task"]),
                tuple(map(str, attributes["operators"])),
                tuple(map(str, attributes["code_versions"])),
                version,
            )
        except (AttributeError, KeyError, OverflowError, TypeError, ValueError) as error:
            raise DfPolicyError(
                f"expected the attributes robot, task, operators and code_versions at {where}, "
                f"got none that can be read ({error!r}); the store is damaged, use a copy"
            ) from error


def checksum(attributes: Mapping[str, Any]) -> int:
    """CRC-32 of all attributes but the checksum itself."""
    plain = {name: value for name, value in attributes.items() if name != CHECKSUM}
    return zlib.crc32(json.dumps(plain, sort_keys=True).encode())


def check_spec(spec: RobotSpec) -> None:
    """Refuse a robot that no recording can be of: names become paths, sizes become memory.

    Raises:
        ValueError: naming what is wrong.
    """
    if len(spec.joint_names) > _MOST_JOINTS or len(spec.cameras) > _MOST_CAMERAS:
        raise ValueError(
            f"at most {_MOST_JOINTS} joints and {_MOST_CAMERAS} cameras, got "
            f"{len(spec.joint_names)} and {len(spec.cameras)}"
        )
    for camera, size in spec.cameras.items():
        if not _NAME.fullmatch(camera):
            raise ValueError(f"a camera's name of letters, digits, _ . and -, got {camera!r}")
        height, width = size
        fits = 1 <= height <= _LARGEST_SIDE and 1 <= width <= _LARGEST_SIDE
        if not fits or 3 * height * width > _LARGEST_IMAGE_BYTES:
            raise ValueError(
                f"images of 1 to {_LARGEST_SIDE} pixels a side and {_LARGEST_IMAGE_BYTES >> 20} "
                f"MiB, got {height}x{width}"
            )
    for name in ("action_rate_hz", "control_rate_hz"):
        rate = getattr(spec, name)
        if type(rate) not in (int, float) or not 1e-3 <= rate <= _FASTEST_HZ:
            raise ValueError(f"{name} of 0.001 to {_FASTEST_HZ:g}, got {rate!r}")
    limits = (spec.max_speed_m_s, spec.max_turn_rad_s, *spec.gripper_range_m)
    corners = (float(value) for corner in spec.workspace_m for value in corner)
    if not all(math.isfinite(value) for value in (*limits, *corners)):
        raise ValueError(f"finite limits, got {limits} and {spec.workspace_m}")


def check_same(stored: Header, offered: Header, where: str) -> None:
    """Refuse to add episodes of another robot or task.

    Raises:
        DfPolicyError: naming the first difference.
    """
    pairs = [("task", stored.task, offered.task)]
    pairs += [
        (
            f"robot.{field.name}",
            getattr(stored.spec, field.name),
            getattr(offered.spec, field.name),
        )
        for field in fields(RobotSpec)
    ]
    for name, old, new in pairs:
        if old != new:
            raise DfPolicyError(
                f"expected {name} = {old!r} as recorded in {where}, got {new!r}; "
                "record into another path"
            )
