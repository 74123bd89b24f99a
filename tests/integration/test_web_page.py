"""The recorder's page in a real Chromium: keys, fingers, a pad, and what happens when it dies."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from hand import Memory
from tiny_world import SPEC, TinyWorld

from df_policy.frames import Action, Control, Observation
from df_policy.teleop.listener import Listener
from df_policy.teleop.mapping import Handling
from df_policy.teleop.pace import Pace
from df_policy.teleop.person import Person
from df_policy.teleop.recorder import Outcome, run_episode
from df_policy.teleop.web import WebPage
from df_policy.teleop.workers import Recorded

pytest.importorskip("aiohttp", reason="pip install '.[web]'")
playwright = pytest.importorskip("playwright.sync_api", reason="pip install '.[test]'")

CHROMIUM = next(
    filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), ""
)
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not CHROMIUM, reason="no Chromium: apt install chromium"),
]

PERIOD_S = 1e-9 * SPEC.period_ns
STOPPED_WITHIN_S = 0.3
EVIL = "evil.example"


class WatchedWorld(TinyWorld):
    """Remembers when it was told to go where."""

    def __init__(self) -> None:
        super().__init__()
        self.told: list[tuple[float, np.ndarray]] = []

    def step(self, action: Action) -> tuple[Observation, Action]:
        seen, sent = super().step(action)
        self.told.append((time.monotonic(), sent.tool.position_m))
        return seen, sent

    def moving_until(self) -> float:
        """The end of the period in which it last moved, by `time.monotonic`."""
        pairs = zip(self.told, self.told[1:], strict=False)
        return (
            max(then[0] for now, then in pairs if not np.array_equal(now[1], then[1])) + PERIOD_S
        )


class Recording:
    """The whole recorder in a thread, at its pace, one episode after the other."""

    def __init__(self, aloud: bool = False) -> None:
        self.page = WebPage(port=0)
        self.world, self.memory = WatchedWorld(), Memory()
        self.episodes: list[Recorded] = []
        self._end = threading.Event()
        self._listener = Listener(self.page)
        watchers = [self.page, self.memory]
        about = partial(replace, aloud=aloud)
        self._person = Person(self._listener.read, SPEC, Handling(), watchers, about=about)
        self._thread = threading.Thread(target=self._record)

    def __enter__(self) -> Recording:
        self._listener.__enter__()
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        self._thread.join(10.0)
        self._listener.__exit__(None, None, None)

    def _record(self) -> None:
        pace = Pace(PERIOD_S)
        while not self._end.is_set():
            episode = Recorded(0)
            episode.outcome = run_episode(
                self.world,
                self._person,
                0,
                episode,
                wait=pace.wait,
                stop=self._end.is_set,
                most_steps=10_000,
            )
            self.episodes.append(episode)

    @property
    def kept(self) -> list[Recorded]:
        return [one for one in self.episodes if one.outcome is Outcome.KEPT]


def until(condition: Callable[[], object], what: str, page: Any = None) -> None:
    end = time.monotonic() + 20.0
    while not condition():
        assert time.monotonic() < end, what
        if page is None:
            time.sleep(0.01)
        else:
            page.wait_for_timeout(10)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        yield driver.chromium


@pytest.fixture(scope="module")
def browser(chromium: Any) -> Iterator[Any]:
    arguments = ["--no-sandbox", f"--host-resolver-rules=MAP {EVIL} 127.0.0.1"]
    opened = chromium.launch(executable_path=CHROMIUM, args=arguments)
    yield opened
    opened.close()


@pytest.fixture
def recording() -> Iterator[Recording]:
    with Recording() as made:
        yield made


def opened(browser: Any, recording: Recording, **settings: Any) -> Any:
    page = browser.new_context(**settings).new_page()
    page.goto(recording.page.address)
    until(lambda: page.text_content("#stage") == "ready", "ready", page)
    return page


def moved(recording: Recording) -> np.ndarray:
    """How far it went since the start, after it has come to rest."""
    told = [where for _, where in recording.world.told]
    return told[-1] - told[0]


def test_keys_drive_and_press(browser: Any, recording: Recording) -> None:
    page = opened(browser, recording)
    assert page.locator("#cameras img").count() == len(SPEC.cameras)
    until(lambda: page.evaluate("document.images[0].naturalWidth") == 8, "a picture", page)
    page.keyboard.press("Enter")
    until(lambda: page.text_content("#stage") == "recording", "recording", page)
    until(lambda: len(recording.world.told) > 1, "steps", page)
    page.keyboard.down("w")
    page.keyboard.down("a")
    until(lambda: moved(recording)[0] > 0.04, "forward", page)
    page.keyboard.up("w")
    page.keyboard.up("a")
    page.wait_for_timeout(300)
    there = moved(recording)
    assert there[1] > 0.03
    page.wait_for_timeout(300)
    assert np.array_equal(moved(recording), there), "a key that was let go moves nothing"
    page.fill("#words", "wwx good")
    page.keyboard.press("Enter")
    until(lambda: recording.memory.seen[-1].note == "wwx good", "note", page)
    assert np.array_equal(moved(recording), there), "a note is no drive"
    page.keyboard.press("1")
    page.keyboard.press("x")
    until(lambda: recording.kept, "kept", page)
    episode = recording.kept[0]
    assert (episode.note, episode.success) == ("wwx good", True)
    assert Control.DEVICE in {frame.control for frame in episode.frames}


def test_fingers_drive_and_press(browser: Any, recording: Recording) -> None:
    page = opened(
        browser, recording, viewport={"width": 390, "height": 800}, has_touch=True, is_mobile=True
    )
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth"), "fits a phone"
    page.tap("text=start")
    until(lambda: len(recording.world.told) > 1, "steps", page)
    pads = [page.locator(name).bounding_box() for name in ("#pad-move", "#pad-lift")]
    centres = [(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2) for box in pads]
    session = page.context.new_cdp_session(page)

    def touch(kind: str, *points: tuple[float, float]) -> None:
        fingers = [{"x": x, "y": y, "id": number} for number, (x, y) in enumerate(points)]
        session.send("Input.dispatchTouchEvent", {"type": kind, "touchPoints": fingers})

    (left_x, left_y), (right_x, right_y) = centres
    touch("touchStart", (left_x, left_y), (right_x, right_y))
    touch("touchMove", (left_x, left_y - 55), (right_x, right_y - 55))
    until(lambda: moved(recording)[0] > 0.03 and moved(recording)[2] > 0.03, "both", page)
    touch("touchEnd")
    page.wait_for_timeout(300)
    there = moved(recording)
    page.wait_for_timeout(300)
    assert np.array_equal(moved(recording), there), "a finger that was lifted moves nothing"
    page.tap("text=failure")
    page.tap("text=keep")
    until(lambda: recording.kept, "kept", page)
    assert not recording.kept[0].success


def test_a_gamepad_drives_and_presses(browser: Any, recording: Recording) -> None:
    context = browser.new_context()
    context.add_init_script(
        """window.pad = {connected: true, mapping: "standard", axes: [0, 0, 0, 0],
             buttons: Array.from({length: 17}, () => ({pressed: false, value: 0}))};
           navigator.getGamepads = () => [null, window.pad];"""
    )
    page = context.new_page()
    page.goto(recording.page.address)
    until(lambda: page.text_content("#stage") == "ready", "ready", page)
    page.evaluate("pad.buttons[9].pressed = true")
    until(lambda: len(recording.world.told) > 1, "started", page)
    page.evaluate("pad.axes[0] = 1")
    until(lambda: moved(recording)[1] < -0.03, "right", page)
    page.evaluate("pad.axes[0] = 0; pad.buttons[0].pressed = true")
    until(lambda: recording.kept, "kept", page)


def test_aloud_the_page_says_what_happens(browser: Any) -> None:
    """Headless browsers have no voice: what is handed to it is noted."""
    noting = "speechSynthesis.speak = (words) => { (window.said ||= []).push(words.text); };"
    with Recording(aloud=True) as recording:
        context = browser.new_context()
        context.add_init_script(noting)
        page = context.new_page()
        page.goto(recording.page.address)
        until(lambda: page.text_content("#stage") == "ready", "ready", page)
        for key, word in (("Enter", "recording"), ("Space", "paused")):
            page.keyboard.press(key)
            until(lambda w=word: w in (page.evaluate("window.said") or []), word, page)  # type: ignore[misc]
        assert page.evaluate("window.said") == ["recording", "paused"]
        context.close()


def test_a_hidden_page_moves_nothing(browser: Any, recording: Recording) -> None:
    page = opened(browser, recording)
    page.keyboard.press("Enter")
    page.keyboard.down("w")
    until(lambda: len(recording.world.told) > 3, "steps", page)
    page.evaluate(
        """Object.defineProperty(document, "hidden", {get: () => true});
           document.dispatchEvent(new Event("visibilitychange"))"""
    )
    until(lambda: "hidden" in recording.memory.seen[-1].problem, "told", page)
    there = moved(recording)
    page.wait_for_timeout(300)
    assert np.array_equal(moved(recording), there)


def test_other_pages_cannot_reach_it(browser: Any, recording: Recording) -> None:
    address = recording.page.address
    page = browser.new_context().new_page()
    assert page.goto(address.partition("?")[0]).status == 403
    assert page.goto(address.replace("127.0.0.1", EVIL)).status == 403, "DNS rebinding"
    token = address.partition("token=")[2]
    socket = address.partition("?")[0].replace("http", "ws") + "socket"
    for origin in ("about:blank", address.replace("127.0.0.1", EVIL)):
        page.goto(origin)
        code = page.evaluate(
            """([url, token]) => new Promise((done) => {
                 const socket = new WebSocket(url, ["df_policy", token]);
                 socket.onopen = () => done("open"); socket.onclose = () => done("refused"); })""",
            [socket, token],
        )
        assert code == "refused", origin
    assert not recording.page.link.connected


class OwnChromium:
    """A browser in a process group of its own, which may be killed or frozen as a whole."""

    def __init__(self, folder: Path) -> None:
        command = [CHROMIUM, "--headless=new", "--no-sandbox", "--no-zygote", "--disable-gpu"]
        command += ["--remote-debugging-port=0", f"--user-data-dir={folder}", "about:blank"]
        self.process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        port = folder / "DevToolsActivePort"
        until(lambda: port.is_file() and "\n" in port.read_text(), "a browser")
        self.address = "http://127.0.0.1:" + port.read_text().split()[0]

    def signal(self, number: signal.Signals) -> None:
        os.killpg(self.process.pid, number)

    def close(self) -> None:
        if self.process.poll() is None:
            self.signal(signal.SIGKILL)
        self.process.wait(10)


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSTOP])
def test_a_page_that_dies_or_falls_silent_stops_the_robot(
    tmp_path: Path, chromium: Any, recording: Recording, number: signal.Signals
) -> None:
    """SIGSTOP is an unplugged network as the recorder sees it: the line stands, nothing comes."""
    own = OwnChromium(tmp_path / "profile")
    try:
        page = chromium.connect_over_cdp(own.address).contexts[0].pages[0]
        page.goto(recording.page.address)
        until(lambda: page.text_content("#stage") == "ready", "ready", page)
        page.keyboard.press("Enter")
        page.keyboard.down("w")
        until(lambda: recording.world.told and moved(recording)[0] > 0.03, "moving", page)
        own.signal(number)
        dead_s = time.monotonic()
        until(lambda: recording.memory.seen[-1].problem, "told")
        time.sleep(0.5)
        assert recording.memory.seen[-1].control is Control.NOBODY
        assert recording.world.moving_until() - dead_s < STOPPED_WITHIN_S
        assert recording.world.told[-1][1][0] > 0.42, "held, and not driven home"
        if number is signal.SIGSTOP:
            own.signal(signal.SIGCONT)
            until(lambda: not recording.memory.seen[-1].problem, "back")
    finally:
        own.close()
