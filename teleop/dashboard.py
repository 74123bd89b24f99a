"""The recording at a glance, in the terminal that it runs in."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from types import TracebackType

from rich.columns import Columns
from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.text import Text

from df_policy.frames import Control, Image, Observation
from df_policy.teleop.pictures import letters
from df_policy.teleop.status import Stage, Status

_REFRESH_S = 0.2
_PICTURE_LETTERS = 32
_FAREWELL_S = 2.0
_STYLES = {Stage.READY: "cyan", Stage.RECORDING: "bold red", Stage.PAUSED: "yellow"}
_DRIVERS = {
    Control.DEVICE: "you drive",
    Control.POLICY: "the policy drives",
    Control.NOBODY: "nobody drives",
}


def no_note() -> str | None:
    """Nobody types one."""
    return None


class Dashboard:
    """Draws in a thread of its own; see `status.Watcher`.

    It beeps when something is wrong. Aloud, it also beeps when anything happens, and twice when an
    episode has come to the disk.

    Where there is no terminal, it writes a line whenever something happens.

    Args:
        hints: lines that always stand there.
        typed: a note that is being typed, or None.
        console: where to.
    """

    def __init__(
        self,
        hints: str = "",
        typed: Callable[[], str | None] = no_note,
        console: Console | None = None,
    ) -> None:
        self._hints, self._typed = hints, typed
        self._console = console or Console(stderr=True)
        self._latest: tuple[Status, Mapping[str, Image]] = (Status(), {})
        self._said = ""
        self._heard = Status()
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._draw, name="dashboard", daemon=True)

    def __enter__(self) -> Dashboard:
        """Begin to draw."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Leave the last picture as it is."""
        self._end.set()
        self._thread.join(_FAREWELL_S)

    def show(self, status: Status, observation: Observation) -> None:
        """Take note."""
        self._latest = (status, observation.images)

    def _draw(self) -> None:
        if not self._console.is_terminal:
            while not self._end.wait(_REFRESH_S):
                self._say_what_is_new()
            self._say_what_is_new()
            return
        with Live(console=self._console, auto_refresh=False, transient=False) as live:
            while not self._end.wait(_REFRESH_S):
                status, images = self._latest
                self._beep(status)
                live.update(self._drawn(status, images), refresh=True)

    def _drawn(self, status: Status, images: Mapping[str, Image]) -> RenderableType:
        width = min(_PICTURE_LETTERS, max(8, self._console.width // max(1, len(images)) - 2))
        pictures = Columns([letters(image, width) for image in images.values()])
        note = self._typed()
        parts: list[RenderableType] = [pictures, headline(status)]
        if status.problem:
            parts.append(Text(f"robot holds: {status.problem}", "bold white on red"))
        parts.append(Text(f"note: {note}_" if note is not None else status.message))
        if self._hints:
            parts.append(Text(self._hints, "dim"))
        return Group(*parts)

    def _beep(self, status: Status) -> None:
        wrong, self._said = bool(status.problem and not self._said), status.problem
        for _ in range(max(wrong, beeps(self._heard, status))):
            self._console.bell()
        self._heard = status

    def _say_what_is_new(self) -> None:
        status = self._latest[0]
        line = f"robot holds: {status.problem}" if status.problem else status.message
        if line and line != self._said:
            self._console.print(line, markup=False, highlight=False, soft_wrap=True)
        self._said = line


def beeps(before: Status, now: Status) -> int:
    """How often to beep for what has happened since."""
    if not now.aloud:
        return 0
    if now.kept > before.kept and before.aloud:
        return 2
    return int(bool(now.message) and now.message != before.message)


def headline(status: Status) -> Text:
    """The state of the recording in one line."""
    stage = f"rehearsal: {status.stage.value}" if status.rehearsal else status.stage.value
    line = Text.assemble((stage, _STYLES[status.stage]), f"  {_DRIVERS[status.control]}")
    line.append(f"  {status.time_s:.1f} s  {status.kept} of {status.total} episodes")
    if status.success is not None:
        line.append("  success" if status.success else "  failure")
    if status.note:
        line.append(f"  “{status.note}”")
    if status.late:
        line.append(f"  {status.late} late ticks", "yellow")
    if status.waiting > 20:
        line.append(f"  {status.waiting} frames to encode", "yellow")
    return line
