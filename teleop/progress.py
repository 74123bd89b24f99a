"""How a recording gets on, for the person at the terminal or in a log file."""

from __future__ import annotations

import time
from pathlib import Path
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

_LOG_EVERY_S = 10.0
"""Where no bar can move, a line now and then."""


class RecordingProgress:
    """A bar with the rate, the drops and the time that is left."""

    def __init__(self, total: int, kept_before: int, rate_hz: float) -> None:
        self._console = Console(stderr=True)
        self._total = total
        self._kept_before = kept_before
        self._kept = self._drops = self._frames = 0
        self._rate_hz = rate_hz
        self._started = self._logged = time.monotonic()
        self._bar = Progress(
            TextColumn("recording"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[rate]}"),
            TimeRemainingColumn(),
            console=self._console,
            disable=not self._console.is_terminal,
        )
        self._task = self._bar.add_task(
            "recording", total=total, completed=kept_before, rate=self._rate()
        )

    def __enter__(self) -> RecordingProgress:
        """Show the bar."""
        if self._kept_before:
            self._say(f"going on after {self._kept_before} episodes")
        self._bar.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the bar as it is."""
        self._bar.stop()

    def kept(self, frames: int) -> None:
        """Another episode is on the disk."""
        self._kept += 1
        self._frames += frames
        self._update()

    def dropped(self) -> None:
        """An episode failed."""
        self._drops += 1
        self._update()

    def summary(self, out: Path, *, stopped: bool) -> None:
        """The last line."""
        done = self._kept_before + self._kept
        self._say(f"{done} of {self._total} episodes in {out}; {self._rate()}")
        if stopped and done < self._total:
            self._say("stopped; run the same command again to go on")

    def _rate(self) -> str:
        elapsed_s = max(time.monotonic() - self._started, 1e-3)
        per_minute = 60.0 * self._kept / elapsed_s
        speed = self._frames / self._rate_hz / elapsed_s
        return f"{per_minute:.1f} episodes/min, {speed:.1f} x real time, {self._drops} dropped"

    def _update(self) -> None:
        done = self._kept_before + self._kept
        self._bar.update(self._task, completed=done, rate=self._rate())
        now = time.monotonic()
        if not self._console.is_terminal and now - self._logged >= _LOG_EVERY_S:
            self._logged = now
            self._say(f"{done} of {self._total} episodes; {self._rate()}")

    def _say(self, line: str) -> None:
        self._console.print(line, highlight=False, soft_wrap=True)
