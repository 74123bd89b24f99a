"""What a person sees: pictures, the line in the terminal, and rerun."""

from __future__ import annotations

import io
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from tiny_world import SPEC, TinyWorld

from df_policy.errors import DfPolicyError
from df_policy.frames import Control
from df_policy.teleop.dashboard import Dashboard, beeps, headline
from df_policy.teleop.pictures import jpeg, letters, shrunk
from df_policy.teleop.rerun_view import RerunView
from df_policy.teleop.status import Stage, Status

RED_OVER_BLUE = np.zeros((8, 8, 3), np.uint8)
RED_OVER_BLUE[:4, :, 0] = 255
RED_OVER_BLUE[4:, :, 2] = 255


def test_a_picture_keeps_its_colours_and_its_shape() -> None:
    image = np.kron(RED_OVER_BLUE, np.ones((100, 120, 1), np.uint8))
    small = shrunk(image, 480)
    assert small.shape == (400, 480, 3)
    assert shrunk(RED_OVER_BLUE, 480) is RED_OVER_BLUE
    decoded = cv2.cvtColor(
        cv2.imdecode(np.frombuffer(jpeg(image), np.uint8), 1), cv2.COLOR_BGR2RGB
    )
    assert decoded.shape == (400, 480, 3)
    assert np.abs(decoded[10, 10].astype(int) - [255, 0, 0]).max() < 12
    assert np.abs(decoded[-10, 10].astype(int) - [0, 0, 255]).max() < 12


def test_letters_hold_two_pixels_each() -> None:
    text = letters(RED_OVER_BLUE, 4)
    assert text.plain == "▀▀▀▀\n▀▀▀▀\n"
    first, last = text.spans[0].style, text.spans[-1].style
    assert str(first.color.name) == str(first.bgcolor.name) == "#ff0000"
    assert str(last.color.name) == str(last.bgcolor.name) == "#0000ff"


def test_the_headline_says_who_drives_and_what_is_wrong() -> None:
    status = Status(
        Stage.RECORDING, Control.POLICY, 3, 4.2, 5, 9, True, "a note", late=2, waiting=50
    )
    line = headline(status).plain
    words = ("recording", "the policy drives", "4.2 s", "5 of 9", "success", "a note", "2 late")
    assert [word for word in words if word not in line] == []
    assert "50 frames to encode" in line
    assert "rehearsal" in headline(Status(rehearsal=True)).plain


def test_a_terminal_shows_pictures_and_beeps_once_for_each_trouble() -> None:
    written = io.StringIO()
    console = Console(file=written, force_terminal=True, width=80, color_system="truecolor")
    observation = TinyWorld().reset(0)
    with Dashboard("keys", lambda: "half a no", console) as shown:
        for problem in ("", "gone", "gone", ""):
            shown.show(Status(problem=problem), observation)
            time.sleep(0.3)
    assert "▀" in written.getvalue()
    assert "note: half a no_" in written.getvalue()
    assert "robot holds: gone" in written.getvalue()
    assert written.getvalue().count("\a") == 1


def test_aloud_it_beeps_when_something_happens_and_twice_for_an_episode_on_the_disk() -> None:
    said = (("", 4), ("recording", 4), ("recording", 4), ("kept", 4), ("kept", 5), ("", 5))
    for aloud, wanted in ((True, [0, 1, 0, 1, 2, 0]), (False, [0] * 6)):
        before, heard = Status(), []
        for message, kept in said:
            now = Status(message=message, kept=kept, aloud=aloud)
            heard.append(beeps(before, now))
            before = now
        assert heard == wanted


def test_a_log_file_gets_a_line_when_something_happens() -> None:
    written = io.StringIO()
    observation = TinyWorld().reset(0)
    with Dashboard(console=Console(file=written, width=80)) as shown:
        for message in ("recording", "recording", "[paused]"):
            shown.show(Status(message=message), observation)
            time.sleep(0.3)
    assert written.getvalue().splitlines() == ["recording", "[paused]"]


def test_rerun_gets_every_tick(tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="pip install '.[view]'")
    target = tmp_path / "a.rrd"
    world = TinyWorld()
    observation = world.reset(0)
    with RerunView(str(target)) as view:
        for _ in range(5):
            view.show(Status(message="recording"), observation)
            observation, _ = world.step(observation.hold())
            time.sleep(0.02)
    content = target.read_bytes()
    assert content.startswith(b"RRF")
    for name in (*(f"camera/{one}" for one in SPEC.cameras), "tool/position_m"):
        assert name.encode() in content, name


def test_rerun_that_cannot_write_says_so(tmp_path: Path) -> None:
    pytest.importorskip("rerun", reason="pip install '.[view]'")
    with pytest.raises(DfPolicyError, match="rerun"):
        RerunView(str(tmp_path / "missing" / "a.rrd"))
