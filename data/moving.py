"""Encoded images moved from recording to recording; whole files where they fit."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from df_policy.data import durable, layout, shards, storage
from df_policy.data.reader import EpisodeStore
from df_policy.data.schema import Column


@dataclass(frozen=True)
class Run:
    """Frames of a recording that follow one another."""

    store: EpisodeStore
    start: int
    """First frame, counted from the recording's first."""
    end: int
    """Frame after the last."""


def move_images(
    out: Path, target: storage.ZarrArray, column: Column, runs: Sequence[Run], *, share: bool
) -> Iterator[int]:
    """Fill one camera's files of a new recording; yields how many images are there.

    Args:
        out: the new recording.
        target: its array, still empty.
        column: which images.
        runs: where they come from, in order.
        share: let whole files be those of the source (hard links).

    Raises:
        DfPolicyError: if a file of a source is damaged.
        OSError: if the disk refuses.
    """
    size = storage.shard_frames(column)
    target.resize((sum(run.end - run.start for run in runs), *column.row_shape))
    held: list[shards.Encoded] = []
    number, source = 0, _Source(column)
    for run in runs:
        frame, fits = run.start, source.frames_a_file(run.store) == size
        while frame < run.end:
            place = layout.chunk_file(column, number, out)
            if fits and not held and frame % size == 0 and run.end - frame >= size:
                source.copy(run.store, frame // size, place, share=share)
                frame, number = frame + size, number + 1
            else:
                take = min(size - len(held), run.end - frame)
                held += source.encoded(run.store, frame, frame + take)
                frame += take
            if len(held) == size:
                durable.replace_file(place, shards.write(held, size))
                held, number = [], number + 1
            yield number * size + len(held)
    if held:
        durable.replace_file(layout.chunk_file(column, number, out), shards.write(held, size))


class _Source:
    """Encoded images of one camera; the newest file stays in memory."""

    def __init__(self, column: Column) -> None:
        self._column = column
        self._file: Path | None = None
        self._images: list[shards.Encoded] = []

    def frames_a_file(self, store: EpisodeStore) -> int:
        """Images in one file of that recording."""
        found = store.arrays[self._column.path].shards
        return int(found[0]) if found else 1

    def encoded(self, store: EpisodeStore, start: int, stop: int) -> list[shards.Encoded]:
        """Images `start` to `stop`."""
        size, found = self.frames_a_file(store), []
        raw = size * int(np.prod(self._column.row_shape))
        while start < stop:
            file = layout.chunk_file(self._column, start // size, store.path)
            if file != self._file:
                self._images, self._file = shards.read(file, size, raw), file
            here = min(stop, (start // size + 1) * size)
            found += self._images[start % size : start % size + here - start]
            start = here
        return found

    def copy(self, store: EpisodeStore, number: int, place: Path, *, share: bool) -> None:
        """Put a whole file elsewhere."""
        file = layout.chunk_file(self._column, number, store.path)
        if not file.exists():  # nothing but zeros
            return
        place.parent.mkdir(parents=True, exist_ok=True)
        if share:
            os.link(file, place)
        else:
            durable.replace_file(place, file.read_bytes())
