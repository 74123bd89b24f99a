"""A device is read in a thread of its own: whatever it does, no tick waits for it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from types import TracebackType

from df_policy.errors import DfPolicyError
from df_policy.teleop.reading import InputDevice, Reading, Wish

SILENCE_S = 0.15
"""A device that says nothing for so long is taken for gone.

With an action period of 0.1 s the robot then stands still at most 0.25 s after the last word.
"""

_POLL_S = 0.01
_RETRY_S = 0.5
_OPENING_S = 10.0
_FAREWELL_S = 2.0
_MOST_WISHES = 64
"""What is pressed beyond that between two ticks comes from no person."""


class Listener:
    """Holds the newest reading of a device.

    A device that is lost is looked for again; until then readings have a problem and no motion.

    Args:
        device: is opened, read and closed in one thread.
        silence_s: see SILENCE_S.
    """

    def __init__(self, device: InputDevice, silence_s: float = SILENCE_S) -> None:
        self.device = device
        self._silence_s = silence_s
        self._lock = threading.Lock()
        self._newest = Reading(None, -1e9, problem=f"{device.name}: not opened yet")
        self._wishes: list[Wish] = []
        self._refused: DfPolicyError | None = None
        self._opened, self._end = threading.Event(), threading.Event()
        self._thread = threading.Thread(target=self._listen, name=f"read {device.name}")
        self._thread.daemon = True  # a device that never answers must not hold up the end

    def __enter__(self) -> Listener:
        """Open the device.

        Raises:
            DfPolicyError: if it is not there.
        """
        self._thread.start()
        if not self._opened.wait(_OPENING_S):
            self._refused = DfPolicyError(
                f"expected {self.device.name} to open within {_OPENING_S:g} s, got nothing; "
                "plug it out and in again"
            )
        if self._refused is not None:
            self._end.set()
            raise self._refused
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Close the device."""
        self._end.set()
        self._thread.join(_FAREWELL_S)

    def read(self) -> Reading:
        """The newest reading, with all that was pressed since the last call; never waits."""
        with self._lock:
            newest, wishes = self._newest, tuple(self._wishes)
            self._wishes.clear()
        silent_s = time.monotonic() - newest.heard_s
        problem = newest.problem
        if not problem and silent_s > self._silence_s:
            problem = f"{self.device.name}: nothing heard for {silent_s:.1f} s"
        return replace(
            newest, motion=None if problem else newest.motion, wishes=wishes, problem=problem
        )

    def _listen(self) -> None:
        try:
            self.device.open()
        except DfPolicyError as error:
            self._refused = error
            self._opened.set()
            return
        self._opened.set()
        try:
            while not self._end.is_set():
                self._take()
                self._end.wait(_POLL_S)
        finally:
            self.device.close()

    def _take(self) -> None:
        try:
            reading = self.device.poll()
        except (DfPolicyError, OSError) as error:
            self._lost(str(error))
            return
        with self._lock:
            self._newest = reading
            self._wishes += reading.wishes[: _MOST_WISHES - len(self._wishes)]

    def _lost(self, problem: str) -> None:
        """Say so, and look for the device until it is there again."""
        self.device.close()
        while not self._end.is_set():
            with self._lock:
                self._newest = Reading(None, time.monotonic(), problem=problem)
            self._end.wait(_RETRY_S)
            try:
                self.device.open()
            except DfPolicyError as error:
                problem = str(error)
            else:
                return


def together(listeners: Sequence[Listener]) -> Callable[[], Reading]:
    """The reading of the first, with what is pressed at any of them."""

    def read() -> Reading:
        first, *others = [listener.read() for listener in listeners]
        wishes = [wish for reading in (first, *others) for wish in reading.wishes]
        return replace(first, wishes=tuple(wishes))

    return read
