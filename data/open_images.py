"""The images of the open episode: encoded, proven and on the disk while it is recorded.

Each camera has a thread that encodes, and appends to files which nobody sees (`*.partial`) and
which have the form of the recording's own. To keep the episode they are only moved into place.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data import episode, image_codec, layout, shards, storage
from df_policy.data.durable import PARTIAL, sync_folder
from df_policy.data.label import checksum
from df_policy.data.schema import Column, columns, image_column
from df_policy.processes import step_back
from df_policy.robot import RobotSpec

MOST_WAITING = 8
"""Images of a camera that wait for the encoder; whoever brings more has to wait."""
_SYNC_BYTES = 2**20
"""So much is written before the disk is waited for: little is left when an episode is kept."""


class OpenImages:
    """The images of one episode that is being recorded.

    Args:
        path: the recording, whose lock is held.
        spec: its robot.
        arrays: of the recording.
        first: number of the episode's first frame.
    """

    def __init__(
        self, path: Path, spec: RobotSpec, arrays: Mapping[str, storage.ZarrArray], first: int
    ) -> None:
        self._spec, self._count = spec, 0
        found = {column.name: column for column in columns(spec)}
        self._cameras = {
            camera: _Camera(path, found[image_column(camera)], arrays, first)
            for camera in spec.cameras
        }

    def append(self, images: Mapping[str, NDArray[Any]]) -> None:
        """Take the next frame's images.

        Raises:
            DfPolicyError: if one is missing, or of another size or type than the schema says.
        """
        for camera, image in episode.pictures(images, self._spec, self._count).items():
            self._cameras[camera].put(image)
        self._count += 1

    def finish(self) -> dict[str, int]:
        """Wait until all is on the disk; the checksum of each camera's array.

        Raises:
            DfPolicyError: if a file of the recording is damaged.
            OSError: if the disk refused.
        """
        for camera in self._cameras.values():
            camera.put(None)
        for camera in self._cameras.values():
            camera.join()
        for camera in self._cameras.values():
            if camera.error is not None:
                raise camera.error
        return {camera.column.path: camera.checksum for camera in self._cameras.values()}

    def discard(self) -> None:
        """Leave nothing of it."""
        for camera in self._cameras.values():
            camera.discard()


class _Camera:
    """One camera's images, and the thread that encodes them."""

    def __init__(
        self, path: Path, column: Column, arrays: Mapping[str, storage.ZarrArray], first: int
    ) -> None:
        self.column, self._path = column, path
        self.checksum = 0
        self.error: Exception | None = None
        self._rows = shard_rows(arrays[column.path])
        self._next = first
        self._files: list[Path] = []
        self._growing: shards.Growing | None = None
        self._jobs: queue.Queue[NDArray[np.uint8] | None] = queue.Queue(MOST_WAITING)
        self._unwanted = False
        self._thread = threading.Thread(
            target=self._work, name=f"encode {column.name}", daemon=True
        )
        self._thread.start()

    def put(self, image: NDArray[np.uint8] | None) -> None:
        """Take the next image; None is the end."""
        self._jobs.put(image)

    def join(self) -> None:
        """Wait for the thread."""
        self._thread.join()

    def discard(self) -> None:
        """End the thread and delete its files."""
        if self._thread.is_alive():
            self._unwanted = True
            self.put(None)
            self.join()
        if self._growing is not None:
            self._growing.close()
        for file in self._files:
            with suppress(OSError):  # who opens the recording next deletes it
                file.unlink(missing_ok=True)

    def _work(self) -> None:
        step_back()  # no tick of a control loop waits for an encoder
        while (image := self._jobs.get()) is not None:
            if self.error is None and not self._unwanted:
                try:
                    self._add(image)
                except Exception as error:  # handed to whoever keeps the episode
                    self.error = error
        if self.error is None and not self._unwanted and self._growing is not None:
            try:
                self._growing.finish()
            except OSError as error:
                self.error = error

    def _add(self, image: NDArray[np.uint8]) -> None:
        self.checksum = checksum(image, self.column.dtype, self.checksum)
        encoded = image_codec.encode(image)
        if self._growing is None:
            self._growing = self._begin()
        self._growing.add(encoded)
        if self._growing.waiting_bytes >= _SYNC_BYTES:
            self._growing.sync()
        self._next += 1
        if self._next % self._rows == 0:
            self._growing.finish()
            self._growing = None

    def _begin(self) -> shards.Growing:
        """The next file; the first one begins with what the recording's last has."""
        number, before = divmod(self._next, self._rows)
        head: list[shards.Encoded] = []
        if before:
            file = layout.chunk_file(self.column, number, self._path)
            raw = self._rows * int(np.prod(self.column.row_shape))
            head = shards.read(file, self._rows, raw)[:before]
        place = _pending(self._path, self.column, number)
        self._files.append(place)
        growing = shards.Growing(place, self._rows)
        for image in head:
            growing.add(image)
        sync_folder(self._path)
        return growing


def shard_rows(stored: storage.ZarrArray) -> int:
    """Images in one file of an array."""
    return int((stored.shards or stored.chunks)[0])


def move(path: Path, stored: storage.ZarrArray, column: Column, first: int, end: int) -> None:
    """Put the files with frames `first` to `end` into their places; those that are there stay.

    Raises:
        OSError: if the disk refuses.
    """
    rows = shard_rows(stored)
    for number in range(first // rows, (end - 1) // rows + 1):
        pending, place = _pending(path, column, number), layout.chunk_file(column, number, path)
        if pending.exists():
            place.parent.mkdir(parents=True, exist_ok=True)
            pending.replace(place)


def _pending(path: Path, column: Column, number: int) -> Path:
    return path / f"{column.name}.{number}{PARTIAL}"
