"""A new recording out of episodes of others; images are moved as they are, never encoded anew."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data import storage
from df_policy.data.header import Header
from df_policy.data.label import Label, checksum, checksums, counts
from df_policy.data.moving import Run, move_images
from df_policy.data.reader import EpisodeStore
from df_policy.data.schema import ARRIVALS, CHECKSUM, ENDS, Column, columns, labels
from df_policy.errors import DfPolicyError
from df_policy.frames import UNKNOWN

Progress = Callable[[int, int], None]
"""Told how many images of how many are written."""

_ROWS_AT_ONCE = 2**16


@dataclass(frozen=True)
class Piece:
    """Frames of one recorded episode that make an episode of the new recording."""

    store: EpisodeStore
    episode: int
    start: int
    """First frame, counted from the episode's first."""
    stop: int
    """Frame after the last."""
    label: Label

    @property
    def frames(self) -> int:
        """How many."""
        return self.stop - self.start

    @property
    def whole(self) -> bool:
        """Whether all frames of the episode are in it."""
        return self.frames == int(self.store.lengths[self.episode])

    @property
    def first(self) -> int:
        """Number of its first frame in its recording."""
        return self.store.bounds(self.episode)[0] + self.start

    def rows(self, name: str) -> NDArray[Any]:
        """One column, its stamps counted from its own start."""
        rows = self.store.rows(name, self.first, self.first + self.frames)
        if self.start == 0 or not (name.endswith("stamp_ns") or name == ARRIVALS):
            return rows
        origin = self.store.rows("stamp_ns", self.first, self.first + 1)[0]
        if name != ARRIVALS:
            return np.asarray(rows - origin)
        stamps = rows[:, :, 0]
        rows[:, :, 0] = np.where(stamps == UNKNOWN, UNKNOWN, stamps - origin)
        return rows


def whole(store: EpisodeStore, *, mend: bool = False) -> list[Piece]:
    """All episodes of a recording as they are.

    Args:
        store: the recording.
        mend: take what is said of them as it can be read; else it must be as it was written.

    Raises:
        DfPolicyError: if it is not.
    """
    if not mend:
        for index in range(len(store)):
            store.prove_label(index)
    return [
        Piece(store, index, 0, int(length), store.label(index))
        for index, length in enumerate(store.lengths)
    ]


def compose(
    out: Path,
    header: Header,
    pieces: Sequence[Piece],
    progress: Progress | None = None,
    *,
    share: bool = False,
) -> None:
    """Write the recording; it appears at `out` when it is complete.

    Args:
        out: where; nothing may be there.
        header: of the new recording.
        pieces: its episodes in order, of one robot.
        progress: called now and then.
        share: let files that stay the same be those of the source (hard links).

    Raises:
        DfPolicyError: if something is there, a source is damaged, or the disk refuses.
    """
    if out.exists():
        raise DfPolicyError(f"expected nothing at {out}, got something; name another path")
    partial = out.with_name(f".{out.name}.{uuid.uuid4().hex}.partial")
    try:
        storage.create(partial, header)
        group = storage.open_group(partial, write=True)
        arrays = storage.arrays(group, header, partial)
        frames = sum(piece.frames for piece in pieces)
        done = 0
        for column in columns(header.spec):
            if not column.is_image:
                _numbers(arrays[column.path], column, pieces, frames)
                continue
            target = arrays[column.path]
            for written in move_images(partial, target, column, _runs(pieces), share=share):
                if progress is not None:
                    progress(done + written, frames * len(header.spec.cameras))
            done += frames
        _labels(arrays, pieces)
        tried = max((piece.store.next_seed for piece in pieces), default=0)
        storage.put_next_seed(group, tried)
        if pieces:
            ends = np.cumsum([piece.frames for piece in pieces])
            storage.put([(arrays[ENDS.path], 0, ends)])
        partial.rename(out)
    except OSError as error:
        raise DfPolicyError(f"expected to write {out}, got {error}; make room") from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _numbers(
    target: storage.ZarrArray, column: Column, pieces: Sequence[Piece], frames: int
) -> None:
    target.resize((frames, *column.row_shape))
    waiting: list[NDArray[Any]] = []
    at = held = 0
    for number, piece in enumerate(pieces):
        waiting.append(piece.rows(column.name))
        held += piece.frames
        if held >= _ROWS_AT_ONCE or number == len(pieces) - 1:
            target[at : at + held] = np.concatenate(waiting)
            at, held, waiting = at + held, 0, []


def _runs(pieces: Sequence[Piece]) -> list[Run]:
    """Frames that follow one another in a recording."""
    runs: list[Run] = []
    for piece in pieces:
        end = piece.first + piece.frames
        if runs and runs[-1].store is piece.store and runs[-1].end == piece.first:
            runs[-1] = Run(piece.store, runs[-1].start, end)
        else:
            runs.append(Run(piece.store, piece.first, end))
    return runs


def _labels(arrays: dict[str, storage.ZarrArray], pieces: Sequence[Piece]) -> None:
    if not pieces:
        return
    rows = [_label_rows(piece) for piece in pieces]
    storage.put(
        (arrays[column.path], 0, np.stack([row[column.name] for row in rows]))
        for column in labels(pieces[0].store.spec)
    )


def _label_rows(piece: Piece) -> dict[str, NDArray[Any]]:
    spec, known = piece.store.spec, piece.store.checksums(piece.episode)
    stamps = {name: piece.rows(name) for name in ("stamp_ns", ARRIVALS)}
    rows = {**piece.label.rows(), **counts(stamps, spec)}
    if not piece.whole:
        _prove_numbers(piece)
    of_columns = dict.fromkeys((column.path for column in columns(spec)), UNKNOWN)
    for column in columns(spec):
        if column.path not in piece.store.arrays or column.path not in known:
            continue
        if piece.whole:
            of_columns[column.path] = known[column.path]
        elif column.is_image:
            of_columns[column.path] = _image_checksum(piece, column)
        else:
            of_columns[column.path] = checksum(piece.rows(column.name), column.dtype)
    return rows | {CHECKSUM: checksums(of_columns, rows, spec)}


def _prove_numbers(piece: Piece) -> None:
    """So that no damage is signed."""
    bounds = piece.store.bounds(piece.episode)
    names = [column.name for column in columns(piece.store.spec) if not column.is_image]
    piece.store.prove(piece.episode, {name: piece.store.rows(name, *bounds) for name in names})


def _image_checksum(piece: Piece, column: Column) -> int:
    """Of a part of an episode; the whole is proven on the way."""
    found = 0
    first, end = piece.first, piece.first + piece.frames
    for start, rows in piece.store.blocks(column.name, piece.episode):
        part = rows[max(0, first - start) : max(0, end - start)]
        found = checksum(part, column.dtype, found)
    return found
