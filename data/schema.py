"""What a recording looks like on disk: names, types, shapes, attributes.

`data/<column>` holds one row a frame, all episodes one after the other; `meta/episode_ends` says
where each episode ends, the other arrays of `meta` hold one row an episode.

Version 2 added columns and nothing else: a reader takes UNKNOWN for what a recording of version 1
has not, and a writer that goes on with one adds the missing arrays, which cost a file each.
"""

from __future__ import annotations

from dataclasses import dataclass

from df_policy.frames import ACTION_WIDTH, UNKNOWN, camera_stream, streams
from df_policy.robot import RobotSpec

SCHEMA_VERSION = 2

DATA, META = "data", "meta"
"""The groups: a row for each frame, a row for each episode."""

NO_SEED = -1

NOTE_BYTES = 500
"""Of UTF-8; a sentence or two."""

TICK = "tick"
"""The recorder's own rhythm, beside the streams in the counts of what came late."""


ARRIVALS = "arrivals"
"""Column: how each stream's sample came, (streams, 3)."""

ARRIVAL_PARTS = ("stamp_ns", "received_ns", "dropped")

CHECKSUM = "checksum"
"""What `meta/checksum` is called there; it proves all else that is stored of an episode."""


@dataclass(frozen=True)
class Column:
    """One array, its rows being frames or episodes."""

    name: str
    row_shape: tuple[int, ...]
    dtype: str
    since: int = 1
    """Schema version that brought it."""
    group: str = DATA
    fill: int = 0
    """What a row is that was never written."""
    names: tuple[str, ...] = ()
    """Of the numbers along the row's first axis, where they are no matter of course."""

    @property
    def path(self) -> str:
        """The array's place in the store."""
        return f"{self.group}/{self.name}"

    @property
    def is_image(self) -> bool:
        """Whether the rows are pictures."""
        return len(self.row_shape) == 3


ENDS = Column("episode_ends", (), "int64", group=META)
"""In frames, cumulative: an episode exists once its end stands here."""


def image_column(camera: str) -> str:
    """The column that holds a camera's images."""
    return camera_stream(camera)


def image_stamp_column(camera: str) -> str:
    """The column that holds the stamps of a camera's images [ns]."""
    return f"{image_column(camera)}_stamp_ns"


def columns(spec: RobotSpec) -> tuple[Column, ...]:
    """All columns of a recording of this robot, one row a frame."""
    joints = len(spec.joint_names)
    ways = streams(spec.cameras)
    images = [Column(image_column(c), (*hw, 3), "uint8") for c, hw in spec.cameras.items()]
    stamps = [Column(image_stamp_column(c), (), "int64") for c in spec.cameras]
    arrivals = (len(ways), len(ARRIVAL_PARTS))
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
        Column("control", (), "uint8", since=2),
        Column(ARRIVALS, arrivals, "int64", since=2, fill=UNKNOWN, names=ways),
    )


def labels(spec: RobotSpec) -> tuple[Column, ...]:
    """All that is said of an episode, one row each, but for its end; the checksum is last."""
    ways = streams(spec.cameras)
    plain = (
        Column("seed", (), "int64", group=META),
        Column("success", (), "bool", group=META),
        Column("note", (NOTE_BYTES,), "uint8", since=2, group=META),
        _counted("dropped", ways),
        _counted("late", (TICK, *ways)),
    )
    proven = tuple(column.path for column in (*columns(spec), *plain))
    return (*plain, _counted(CHECKSUM, proven))


def _counted(name: str, names: tuple[str, ...]) -> Column:
    return Column(name, (len(names),), "int64", since=2, group=META, fill=UNKNOWN, names=names)
