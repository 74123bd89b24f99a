"""`teleop/record.py` as people run it: through a terminal, left, and gone on with."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from df_policy.data.reader import EpisodeStore

TINY = Path(__file__).resolve().parents[2] / "tests" / "fakes" / "tiny_world.py"
TIMEOUT_S = 60

pytestmark = pytest.mark.slow


class Terminal:
    """A recorder in a terminal of its own."""

    def __init__(self, out: Path, *options: object, device: str = "keyboard") -> None:
        self._person, program = pty.openpty()
        self.before = termios.tcgetattr(program)
        self._program = program
        command = [sys.executable, TINY, "--seed", 0, "--out", out, "--device", device, *options]
        self.process = subprocess.Popen(
            list(map(str, command)),
            stdin=program,
            stdout=program,
            stderr=program,
            start_new_session=True,
            env=os.environ | {"TERM": "xterm-256color", "COLUMNS": "150", "LINES": "50"},
        )
        self.shown = ""

    def read(self) -> str:
        while select.select([self._person], [], [], 0.0)[0]:
            self.shown += os.read(self._person, 65536).decode("utf-8", "replace")
        return self.shown

    def wait_for(self, words: str) -> None:
        """Until these words are shown, from here on."""
        self.shown = ""
        end = time.monotonic() + TIMEOUT_S
        while words not in self.read():
            assert time.monotonic() < end, f"no {words!r} in {self.shown[-2000:]!r}"
            assert self.process.poll() is None, self.shown[-2000:]
            time.sleep(0.02)

    def type(self, keys: str, words: str = "") -> None:
        os.write(self._person, keys.encode())
        if words:
            self.wait_for(words)

    def finish(self) -> tuple[int, str]:
        end = time.monotonic() + TIMEOUT_S
        while self.process.poll() is None:
            self.read()
            assert time.monotonic() < end, self.shown[-2000:]
            time.sleep(0.02)
        return self.process.returncode, self.read()

    def hang_up(self) -> None:
        os.close(self._person)

    def close(self) -> None:
        if self.process.poll() is None:
            self.process.kill()
            self.process.wait(TIMEOUT_S)
        for descriptor in (self._person, self._program):
            with contextlib.suppress(OSError):  # it may have hung up
                os.close(descriptor)

    def is_as_before(self) -> bool:
        return termios.tcgetattr(self._program) == self.before


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "a.zarr"


def test_an_evening_of_recording(path: Path) -> None:
    terminal = Terminal(path, "--episodes", 3)
    try:
        terminal.wait_for("ready")
        terminal.type("\r", "recording")
        terminal.type("wwww")
        time.sleep(0.5)
        terminal.type("z", "the same start again")
        terminal.type("\r", "recording")
        terminal.type("n", "note:")
        terminal.type("well\r", "well")
        terminal.type("0", "failure")
        terminal.type("x", "1 of 3")
        terminal.type("\r", "recording")
        terminal.type(" ", "paused")
        terminal.type("\x7f", "dropped")
        terminal.type("\r", "recording")
        time.sleep(0.3)
        terminal.type("x", "2 of 3")
        terminal.type("Q")
        code, shown = terminal.finish()
        assert (code, "2 of 3 episodes in" in shown) == (0, True)
        assert terminal.is_as_before()
    finally:
        terminal.close()
    store = EpisodeStore.open(path)
    assert list(store.seeds) == [0, 2], "the first was recorded again, the second dropped"
    first, second = store.episode(0), store.episode(1)
    assert (first.note, first.success) == ("well", False)
    assert (second.note, second.success) == ("", True)
    assert store.header.operators == ("keyboard",)

    terminal = Terminal(path, "--episodes", 3)
    try:
        terminal.wait_for("2 of 3")
        terminal.type("\r", "recording")
        terminal.type("x")
        assert terminal.finish()[0] == 0
    finally:
        terminal.close()
    assert list(EpisodeStore.open(path).seeds) == [0, 2, 3]


def test_a_rehearsal_leaves_nothing(path: Path) -> None:
    terminal = Terminal(path, "--rehearse", "--episodes", 1)
    try:
        terminal.wait_for("rehearsal: ready")
        terminal.type("\r", "rehearsal: recording")
        terminal.type("x")
        code, shown = terminal.finish()
    finally:
        terminal.close()
    assert (code, "rehearsed" in shown) == (0, True)
    assert not path.exists()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_costs_the_open_episode_and_gives_the_terminal_back(
    path: Path, number: signal.Signals
) -> None:
    terminal = Terminal(path, "--episodes", 9)
    try:
        terminal.wait_for("ready")
        terminal.type("\r", "recording")
        terminal.type("x", "1 of 9")
        terminal.type("\r", "recording")
        os.killpg(terminal.process.pid, number)
        code, shown = terminal.finish()
        assert code == 128 + number, shown[-2000:]
        assert "Traceback" not in shown
        assert terminal.is_as_before()
    finally:
        terminal.close()
    assert len(EpisodeStore.open(path)) == 1


def test_a_connection_that_breaks_costs_the_open_episode(path: Path) -> None:
    terminal = Terminal(path, "--episodes", 9)
    try:
        terminal.wait_for("ready")
        terminal.type("\r", "recording")
        terminal.type("x", "1 of 9")
        terminal.type("\rwww", "recording")
        terminal.hang_up()
        os.kill(terminal.process.pid, signal.SIGHUP)
        terminal.process.wait(TIMEOUT_S)
    finally:
        terminal.close()
    store = EpisodeStore.open(path)
    assert len(store) == 1
    assert np.isfinite(store.episode(0).arrays["action"]).all()


def test_a_device_that_is_not_there_is_one_line(path: Path) -> None:
    command = [sys.executable, TINY, "--device", "keyboard", "--out", path]
    done = subprocess.run(
        list(map(str, command)),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.count("\n") == 1
    assert "record: expected a terminal" in done.stderr
