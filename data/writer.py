"""Writing a recording: frames are collected, an episode is kept as a whole or dropped."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any

import numpy as np

from df_policy.data import episode, storage
from df_policy.data.reader import read_ends
from df_policy.data.schema import (
    EPISODE_ENDS,
    NO_SEED,
    SEED,
    SUCCESS,
    Column,
    Header,
    check_same,
    columns,
)
from df_policy.errors import DfPolicyError
from df_policy.frames import Frame
from df_policy.robot import RobotSpec

LONGEST_EPISODE_FRAMES = 20_000
"""The open episode stays in memory; at 10 Hz this is half an hour."""

_NEXT_SEED = "next_seed"


class EpisodeWriter:
    """The only writer of one recording.

    The open episode is held in memory and written by `keep`, its end last: whatever happens, at
    most the open episode is lost. `EpisodeWriter.open` makes one.
    """

    def __init__(self, path: Path, header: Header, resources: ExitStack) -> None:
        self._path = path
        self._header = header
        self._resources = resources
        self._frames: list[Frame] = []
        group = storage.open_group(path, write=True)
        self._meta = group.require_group("meta")
        self._ends = storage.array(group, EPISODE_ENDS, path)
        self._seed = storage.array(group, SEED, path)
        self._success = storage.array(group, SUCCESS, path)
        self._columns: list[tuple[Column, storage.ZarrArray]] = [
            (column, storage.array(group, column.path, path)) for column in columns(header.spec)
        ]
        ends = read_ends(group, path, header.spec)
        self._frames_kept = int(ends[-1]) if len(ends) else 0
        seeds = np.asarray(self._seed[: len(ends)])
        highest = int(seeds.max()) + 1 if len(seeds) else 0
        self._next_seed = max(highest, int(str(self._meta.attrs.get(_NEXT_SEED, 0))))

    @classmethod
    def open(
        cls,
        path: str | Path,
        spec: RobotSpec,
        task: str,
        operator: str = "",
        code_version: str = "",
    ) -> EpisodeWriter:
        """Begin a recording, or go on with one.

        Frames that a killed recording left past the last episode's end are cut.

        Raises:
            DfPolicyError: if something else stands at `path`, it is of another robot, task or
                schema version, or another process writes there.
        """
        path = Path(path)
        header = Header(
            spec,
            task,
            tuple(filter(None, [operator])),
            tuple(filter(None, [code_version])),
        )
        if not path.exists() or (path.is_dir() and not any(path.iterdir())):
            storage.create(path, header)
        group = storage.open_group(path, write=False)
        with ExitStack() as stack:
            stack.enter_context(storage.exclusive(path))
            stored = Header.from_attributes(dict(group.attrs), str(path))
            check_same(stored, header, str(path))
            merged = replace(
                stored,
                operators=_merged(stored.operators, header.operators),
                code_versions=_merged(stored.code_versions, header.code_versions),
            )
            storage.remove_partials(path)
            writer = cls(path, merged, stack.pop_all())
        try:
            writer._cut()
            if merged != stored:
                storage.open_group(path, write=True).attrs.update(merged.attributes())
        except BaseException:
            writer.close()
            raise
        return writer

    @property
    def episodes(self) -> int:
        """Episodes kept so far, those of earlier sessions too."""
        return int(self._ends.shape[0])

    @property
    def operators(self) -> tuple[str, ...]:
        """Who recorded here, this session's among them."""
        return self._header.operators

    @property
    def next_seed(self) -> int:
        """One more than the highest seed that was kept or dropped here."""
        return self._next_seed

    def append(self, frame: Frame) -> None:
        """Add a frame to the open episode.

        Raises:
            DfPolicyError: if the episode grows beyond what memory should hold.
        """
        if len(self._frames) >= LONGEST_EPISODE_FRAMES:
            raise DfPolicyError(
                f"expected at most {LONGEST_EPISODE_FRAMES} frames in an episode, got more; "
                "keep or drop it sooner"
            )
        self._frames.append(frame)

    def keep(self, seed: int | None = None, success: bool = True) -> None:
        """End the open episode and write it; on return it is on the disk.

        Args:
            seed: what the episode's start was drawn from.
            success: the task's verdict.

        Raises:
            DfPolicyError: if the episode is empty, not finite, has gaps or wrong shapes, or the
                disk refuses; it is then lost, and all others stay.
        """
        frames, self._frames = self._frames, []
        name = f"episode {self.episodes} of {self._path}"
        arrays = episode.stack(frames, self._header.spec)
        episode.check(arrays, self._header.spec, name)
        try:
            self._write(arrays, NO_SEED if seed is None else seed, success)
        except OSError as error:
            raise DfPolicyError(
                f"expected to write {name}, got {error}; make room on the disk and go on: "
                f"the {self.episodes} episodes before it are safe"
            ) from error
        if seed is not None:
            self._next_seed = max(self._next_seed, seed + 1)

    def drop(self, seed: int | None = None) -> None:
        """Forget the open episode.

        Args:
            seed: given, it counts as tried, and `next_seed` goes beyond it.
        """
        self._frames = []
        if seed is not None and seed >= self._next_seed:
            self._next_seed = seed + 1
            self._meta.attrs.update({_NEXT_SEED: self._next_seed})

    def close(self) -> None:
        """Forget the open episode and let others write."""
        self._frames = []
        self._resources.close()

    def __enter__(self) -> EpisodeWriter:
        """This writer."""
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close it."""
        self.close()

    def _write(self, arrays: episode.Arrays, seed: int, success: bool) -> None:
        start = self._frames_kept
        end = start + len(arrays["stamp_ns"])
        for column, stored in self._columns:
            _put(stored, start, arrays[column.name])
        _put(self._seed, self.episodes, np.array([seed], dtype=np.int64))
        _put(self._success, self.episodes, np.array([success], dtype=np.bool_))
        storage.append_last(self._ends, end)
        self._frames_kept = end

    def _cut(self) -> None:
        """Let every array end where the last kept episode ends."""
        for _, stored in self._columns:
            _shorten(stored, self._frames_kept)
        for stored in (self._seed, self._success):
            _shorten(stored, self.episodes)


def _put(target: storage.ZarrArray, start: int, rows: Any) -> None:
    """Let `target` hold `rows` from `start` on, and nothing after them."""
    target.resize((start + len(rows), *target.shape[1:]))
    target[start:] = rows


def _shorten(target: storage.ZarrArray, length: int) -> None:
    if target.shape[0] > length:
        target.resize((length, *target.shape[1:]))


def _merged(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return (*old, *(name for name in new if name not in old))
