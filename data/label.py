"""What is said of an episode beside its frames: labels, counts of what was lost, checksums."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data.schema import ARRIVALS, CHECKSUM, NO_SEED, NOTE_BYTES, columns, labels
from df_policy.frames import UNKNOWN, streams
from df_policy.robot import RobotSpec

Arrays = Mapping[str, NDArray[Any]]

_LATE_SHARE = 0.1
"""Of a period; a tick that comes later than this after it was due counts as late."""


@dataclass(frozen=True)
class Label:
    """What the task, or a person, says of an episode."""

    seed: int = NO_SEED
    """What its start was drawn from; -1 where nothing was drawn."""
    success: bool = True
    note: str = ""
    """What a person wants to be remembered; cut at NOTE_BYTES."""

    def rows(self) -> dict[str, NDArray[Any]]:
        """The rows of `meta/seed`, `meta/success` and `meta/note`; a long note is cut."""
        note = self.note.replace("\0", " ").encode("utf-8", "replace")[:NOTE_BYTES]
        letters = note.decode("utf-8", "ignore").encode()
        return {
            "seed": np.array(self.seed, dtype=np.int64),
            "success": np.array(self.success, dtype=np.bool_),
            "note": np.frombuffer(letters.ljust(NOTE_BYTES, b"\0"), dtype=np.uint8),
        }

    @classmethod
    def from_rows(cls, rows: Mapping[str, Any]) -> Label:
        """The label that `rows` made."""
        note = rows["note"].tobytes().rstrip(b"\0").decode("utf-8", "replace")
        return cls(int(rows["seed"]), bool(rows["success"]), note)


def counts(arrays: Arrays, spec: RobotSpec) -> dict[str, NDArray[np.int64]]:
    """How much of an episode was lost or late: the rows of `meta/dropped` and `meta/late`.

    A stream's samples are dropped where the frames say so; a stream is late at a tick that finds
    no newer sample than the tick before; a tick is late when it comes more than a tenth of a
    period after it was due.

    Args:
        arrays: `stamp_ns` and `arrivals` of all frames.
        spec: the robot that was recorded.

    Returns:
        `dropped`: a number for each of `streams`, UNKNOWN where no frame tells. `late`: one for
        the tick, then one for each stream.
    """
    due = np.diff(arrays["stamp_ns"]) - spec.period_ns
    late = [int(np.sum(due > _LATE_SHARE * spec.period_ns))]
    dropped = []
    for number, _ in enumerate(streams(spec.cameras)):
        stamps, _, lost = arrays[ARRIVALS][:, number].T
        known = lost[lost != UNKNOWN]
        dropped.append(int(known.sum()) if len(known) else UNKNOWN)
        told = bool(np.all(stamps != UNKNOWN))
        late.append(int(np.sum(np.diff(stamps) <= 0)) if told else UNKNOWN)
    return {"dropped": np.array(dropped, np.int64), "late": np.array(late, np.int64)}


def about(
    label: Label, arrays: Arrays, of_images: Mapping[str, int], spec: RobotSpec
) -> dict[str, NDArray[Any]]:
    """The rows of all arrays under `meta` for one episode.

    Args:
        label: what is said of it.
        arrays: all its columns but the images.
        of_images: path -> checksum of a camera's images.
        spec: the robot that was recorded.
    """
    rows = {**label.rows(), **counts(arrays, spec)}
    of_columns = {**column_checksums(arrays, spec), **of_images}
    return rows | {CHECKSUM: checksums(of_columns, rows, spec)}


def column_checksums(arrays: Arrays, spec: RobotSpec) -> dict[str, int]:
    """CRC-32 of the rows of each column that is there."""
    known = (column for column in columns(spec) if column.name in arrays)
    return {column.path: checksum(arrays[column.name], column.dtype) for column in known}


def checksums(of_columns: Mapping[str, int], rows: Arrays, spec: RobotSpec) -> NDArray[np.int64]:
    """The row of `meta/checksum`: of each column, then of each row about the episode.

    Args:
        of_columns: path -> checksum of the frames.
        rows: name -> the episode's row under `meta`.
        spec: the robot that was recorded.
    """
    *plain, last = labels(spec)
    known = {**of_columns, **{c.path: checksum(rows[c.name], c.dtype) for c in plain}}
    return np.array([known[name] for name in last.names], dtype=np.int64)


def checksum(rows: NDArray[Any], dtype: str, before: int = 0) -> int:
    """CRC-32 of `rows`, which go on after those of the checksum `before`.

    The bytes are those of the numbers as they are used, little-endian, and of raw images: storing
    them otherwise changes nothing.
    """
    little = np.ascontiguousarray(rows, dtype=np.dtype(dtype).newbyteorder("<"))
    return zlib.crc32(little.reshape(-1).view(np.uint8).data, before)
