"""Writing a recording: frames are collected, an episode is kept as a whole or dropped."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from pathlib import Path
from types import TracebackType

import numpy as np

from df_policy.data import durable, episode, journal, storage
from df_policy.data.filing import Filing
from df_policy.data.header import Header, check_same, check_spec
from df_policy.data.label import Label, about
from df_policy.data.open_images import OpenImages
from df_policy.data.reader import read_ends
from df_policy.data.schema import (
    NO_SEED,
    SCHEMA_VERSION,
    columns,
    image_column,
    labels,
)
from df_policy.errors import DfPolicyError
from df_policy.frames import Frame
from df_policy.robot import RobotSpec

LONGEST_EPISODE_FRAMES = 20_000
"""The open episode's numbers stay in memory; at 10 Hz this is half an hour."""


class EpisodeWriter:
    """The only writer of one recording.

    The open episode's images are encoded and written while it grows, its numbers are held in
    memory, and `keep` makes it count: whatever happens, at most the open episode is lost.
    `EpisodeWriter.open` makes one.
    """

    def __init__(self, path: Path, header: Header, resources: ExitStack, filing: Filing) -> None:
        self._path = path
        self._header = header
        self._resources = resources
        self._filing = filing
        self._numbers = episode.Numbers(header.spec)
        self._images: OpenImages | None = None
        self._wrong: DfPolicyError | None = None
        seed = labels(header.spec)[0]
        seeds = storage.read(filing.arrays[seed.path], seed, path, 0, filing.episodes)
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

        An episode that a killed recording had kept is filed, frames that it left past the last
        episode's end are cut.

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
            waiting = stack.enter_context(journal.opened(path))
            if stored.version < SCHEMA_VERSION:
                frames = int(ends[-1]) if len(ends) else 0
                storage.add_columns(path, spec, stored.version, frames, len(ends))
            filing = Filing(path, merged, waiting)
            filing.take_up()
            durable.remove_partials(path)
            if merged != stored:
                storage.open_group(path, write=True).attrs.update(merged.attributes())
            return cls(path, merged, stack.pop_all(), filing)

    @property
    def episodes(self) -> int:
        """Episodes kept so far, those of earlier sessions too."""
        return self._filing.episodes

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

        It waits where the encoder is far behind (open_images.MOST_WAITING).

        Raises:
            DfPolicyError: if the episode grows beyond what memory should hold.
        """
        if len(self._numbers) >= LONGEST_EPISODE_FRAMES:
            raise DfPolicyError(
                f"expected at most {LONGEST_EPISODE_FRAMES} frames in an episode, got more; "
                "keep or drop it sooner"
            )
        images = self._open_images()
        if self._wrong is None:
            try:
                self._numbers.append(frame)
                images.append(frame.observation.images)
            except DfPolicyError as error:
                self._wrong = error  # said when it is to be kept

    def keep(self, seed: int | None = None, success: bool = True, note: str = "") -> None:
        """End the open episode and write it; on return it is on the disk.

        Args:
            seed: what the episode's start was drawn from.
            success: the task's verdict.
            note: what a person wants to be remembered; cut at NOTE_BYTES.

        Raises:
            DfPolicyError: if the episode is empty, not finite, has gaps or wrong shapes, or the
                disk refuses; it is then lost unless the message says otherwise, and all others
                stay.
        """
        with self._closing_images() as images:
            arrays, wrong = self._numbers.arrays(), self._wrong
            self._forget()
            of_images = images.finish()
            if wrong is not None:
                raise wrong
            if len(arrays["stamp_ns"]):
                episode.check_arrivals(arrays, self._header.spec, self._name)
            label = Label(NO_SEED if seed is None else seed, success, note)
            self._write(arrays, of_images, label)

    def keep_episode(self, kept: episode.Episode) -> None:
        """Write an episode that comes as arrays, as `keep` does; what it does not tell is unknown.

        Raises:
            DfPolicyError: as `keep` does, or if frames were appended.
        """
        if len(self._numbers):
            raise DfPolicyError("expected no open episode, got one; keep or drop it first")
        spec = self._header.spec
        frames = len(kept.arrays["stamp_ns"])
        arrays = {
            column.name: np.full((frames, *column.row_shape), column.fill, column.dtype)
            for column in columns(spec)
            if column.since > 1 and column.name not in kept.arrays
        }
        arrays |= kept.arrays
        episode.check(arrays, spec, self._name)
        pictures = {camera: arrays.pop(image_column(camera)) for camera in spec.cameras}
        with self._closing_images() as images:
            for index in range(frames):
                images.append({camera: rows[index] for camera, rows in pictures.items()})
            label = Label(kept.seed, kept.success, kept.note)
            self._write(arrays, images.finish(), label)

    def drop(self, seed: int | None = None) -> None:
        """Forget the open episode.

        Args:
            seed: given, it counts as tried, and `next_seed` goes beyond it.
        """
        self._forget()
        if seed is not None and seed >= self._next_seed:
            self._next_seed = seed + 1
            storage.put_next_seed(storage.open_group(self._path, write=True), self._next_seed)

    def close(self) -> None:
        """Forget the open episode and let others write."""
        try:
            self._forget()
        finally:
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

    @property
    def _name(self) -> str:
        return f"episode {self.episodes} of {self._path}"

    def _open_images(self) -> OpenImages:
        if self._images is None:
            try:
                self._filing.file()
            except OSError as error:
                raise self._refused(error) from error
            parts = (self._path, self._header.spec, self._filing.arrays, self._filing.frames)
            self._images = OpenImages(*parts)
        return self._images

    @contextmanager
    def _closing_images(self) -> Iterator[OpenImages]:
        """The open episode's images, of which nothing is left if it is not kept."""
        images, self._images, before = self._open_images(), None, self.episodes
        try:
            yield images
        except OSError as error:
            raise self._refused(error) from error
        finally:
            if self._filing.waiting is None and self.episodes == before:
                images.discard()

    def _refused(self, error: OSError) -> DfPolicyError:
        after = f"the {self.episodes} episodes before it are safe"
        if self._filing.waiting is not None:
            after = "it and all before it are safe, and it is filed when the recording goes on"
        return DfPolicyError(
            f"expected to write {self._name}, got {error}; make room on the disk and go on: "
            f"{after}"
        )

    def _forget(self) -> None:
        self._numbers, self._wrong = episode.Numbers(self._header.spec), None
        if self._images is not None:
            self._images.discard()
            self._images = None

    def _write(self, arrays: episode.Arrays, of_images: dict[str, int], label: Label) -> None:
        spec = self._header.spec
        episode.check(arrays, spec, self._name)
        number = self.episodes
        about_it = about(label, arrays, of_images, spec)
        rows = {c.path: arrays[c.name] for c in columns(spec) if not c.is_image}
        rows |= {c.path: about_it[c.name][None] for c in labels(spec)}
        try:
            self._filing.keep(rows)
        finally:
            safe = self._filing.waiting is not None or self.episodes > number
            if safe and label.seed != NO_SEED:
                self._next_seed = max(self._next_seed, label.seed + 1)


def _merged(old: tuple[str, ...], new: tuple[str, ...]) -> tuple[str, ...]:
    return (*old, *(name for name in new if name not in old))
