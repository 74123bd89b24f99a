"""What a recording looks like on disk: names, types, shapes, attributes.

`data/<column>` holds one row a frame, all episodes one after the other; `meta/episode_ends` says
where each episode ends, `meta/seed` and `meta/success` tell about it.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any

from df_policy.errors import DfPolicyError
from df_policy.frames import ACTION_WIDTH
from df_policy.robot import RobotSpec

SCHEMA_VERSION = 1

EPISODE_ENDS = "meta/episode_ends"
"""(E,) int64, in frames, cumulative: an episode exists once its end stands here."""

SEED = "meta/seed"
"""(E,) int64: what the episode's start was drawn from; NO_SEED where nothing was drawn."""

SUCCESS = "meta/success"
"""(E,) bool: the task's verdict at the end of the episode."""

NO_SEED = -1


@dataclass(frozen=True)
class Column:
    """One array under `data/`."""

    name: str
    row_shape: tuple[int, ...]
    dtype: str

    @property
    def path(self) -> str:
        """The array's place in the store."""
        return f"data/{self.name}"

    @property
    def is_image(self) -> bool:
        """Whether the rows are pictures."""
        return len(self.row_shape) == 3


def image_column(camera: str) -> str:
    """The column that holds a camera's images."""
    return f"image_{camera}"


def image_stamp_column(camera: str) -> str:
    """The column that holds the stamps of a camera's images [ns]."""
    return f"image_{camera}_stamp_ns"


def columns(spec: RobotSpec) -> tuple[Column, ...]:
    """All columns of a recording of this robot."""
    joints = len(spec.joint_names)
    images = [Column(image_column(c), (*hw, 3), "uint8") for c, hw in spec.cameras.items()]
    stamps = [Column(image_stamp_column(c), (), "int64") for c in spec.cameras]
    return (
        *images,
        *stamps,
        Column("q", (joints,), "float32"),
        Column("dq", (joints,), "float32"),
        Column("tool_position", (3,), "float32"),
        Column("tool_quat_xyzw", (4,), "float32"),
        Column("gripper", (1,), "float32"),
        Column("action_requested", (ACTION_WIDTH,), "float32"),
        Column("action", (ACTION_WIDTH,), "float32"),
        Column("stamp_ns", (), "int64"),
        Column("received_ns", (), "int64"),
    )


@dataclass(frozen=True)
class Header:
    """What the store's attributes say of the whole recording."""

    spec: RobotSpec
    task: str
    operators: tuple[str, ...] = ()
    """Who drove: a device's name, each once, in the order in which they came."""
    code_versions: tuple[str, ...] = ()
    """Versions of this package that wrote here, each once."""

    def attributes(self) -> dict[str, Any]:
        """This header as JSON values."""
        values = {
            "schema_version": SCHEMA_VERSION,
            "robot": asdict(self.spec),
            "task": self.task,
            "operators": self.operators,
            "code_versions": self.code_versions,
        }
        plain: dict[str, Any] = json.loads(json.dumps(values))
        return plain

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
        if version != SCHEMA_VERSION:
            raise DfPolicyError(
                f"expected schema version {SCHEMA_VERSION} at {where}, got {version!r}; "
                "read it with the version of df_policy that wrote it"
            )
        try:
            return cls(
                RobotSpec.from_json(attributes["robot"]),
                str(attributes["task"]),
                tuple(attributes["operators"]),
                tuple(attributes["code_versions"]),
            )
        except (KeyError, TypeError, ValueError) as error:
            raise DfPolicyError(
                f"expected the attributes robot, task, operators and code_versions at {where}, "
                f"got none that can be read ({error!r}); the store is damaged, use a copy"
            ) from error


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
