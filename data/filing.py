"""Kept episodes put into the recording's arrays, each whole or not at all."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from numpy.typing import NDArray

from df_policy.data import durable, journal, open_images, storage
from df_policy.data.durable import sync_folder
from df_policy.data.header import Header
from df_policy.data.journal import Journal, Kept
from df_policy.data.reader import read_ends
from df_policy.data.schema import DATA, ENDS, META, Column, columns, labels
from df_policy.errors import DfPolicyError


class Filing:
    """The arrays of one recording that is open for writing.

    Args:
        path: the recording, whose lock is held.
        header: of it.
        waiting: its journal.
    """

    def __init__(self, path: Path, header: Header, waiting: Journal) -> None:
        self._path, self._header, self._journal = path, header, waiting
        self.arrays = storage.arrays(storage.open_group(path, write=True), header, path)
        self.waiting: Kept | None = None
        """An episode that is safe, but not in the arrays yet."""
        self._count()

    def _count(self) -> None:
        ends = read_ends(self.arrays, self._path, self._header)
        self.episodes = len(ends)
        """In the arrays."""
        self.frames = int(ends[-1]) if len(ends) else 0

    def take_up(self) -> None:
        """File what a killed recorder had kept, and cut what it had not.

        Raises:
            DfPolicyError: if an episode waits that does not fit.
            OSError: if the disk refuses.
        """
        self.waiting = self._journal.read()
        if self.waiting is not None:
            self._check(self.waiting)
            self.file()
        for column in (*columns(self._header.spec), *labels(self._header.spec)):
            length = self.frames if column.group == DATA else self.episodes
            storage.shorten(self.arrays[column.path], length)

    def keep(self, rows: Mapping[str, NDArray[Any]]) -> None:
        """Write the next episode, whose images are on the disk.

        Args:
            rows: for each array but the images and the ends.

        Raises:
            OSError: if the disk refuses; if it is `waiting` then, it is safe all the same.
        """
        kept = Kept(self.frames, self.episodes, rows)
        self._journal.write(kept)
        self.waiting = kept
        self.file()

    def file(self) -> None:
        """Give the arrays what waits, the episode's end last; what was done already stays.

        Raises:
            OSError: if the disk refuses; it still waits.
        """
        kept, arrays = self.waiting, self.arrays
        if kept is None:
            return
        if kept.number == self.episodes:
            for column in columns(self._header.spec):
                if column.is_image:
                    stored = arrays[column.path]
                    open_images.move(self._path, stored, column, kept.first, kept.end)
                    stored.resize((kept.end, *column.row_shape))
            places = self._places(kept)
            storage.put((arrays[column.path], at, kept.rows[column.path]) for column, at in places)
            storage.append_last(arrays[ENDS.path], kept.end)
            sync_folder(self._path / ENDS.path)
            self.frames, self.episodes = kept.end, kept.number + 1
        self._journal.clear()
        self.waiting = None

    def _check(self, kept: Kept) -> None:
        """Raises DfPolicyError if it is not such as `keep` takes."""
        length = len(kept.rows.get(f"{DATA}/stamp_ns", ()))
        for column, _ in self._places(kept):
            rows = kept.rows.get(column.path)
            shape = (1 if column.group == META else length, *column.row_shape)
            if rows is None or rows.shape != shape or rows.dtype != column.dtype or not length:
                got = "none" if rows is None else f"{rows.shape} {rows.dtype}"
                raise self._journal.strange(f"{column.path} as {got}")
        # One that is in the arrays already was killed before its journal was cleared.
        filed = kept.number == self.episodes - 1 and kept.end == self.frames
        if not filed and (kept.number, kept.first) != (self.episodes, self.frames):
            raise self._journal.strange(f"episode {kept.number} after {self.episodes}")

    def _places(self, kept: Kept) -> Iterator[tuple[Column, int]]:
        """Each array but the images and the ends, and from which row on it grows."""
        for column in columns(self._header.spec):
            if not column.is_image:
                yield column, kept.first
        for column in labels(self._header.spec):
            yield column, kept.number


def take_up_left(path: Path) -> bool:
    """File the episode that a killed recorder had kept, if one waits; whether one did.

    Raises:
        DfPolicyError: if it does not fit, a recorder is at work, or the disk refuses.
    """
    if not journal.waits(path):
        return False
    group = storage.open_group(path, write=False)
    header = Header.from_attributes(dict(group.attrs), str(path))
    try:
        with durable.exclusive(path), journal.opened(path) as waiting:
            Filing(path, header, waiting).take_up()
            durable.remove_partials(path)
    except OSError as error:
        raise DfPolicyError(f"expected to write {path}, got {error}; make room") from error
    return True
