"""The store is written in a thread of its own, so that no tick waits for an encoder or a disk."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable

from df_policy.frames import Frame
from df_policy.processes import step_back
from df_policy.teleop.recorder import Sink

MOST_WAITING_BYTES = 2 * 2**30
"""Images that wait for the encoder; beyond, an episode must pause until it has caught up."""


class BackgroundSink:
    """Hands everything on to another sink, in order, from its own thread.

    An error of that sink is raised by the next call here. `close` waits until all is written.
    """

    def __init__(self, sink: Sink, kept_before: int = 0) -> None:
        self._sink = sink
        self._jobs: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._error: Exception | None = None
        self._waiting_bytes = self._waiting = 0
        self._lock = threading.Lock()
        self.asked = kept_before
        """Episodes that were to be kept, those that are being written among them."""
        self.kept = kept_before
        """Episodes that are on the disk."""
        self._thread = threading.Thread(target=self._work, name="write recording")
        self._thread.start()

    @property
    def waiting(self) -> int:
        """Frames that have not been handed on yet."""
        return self._waiting

    @property
    def is_full(self) -> bool:
        """Whether recording must wait for the encoder."""
        return self._waiting_bytes >= MOST_WAITING_BYTES

    def append(self, frame: Frame) -> None:
        """Take the next frame of the open episode."""
        size = sum(image.nbytes for image in frame.observation.images.values())
        self._count(1, size)

        def job() -> None:
            try:
                self._sink.append(frame)
            finally:
                self._count(-1, -size)

        self._put(job)

    def keep(self, seed: int, success: bool, note: str = "") -> None:
        """The open episode is complete and wanted."""
        self.asked += 1

        def job() -> None:
            self._sink.keep(seed, success, note)
            self.kept += 1

        self._put(job)

    def drop(self, seed: int | None = None) -> None:
        """Forget the open episode."""
        self._put(lambda: self._sink.drop(seed))

    def close(self) -> None:
        """Wait until everything is written.

        Raises:
            DfPolicyError: what the sink says.
        """
        self._jobs.put(None)
        self._thread.join()
        self._raise()

    def _put(self, job: Callable[[], None]) -> None:
        self._raise()
        self._jobs.put(job)

    def _raise(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error

    def _count(self, frames: int, size: int) -> None:
        with self._lock:
            self._waiting += frames
            self._waiting_bytes += size

    def _work(self) -> None:
        step_back()
        broken = False
        while (job := self._jobs.get()) is not None:
            if broken:
                continue
            try:
                job()
            except Exception as error:  # handed to whoever records
                self._error, broken = error, True


class Rehearsal:
    """A sink that keeps nothing."""

    def append(self, frame: Frame) -> None:
        """Look away."""

    def keep(self, seed: int, success: bool, note: str = "") -> None:
        """Look away."""

    def drop(self, seed: int | None = None) -> None:
        """Look away."""
