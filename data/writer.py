"""Writing a recording: frames are collected, an episode is kept as a whole or dropped."""

from __future__ import annotations

from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np

from df_policy.data import durable, episode, storage
from df_policy.data.header import Header, check_same, check_spec
from df_policy.data.label import Label, about
from df_policy.data.reader import read_ends
from df_policy.data.schema import DATA, ENDS, NO_SEED, SCHEMA_VERSION, columns, labels
from df_policy.errors import DfPolicyError
from df_policy.frames import Frame
from df_policy.robot import RobotSpec

LONGEST_EPISODE_FRAMES = 20_000
"""The open episode stays in memory; at 10 Hz this is half an hour."""


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
        self._group = group
        self._arrays = storage.arrays(group, header, path)
        ends = read_ends(self._arrays, path, header)
        self._frames_kept = int(ends[-1]) if len(ends) else 0
        self._episodes = len(ends)
        seed = labels(header.spec)[0]
        seeds = storage.read(self._arrays[seed.path], seed, path, 0, len(ends))
        highest = int(seeds.max()) + 1 if len(seeds) else 0
        self._next_seed = max(highest, storage.next_seed(path))

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
        try:
            check_spec(spec)
        except ValueError as error:
            raise DfPolicyError(f"expected {error}; change the robot's specification") from error
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
            stack.enter_context(durable.exclusive(path))
            stored = Header.from_attributes(dict(group.attrs), str(path))
            check_same(stored, header, str(path))
            ends = read_ends(storage.arrays(group, stored, path), path, stored)
            merged = replace(
                stored,
                version=SCHEMA_VERSION,
                operators=_merged(stored.operators, header.operators),
                code_versions=_merged(stored.code_versions, header.code_versions),
            )
            durable.remove_partials(path)
            if stored.version < SCHEMA_VERSION:
                frames = int(ends[-1]) if len(ends) else 0
                storage.add_columns(path, spec, stored.version, frames, len(ends))
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
        return self._episodes

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

    def keep(self, seed: int | None = None, success: bool = True, note: str = "") -> None:
        """End the open episode and write it; on return it is on the disk.

        Args:
            seed: what the episode's start was drawn from.
            success: the task's verdict.
            note: what a person wants to be remembered; cut at NOTE_BYTES.

        Raises:
            DfPolicyError: if the episode is empty, not finite, has gaps or wrong shapes, or the
                disk refuses; it is then lost, and all others stay.
        """
        frames, self._frames = self._frames, []
        spec = self._header.spec
        arrays = episode.stack(frames, spec)
        if frames:
            episode.check_arrivals(arrays, spec, f"episode {self.episodes} of {self._path}")
        seed = NO_SEED if seed is None else seed
        self.keep_episode(episode.Episode(arrays, seed, success, note))

    def keep_episode(self, kept: episode.Episode) -> None:
        """Write an episode that comes as arrays, as `keep` does; what it does not tell is unknown.

        Raises:
            DfPolicyError: as `keep` does; what was appended before stays.
        """
        name = f"episode {self.episodes} of {self._path}"
        frames = len(kept.arrays["stamp_ns"])
        arrays = {
            column.name: np.full((frames, *column.row_shape), column.fill, column.dtype)
            for column in columns(self._header.spec)
            if column.since > 1 and column.name not in kept.arrays
        }
        arrays |= kept.arrays
        episode.check(arrays, self._header.spec, name)
        label = Label(kept.seed, kept.success, kept.note)
        try:
            self._write(arrays, label)
        except OSError as error:
            raise DfPolicyError(
                f"expected to write {name}, got {error}; make room on the disk and go on: "
                f"the {self.episodes} episodes before it are safe"
            ) from error
        if kept.seed != NO_SEED:
            self._next_seed = max(self._next_seed, kept.seed + 1)

    def drop(self, seed: int | None = None) -> None:
        """Forget the open episode.

        Args:
            seed: given, it counts as tried, and `next_seed` goes beyond it.
        """
        self._frames = []
        if seed is not None and seed >= self._next_seed:
            self._next_seed = seed + 1
            storage.put_next_seed(self._group, self._next_seed)

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

    def _write(self, arrays: episode.Arrays, label: Label) -> None:
        start, number = self._frames_kept, self.episodes
        end = start + len(arrays["stamp_ns"])
        rows = about(label, arrays, self._header.spec)
        spec = self._header.spec
        places = [(c, start, arrays[c.name]) for c in columns(spec)]
        places += [(c, number, rows[c.name][None]) for c in labels(spec)]
        storage.put((self._arrays[column.path], at, new) for column, at, new in places)
        storage.append_last(self._arrays[ENDS.path], end)
        self._frames_kept, self._episodes = end, number + 1

    def _cut(self) -> None:
        """Let every array end where the last kept episode ends."""
        spec = self._header.spec
        for column in (*columns(spec), *labels(spec)):
            length = self._frames_kept if column.group == DATA else self._episodes
            storage.shorten(self._arrays[column.path], length)


def _merged(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return (*old, *(name for name in new if name not in old))
