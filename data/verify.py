"""Proof that a recording is whole: all is read, decoded and compared; nothing is written."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data import durable, episode, header, journal, layout, storage
from df_policy.data.label import checksum, counts
from df_policy.data.reader import EpisodeStore
from df_policy.data.schema import NO_SEED, Column, columns, labels
from df_policy.errors import DfPolicyError

Progress = Callable[[int, int], None]
"""Told how many frames of how many have been looked at."""


@dataclass(frozen=True)
class Finding:
    """Something that is wrong."""

    what: str
    episode: int | None = None
    """None where it is about the whole store."""
    frames: bool = True
    """Whether the episode's frames are damaged, and not only what is said about them."""

    def __str__(self) -> str:
        """Where, and what."""
        where = "store" if self.episode is None else f"episode {self.episode}"
        return f"{where}: {self.what}"


@dataclass(frozen=True)
class Proof:
    """What a look at all of a recording gave."""

    path: Path
    episodes: int
    frames: int
    findings: tuple[Finding, ...]
    notes: tuple[str, ...]
    """What is no damage, and worth a word."""
    unproven: int
    """Episodes without checksums: written before schema version 2."""
    store: EpisodeStore | None
    """None where it does not open."""

    @property
    def broken(self) -> tuple[int, ...]:
        """Episodes whose frames are damaged."""
        found = {f.episode for f in self.findings if f.frames and f.episode is not None}
        return tuple(sorted(found))


def verify(path: str | Path, progress: Progress | None = None) -> Proof:
    """Look at all of a recording.

    Memory is bounded by a few images and the numbers of the longest episode, whatever the store's
    files say.

    Args:
        path: the recording.
        progress: called now and then.
    """
    path = Path(path)
    lost: dict[str, str] = {}
    try:
        store = EpisodeStore.open(path, lost)
        findings = [Finding(what, frames=False) for what in lost.values()]
        findings += _header_findings(store)
        notes = _notes(store)
    except (DfPolicyError, OSError) as error:
        return Proof(path, 0, 0, (Finding(str(error)),), (), 0, None)
    for index, end in enumerate(store.ends):
        findings += _episode_findings(store, index, notes)
        if progress is not None:
            progress(int(end), store.frames)
    unproven = sum(1 for index in range(len(store)) if not _proven(store, index))
    if unproven:
        notes.append(
            f"{unproven} of {len(store)} episodes have no checksums (recorded before schema "
            "version 2): that they are as recorded cannot be proven"
        )
    found = tuple(findings)
    return Proof(path, len(store), store.frames, found, tuple(notes), unproven, store)


def _proven(store: EpisodeStore, index: int) -> bool:
    noted = store.checksums(index)
    return all(column.path in noted for column in columns(store.spec) if column.since == 1)


def _header_findings(store: EpisodeStore) -> list[Finding]:
    if store.header.version < 2:
        return []
    attributes = dict(storage.open_group(store.path, write=False).attrs)
    if attributes.get(header.CHECKSUM) == header.checksum(attributes):
        return []
    return [Finding("the attributes (robot, task, operators) are not those written", frames=False)]


def _notes(store: EpisodeStore) -> list[str]:
    longest = max(store.arrays[c.path].shape[0] for c in columns(store.spec) if c.since == 1)
    notes = []
    if longest > store.frames:
        notes.append(
            f"{longest - store.frames} frames past the last episode: a recording that runs or "
            "was killed; they count for nothing and are cut when one goes on"
        )
    if journal.waits(store.path):
        notes.append(
            "an episode was kept and is not in the arrays yet: a recording that runs or was "
            "killed; it is filed when one goes on, or by data repair --in-place"
        )
    partials = sum(1 for file, _ in layout.files(store.path) if durable.is_partial(file))
    if partials:
        notes.append(f"{partials} files of a writer that runs or was killed")
    return notes


def _episode_findings(store: EpisodeStore, index: int, notes: list[str]) -> Iterator[Finding]:
    arrays: dict[str, NDArray[Any]] = {}
    expected = store.checksums(index)
    start, stop = store.bounds(index)
    for column in columns(store.spec):
        if column.path not in store.arrays:
            arrays[column.name] = store.rows(column.name, start, stop)
            continue
        try:
            if column.is_image:
                for _ in store.blocks(column.name, index):
                    pass
            else:
                arrays[column.name] = store.rows(column.name, start, stop)
                store.prove(index, {column.name: arrays[column.name]})
        except DfPolicyError as error:
            yield Finding(str(error), index, frames=column.since == 1)
        if column.path not in expected:
            yield from _missing(store, column, index)
    numeric = sum(not column.is_image for column in columns(store.spec))
    if len(arrays) == numeric:  # else it has been said
        yield from _numbers(store, index, arrays, notes)
        yield from _counts(store, index, arrays)
    yield from _labels(store, index)


def _missing(store: EpisodeStore, column: Column, index: int) -> Iterator[Finding]:
    """Without a checksum a lost file would pass for zeros."""
    if column.since > 1:
        return
    stored = store.arrays[column.path]
    for file in layout.missing_files(stored, column, *store.bounds(index), store.path):
        yield Finding(f"no file {file.relative_to(store.path)}", index)


def _numbers(
    store: EpisodeStore, index: int, arrays: episode.Arrays, notes: list[str]
) -> Iterator[Finding]:
    try:
        episode.check(arrays, store.spec, f"episode {index}")
    except DfPolicyError as error:
        yield Finding(str(error), index)
    try:
        episode.check_arrivals(arrays, store.spec, f"episode {index}")
    except DfPolicyError as error:
        notes.append(str(error))
    if not np.all(np.abs(np.linalg.norm(arrays["tool_quat_xyzw"], axis=1) - 1.0) < 0.01):
        yield Finding("tool_quat_xyzw holds what is no rotation", index)


def _labels(store: EpisodeStore, index: int) -> Iterator[Finding]:
    expected = store.checksums(index)
    for column in labels(store.spec):
        row = store.row(column.name, index)
        if column.path in expected and checksum(row, column.dtype) != expected[column.path]:
            yield Finding(f"{column.path} is not as written: {row}", index, frames=False)
    if store.about["seed"][index] < NO_SEED:
        yield Finding(f"seed {store.about['seed'][index]}", index, frames=False)


def _counts(store: EpisodeStore, index: int, arrays: episode.Arrays) -> Iterator[Finding]:
    if not _proven(store, index):
        return
    for name, row in counts(arrays, store.spec).items():
        if not np.array_equal(store.about[name][index], row):
            what = f"meta/{name} says {store.about[name][index]}, its frames {row}"
            yield Finding(what, index, frames=False)
