"""Writing beside the recording: in order, never in its way, and no error is lost."""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from tiny_world import SPEC, frames

from df_policy.data.reader import EpisodeStore
from df_policy.data.writer import EpisodeWriter
from df_policy.errors import DfPolicyError
from df_policy.frames import Control, Frame
from df_policy.teleop import background
from df_policy.teleop.background import BackgroundSink


class Slow:
    """A sink that waits for permission and writes down what it is told."""

    def __init__(self) -> None:
        self.go = threading.Event()
        self.told: list[str] = []

    def append(self, frame: Frame) -> None:
        self.go.wait(10.0)
        self.told.append("frame")

    def keep(self, seed: int, success: bool, note: str = "") -> None:
        self.told.append(f"keep {seed} {success} {note}")

    def drop(self, seed: int | None = None) -> None:
        self.told.append(f"drop {seed}")


def test_a_sink_that_stands_still_holds_nobody_up_and_nothing_is_lost() -> None:
    slow = Slow()
    sink = BackgroundSink(slow, kept_before=3)
    episode, begin = frames(0), time.monotonic()
    for frame in episode:
        sink.append(frame)
    sink.keep(7, True, "x")
    sink.drop(8)
    assert time.monotonic() - begin < 1.0, "the sink would take 10 s for each frame"
    assert (sink.asked, sink.kept) == (4, 3)
    assert sink.waiting == 12
    slow.go.set()
    sink.close()
    assert slow.told == ["frame"] * 12 + ["keep 7 True x", "drop 8"]
    assert (sink.kept, sink.waiting) == (4, 0)


def test_too_much_that_waits_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(background, "MOST_WAITING_BYTES", 500)
    slow = Slow()
    sink = BackgroundSink(slow)
    for frame in frames(0, 3):  # 192 bytes of images each
        assert not sink.is_full
        sink.append(frame)
    assert sink.is_full
    slow.go.set()
    sink.close()
    assert not sink.is_full


def _append_for_long(sink: BackgroundSink) -> None:
    for _ in range(100):
        sink.append(frames(0, 1)[0])
        time.sleep(0.02)


def test_an_error_of_the_store_reaches_whoever_records() -> None:
    class Full(Slow):
        def keep(self, seed: int, success: bool, note: str = "") -> None:
            raise DfPolicyError("the disk is full")

    full = Full()
    full.go.set()
    sink = BackgroundSink(full)
    sink.append(frames(0, 1)[0])
    sink.keep(0, True)
    with pytest.raises(DfPolicyError, match="disk is full"):
        _append_for_long(sink)
    sink.close()
    assert full.told.count("frame") >= 1


def test_what_is_kept_is_on_the_disk_with_note_and_control(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    driven = [replace(frame, control=Control(i % 3)) for i, frame in enumerate(frames(0))]
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        sink = BackgroundSink(writer)
        for frame in driven:
            sink.append(frame)
        sink.keep(0, False, "schön gemacht 🙂")
        for frame in frames(1):
            sink.append(frame)
        sink.keep(1, True)
        sink.close()
    store = EpisodeStore.open(path)
    first, second = store.episode(0), store.episode(1)
    assert first.note == "schön gemacht 🙂"
    assert list(first.arrays["control"]) == [i % 3 for i in range(12)]
    assert (second.note, set(second.arrays["control"])) == ("", {0})
