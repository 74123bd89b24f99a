"""Reading a recording: episodes are decoded when they are asked for."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numpy.typing import NDArray

from df_policy.data import episode, storage
from df_policy.data.episode import Episode
from df_policy.data.schema import EPISODE_ENDS, SEED, SUCCESS, Header, columns
from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec


def read_ends(group: zarr.Group, path: Path, spec: RobotSpec) -> NDArray[np.int64]:
    """Where each episode ends, after a look at whether all arrays reach there.

    Raises:
        DfPolicyError: if the store is damaged.
    """
    ends = np.asarray(storage.array(group, EPISODE_ENDS, path)[:], dtype=np.int64)
    if np.any(np.diff(ends, prepend=0) <= 0):
        raise DfPolicyError(
            f"expected growing numbers in {EPISODE_ENDS} of {path}, got {ends}; "
            "the store is damaged, use a copy"
        )
    frames = int(ends[-1]) if len(ends) else 0
    expected: list[tuple[str, tuple[int, ...], str, int]] = [
        (column.path, column.row_shape, column.dtype, frames) for column in columns(spec)
    ]
    expected += [(SEED, (), "int64", len(ends)), (SUCCESS, (), "bool", len(ends))]
    for name, row_shape, dtype, length in expected:
        stored = storage.array(group, name, path)
        if stored.shape[1:] != row_shape or stored.dtype != dtype or stored.shape[0] < length:
            raise DfPolicyError(
                f"expected {name} of {path} as ({length}, {', '.join(map(str, row_shape))}) "
                f"{dtype}, got {stored.shape} {stored.dtype}; the store is damaged, use a copy"
            )
    return ends


@dataclass(frozen=True)
class EpisodeStore:
    """A recording that may still grow: it shows the episodes kept when it was opened."""

    path: Path
    header: Header
    ends: NDArray[np.int64]
    seeds: NDArray[np.int64]
    success: NDArray[np.bool_]
    group: zarr.Group

    @classmethod
    def open(cls, path: str | Path) -> EpisodeStore:
        """Look at a recording; nothing is written.

        Raises:
            DfPolicyError: if it is missing, damaged, or something else.
        """
        path = Path(path)
        group = storage.open_group(path, write=False)
        header = Header.from_attributes(dict(group.attrs), str(path))
        ends = read_ends(group, path, header.spec)
        seeds = np.asarray(storage.array(group, SEED, path)[: len(ends)])
        success = np.asarray(storage.array(group, SUCCESS, path)[: len(ends)])
        return cls(path, header, ends, seeds, success, group)

    def __len__(self) -> int:
        """Episodes."""
        return len(self.ends)

    @property
    def spec(self) -> RobotSpec:
        """The robot that was recorded."""
        return self.header.spec

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Frames of each episode."""
        return np.diff(self.ends, prepend=0)

    @property
    def frames(self) -> int:
        """Frames of all episodes."""
        return int(self.ends[-1]) if len(self) else 0

    def rows(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Frames `start` to `stop` of one column.

        Raises:
            DfPolicyError: if they cannot be decoded.
        """
        stored = storage.array(self.group, f"data/{name}", self.path)
        try:
            return np.asarray(stored[start:stop])
        except (OSError, RuntimeError, ValueError) as error:
            raise DfPolicyError(
                f"expected to decode frames {start} to {stop} of {name} in {self.path}, got "
                f"{error}; the store is damaged, use a copy"
            ) from error

    def episode(self, index: int) -> Episode:
        """Decode one episode.

        Raises:
            DfPolicyError: if there is no such episode, or it is not fit for training.
        """
        if not 0 <= index < len(self):
            raise DfPolicyError(
                f"expected an episode from 0 to {len(self) - 1} of {self.path}, got {index}"
            )
        start = int(self.ends[index - 1]) if index else 0
        stop = int(self.ends[index])
        arrays = {c.name: self.rows(c.name, start, stop) for c in columns(self.spec)}
        episode.check(arrays, self.spec, f"episode {index} of {self.path}")
        return Episode(arrays, int(self.seeds[index]), bool(self.success[index]))
