"""Reading a recording: episodes are decoded when they are asked for."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data import episode, layout, storage
from df_policy.data.episode import Arrays, Episode
from df_policy.data.header import Header
from df_policy.data.label import Label, checksum
from df_policy.data.schema import CHECKSUM, DATA, ENDS, META, NO_SEED, Column, columns, labels
from df_policy.data.storage import ZarrArray
from df_policy.errors import DfPolicyError
from df_policy.frames import UNKNOWN
from df_policy.robot import RobotSpec

_NEVER_EMPTY = "tool_quat_xyzw"
"""Column without a row of zeros: there is a file for each of its chunks."""


def read_ends(
    arrays: dict[str, ZarrArray], path: Path, header: Header, lost: dict[str, str] | None = None
) -> NDArray[np.int64]:
    """Where each episode ends, after a look at whether all arrays reach there.

    Args:
        arrays: of the store; loses those that are `lost`.
        path: of the store, for the messages.
        header: of the store.
        lost: takes arrays that do not, with what is wrong, where one can do without.

    Raises:
        DfPolicyError: if the store is damaged.
    """
    stored = arrays[ENDS.path]
    layout.check_stored(stored, ENDS, stored.shape[0], path)
    ends = np.asarray(storage.read(stored, ENDS, path), dtype=np.int64)
    if np.any(ends <= 0) or np.any(ends[1:] <= ends[:-1]):
        raise DfPolicyError(
            f"expected growing numbers in {ENDS.path} of {path}, got {ends}; "
            "the store is damaged, use a copy"
        )
    lengths = {DATA: int(ends[-1]) if len(ends) else 0, META: len(ends)}
    for column in (*columns(header.spec), *labels(header.spec)):
        try:
            if column.path in arrays:
                layout.check_length(arrays[column.path], column, lengths[column.group], path)
        except DfPolicyError as error:
            if lost is None or not storage.dispensable(column):
                raise
            lost[column.path] = str(error)
            del arrays[column.path]
        if column.name == _NEVER_EMPTY:
            layout.check_stored(arrays[column.path], column, lengths[DATA], path)
    return ends


@dataclass(frozen=True)
class EpisodeStore:
    """A recording that may still grow: it shows the episodes kept when it was opened."""

    path: Path
    header: Header
    ends: NDArray[np.int64]
    about: Arrays
    """What is said of the episodes: name -> one row for each; UNKNOWN where nothing is."""
    arrays: Mapping[str, ZarrArray]
    """By their place in the store; those that its schema version has."""

    @classmethod
    def open(cls, path: str | Path, lost: dict[str, str] | None = None) -> EpisodeStore:
        """Look at a recording; nothing is written.

        Args:
            path: the store.
            lost: given, arrays that episodes can do without may be missing or damaged; it takes
                their places in the store with what is wrong.

        Raises:
            DfPolicyError: if it is missing, damaged, or something else.
        """
        path = Path(path)
        group = storage.open_group(path, write=False)
        header = Header.from_attributes(dict(group.attrs), str(path))
        arrays = storage.arrays(group, header, path, lost)
        ends = read_ends(arrays, path, header, lost)
        about = {}
        for column in labels(header.spec):
            try:
                about[column.name] = _rows(arrays, column, path, 0, len(ends))
            except DfPolicyError as error:
                if lost is None:
                    raise
                lost[column.path] = str(error)
                del arrays[column.path]
                about[column.name] = _rows(arrays, column, path, 0, len(ends))
        return cls(path, header, ends, about, arrays)

    def __len__(self) -> int:
        """Episodes."""
        return len(self.ends)

    @property
    def spec(self) -> RobotSpec:
        """The robot that was recorded."""
        return self.header.spec

    @property
    def seeds(self) -> NDArray[np.int64]:
        """What each episode's start was drawn from."""
        return self.about["seed"]

    @property
    def next_seed(self) -> int:
        """One more than the highest seed that was kept or dropped.

        Raises:
            DfPolicyError: if it cannot be read.
        """
        return max(storage.next_seed(self.path), int(np.max(self.seeds, initial=NO_SEED)) + 1)

    @property
    def success(self) -> NDArray[np.bool_]:
        """The verdict on each episode."""
        return self.about["success"]

    @property
    def lengths(self) -> NDArray[np.int64]:
        """Frames of each episode."""
        return np.diff(self.ends, prepend=0)

    @property
    def frames(self) -> int:
        """Frames of all episodes."""
        return int(self.ends[-1]) if len(self) else 0

    def label(self, index: int) -> Label:
        """What is said of an episode."""
        return Label.from_rows({name: self.row(name, index) for name in self.about})

    def row(self, name: str, index: int) -> NDArray[Any]:
        """An episode's row of an array under `meta`."""
        return np.asarray(self.about[name][index])

    def rows(self, name: str, start: int, stop: int) -> NDArray[Any]:
        """Frames `start` to `stop` of one column.

        Raises:
            DfPolicyError: if they cannot be decoded.
        """
        return _rows(self.arrays, self._column(name), self.path, start, stop)

    def bounds(self, index: int) -> tuple[int, int]:
        """The first frame of an episode, and that after its last.

        Raises:
            DfPolicyError: if there is no such episode.
        """
        if not len(self):
            raise DfPolicyError(f"expected episodes in {self.path}, got none")
        if not 0 <= index < len(self):
            raise DfPolicyError(
                f"expected an episode from 0 to {len(self) - 1} of {self.path}, got {index}"
            )
        return int(self.ends[index - 1]) if index else 0, int(self.ends[index])

    def episode(self, index: int) -> Episode:
        """Decode one episode.

        Raises:
            DfPolicyError: if there is no such episode, or it is not fit for training.
        """
        start, stop = self.bounds(index)
        arrays = {c.name: self.rows(c.name, start, stop) for c in columns(self.spec)}
        episode.check(arrays, self.spec, f"episode {index} of {self.path}")
        self.prove(index, arrays)
        self.prove_label(index)
        label = self.label(index)
        return Episode(arrays, label.seed, label.success, label.note)

    def checksums(self, index: int) -> dict[str, int]:
        """What each array's rows of an episode should give; nothing where nobody noted it."""
        names = labels(self.spec)[-1].names
        noted = zip(names, self.about[CHECKSUM][index], strict=True)
        return {name: int(value) for name, value in noted if value != UNKNOWN}

    def blocks(self, name: str, index: int) -> Iterator[tuple[int, NDArray[Any]]]:
        """One column of an episode in parts that fit memory, each with its first frame's number.

        Raises:
            DfPolicyError: if they cannot be decoded, or, after the last, are not as recorded.
        """
        column = self._column(name)
        start, stop = self.bounds(index)
        expected, found = self.checksums(index).get(column.path), 0
        for begin in range(start, stop, storage.block_rows(column)):
            rows = self.rows(name, begin, min(begin + storage.block_rows(column), stop))
            found = checksum(rows, column.dtype, found)
            yield begin, rows
        if expected not in (None, found):
            raise self._wrong(index, column, expected, found)

    def prove(self, index: int, arrays: Arrays) -> None:
        """Refuse rows of an episode that are not those that were recorded.

        Raises:
            DfPolicyError: naming the first column that is not.
        """
        expected = self.checksums(index)
        for column in columns(self.spec):
            if column.name not in arrays or column.path not in expected:
                continue
            found = checksum(arrays[column.name], column.dtype)
            if found != expected[column.path]:
                raise self._wrong(index, column, expected[column.path], found)

    def prove_label(self, index: int) -> None:
        """Refuse what is said of an episode if it is not as it was written.

        Raises:
            DfPolicyError: naming the first row that is not.
        """
        expected = self.checksums(index)
        for column in labels(self.spec):
            found = checksum(self.row(column.name, index), column.dtype)
            if column.path in expected and found != expected[column.path]:
                raise self._wrong(index, column, expected[column.path], found)

    def _column(self, name: str) -> Column:
        return next(column for column in columns(self.spec) if column.name == name)

    def _wrong(self, index: int, column: Column, expected: object, found: int) -> DfPolicyError:
        return DfPolicyError(
            f"expected the checksum {expected} of {column.path} in episode {index} of "
            f"{self.path}, got {found}; the store is damaged: use a copy, or see "
            "`python -m df_policy data repair`"
        )


def _rows(
    arrays: Mapping[str, ZarrArray], column: Column, path: Path, start: int, stop: int
) -> NDArray[Any]:
    if column.path not in arrays:
        nothing = NO_SEED if column.name == "seed" else column.fill
        return np.full((stop - start, *column.row_shape), nothing, column.dtype)
    return storage.read(arrays[column.path], column, path, start, stop)
