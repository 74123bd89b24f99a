"""The page's server: whom it talks to, and when it stops believing what it heard."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from df_policy.errors import DfPolicyError
from df_policy.teleop.listener import SILENCE_S
from df_policy.teleop.reading import Press, Stick
from df_policy.teleop.status import Status
from df_policy.teleop.web import WebPage
from df_policy.teleop.web_guard import Guard, is_loopback, parse

aiohttp = pytest.importorskip("aiohttp", reason="pip install '.[web]'")

PUSH = [1.0, 0.0, 0.0, 0.0, 0.0, 0.0, -0.5]
GUARD = Guard.of("secret", "127.0.0.1", 8642)
HOME = "http://127.0.0.1:8642"


@pytest.mark.parametrize(
    ("host", "token", "origin", "socket", "refused"),
    [
        ("127.0.0.1:8642", "secret", None, False, ""),
        ("localhost:8642", "secret", HOME, True, ""),
        ("LOCALHOST:8642", "secret", HOME, False, ""),
        ("127.0.0.1:8642", "", None, False, "token"),
        ("127.0.0.1:8642", "secre", HOME, True, "token"),
        ("127.0.0.1:8642", "sécret", HOME, True, "token"),
        ("evil.example:8642", "secret", None, False, "not called"),
        ("127.0.0.1", "secret", None, False, "not called"),
        ("127.0.0.1:8642", "secret", "http://evil.example:8642", False, "another page"),
        ("127.0.0.1:8642", "secret", "https://127.0.0.1:8642", True, "another page"),
        ("127.0.0.1:8642", "secret", "null", True, "another page"),
        ("127.0.0.1:8642", "secret", None, True, "another page"),
    ],
)
def test_who_may_talk(
    host: str, token: str, origin: str | None, socket: bool, refused: str
) -> None:
    refusal = GUARD.refusal(host, token, origin, socket=socket)
    assert bool(refusal) == bool(refused)
    assert refused in refusal


def test_a_server_that_others_reach_answers_to_its_names_only() -> None:
    guard = Guard.of("t", "192.0.2.1", 80, ["robot.example"])
    assert guard.hosts == {"192.0.2.1:80", "robot.example:80"}
    assert not is_loopback("192.0.2.1")
    assert is_loopback("::1")
    assert "encryption" in WebPage("0.0.0.0").warning
    assert WebPage().warning == ""


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=5),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=6), inner),
    max_leaves=8,
)
messages = st.fixed_dictionaries(
    {},
    optional=dict.fromkeys(("tick", "stick", "wishes", "picture"), json_values),
)


@settings(max_examples=60)
@given(st.text(max_size=30) | messages.map(json.dumps))
def test_no_message_can_hurt(text: str) -> None:
    try:
        said = parse(text)
    except ValueError:
        return
    if said.stick is not None:
        numbers = [*said.stick.linear, *said.stick.angular, said.stick.gripper]
        assert all(abs(number) <= 1.0 for number in numbers)


@pytest.mark.parametrize(
    "text",
    [
        '{"tick": 1, "stick": [2, 0, 0, 0, 0, 0, 0]}',
        '{"tick": 1, "stick": [NaN, 0, 0, 0, 0, 0, 0]}',
        '{"tick": 1, "stick": [0, 0, 0]}',
        '{"tick": -1}',
        '{"tick": true}',
        '{"tick": 1, "wishes": [{"press": "explode"}]}',
        '{"tick": 1, "wishes": [{"press": "note", "text": ["a"]}]}',
        "[" * 3000,
    ],
)
def test_a_wrong_message_is_refused(text: str) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - any word will do for a stranger
        parse(text)


@pytest.fixture
def page() -> Iterator[WebPage]:
    made = WebPage(port=0)
    made.open()
    yield made
    made.close()


class Browser:
    """As much of a browser as the server sees."""

    def __init__(self, page: WebPage, session: Any) -> None:
        self.base, _, token = page.address.partition("/?token=")
        self.token = token
        self.session = session

    async def get(self, token: str, path: str = "/", **headers: str) -> tuple[int, str]:
        async with self.session.get(
            f"{self.base}{path}", params={"token": token}, headers=headers
        ) as answer:
            return answer.status, await answer.text()

    def connect(self, token: str | None = None, **headers: str) -> Any:
        return self.session.ws_connect(
            f"{self.base}/socket",
            protocols=("df_policy", self.token if token is None else token),
            headers={"Origin": self.base} | headers,
            max_msg_size=0,
        )


@asynccontextmanager
async def browsing(page: WebPage) -> AsyncIterator[Browser]:
    async with aiohttp.ClientSession() as session:
        yield Browser(page, session)


def browse(page: WebPage, act: Callable[[Browser], Awaitable[Any]]) -> Any:
    async def run() -> Any:
        async with browsing(page) as browser, asyncio.timeout(20):
            return await act(browser)

    return asyncio.run(run())


async def answer(socket: Any, count: int, **said: object) -> list[dict[str, Any]]:
    """Answer the next statuses; returns the whole ones."""
    statuses = []
    while count:
        message = await socket.receive()
        if message.type is aiohttp.WSMsgType.BINARY:
            number = int.from_bytes(message.data[1:5], "big")
            said = said | {"picture": number}
            continue
        got = json.loads(message.data)
        statuses += [got["status"]] if "status" in got else []
        await socket.send_str(json.dumps({"tick": got["tick"], "stick": PUSH, **said}))
        said.pop("wishes", None)
        count -= 1
    return statuses


def test_the_page_is_served_to_whoever_has_the_token_and_nothing_to_others(page: WebPage) -> None:
    async def act(browser: Browser) -> None:
        status, text = await browser.get(browser.token)
        assert status == 200
        assert "NONCE" not in text
        assert "/*KEYS*/" not in text
        assert browser.token not in text
        for token in ("", "x", browser.token[:-1], browser.token + "x"):
            assert (await browser.get(token))[0] == 403
        assert (await browser.get(browser.token, Host="evil.example"))[0] == 403
        port = browser.base.rpartition(":")[2]
        assert (await browser.get(browser.token, Host=f"evil.example:{port}"))[0] == 403
        assert (await browser.get(browser.token, Origin="http://evil.example"))[0] == 403
        for path in ("/page.js", "/../setup.py", "/%2e%2e/setup.py"):
            assert (await browser.get(browser.token, path))[0] == 404

    browse(page, act)


@pytest.mark.parametrize(
    ("token", "headers"),
    [
        ("", {}),
        ("wrong", {}),
        (None, {"Origin": "http://evil.example"}),
        (None, {"Origin": ""}),
        (None, {"Host": "evil.example"}),
    ],
)
def test_a_socket_of_a_stranger_is_refused(
    page: WebPage, token: str | None, headers: dict[str, str]
) -> None:
    async def act(browser: Browser) -> int:
        with pytest.raises(aiohttp.WSServerHandshakeError) as refused:
            await browser.connect(token, **headers)
        return int(refused.value.status)

    assert browse(page, act) == 403
    assert not page.link.connected


def test_a_page_drives_presses_and_sees(page: WebPage) -> None:
    images = {"front": np.zeros((6, 8, 3), np.uint8), "wrist": np.zeros((4, 4, 3), np.uint8)}

    async def act(browser: Browser) -> list[dict[str, Any]]:
        async with browser.connect() as socket:
            page.link.show(Status(kept=3, total=9, message="hello"), images)
            statuses = await answer(socket, 12, wishes=[{"press": "note", "text": "hi"}])
            reading = page.poll()
            assert reading.motion == Stick((1.0, 0.0, 0.0), gripper=-0.5)
            assert reading.problem == ""
            assert time.monotonic() - reading.heard_s < SILENCE_S
            assert [(w.press, w.text) for w in reading.wishes] == [(Press.NOTE, "hi")]
            return statuses

    statuses = browse(page, act)
    assert statuses[-1]["kept"] == 3
    assert statuses[-1]["message"] == "hello"


def test_a_page_that_goes_is_missed_at_once(page: WebPage) -> None:
    async def act(browser: Browser) -> None:
        async with browser.connect() as socket:
            await answer(socket, 5)
            assert page.poll().motion is not None

    browse(page, act)
    end = time.monotonic() + 2.0
    while page.poll().motion is not None:
        assert time.monotonic() < end
    assert "connection was lost" in page.poll().problem


def test_a_page_that_only_repeats_an_old_answer_moves_nothing(page: WebPage) -> None:
    """A network that has become slow delivers sticks that were true long ago."""

    async def act(browser: Browser) -> float:
        async with browser.connect() as socket:
            await answer(socket, 5)
            first = json.loads((await socket.receive()).data)["tick"]
            end = time.monotonic() + 3 * SILENCE_S
            while time.monotonic() < end:
                await socket.send_str(json.dumps({"tick": first, "stick": PUSH}))
                await asyncio.sleep(0.01)
            return time.monotonic() - page.poll().heard_s

    assert browse(page, act) > 2 * SILENCE_S


def test_a_second_page_waits_until_the_first_is_silent(page: WebPage) -> None:
    async def act(browser: Browser) -> tuple[int | None, int | None]:
        async with browser.connect() as first:
            await answer(first, 5)
            async with browser.connect() as second:
                message = await second.receive()
                refused = second.close_code
                assert message.type is aiohttp.WSMsgType.CLOSE
            assert page.poll().motion is not None
            await asyncio.sleep(1.1)  # the first says nothing, but its line stands
            async with browser.connect() as third:
                await answer(third, 5)
                assert page.poll().motion is not None
                return refused, third.close_code

    assert browse(page, act) == (4409, None)


@pytest.mark.parametrize(
    "nonsense", ["x", '{"tick": 1, "stick": [9]}', '{"tick": 1, "wishes": [1]}', "y" * 5000]
)
def test_a_page_that_talks_nonsense_is_sent_away(page: WebPage, nonsense: str) -> None:
    async def act(browser: Browser) -> None:
        async with browser.connect() as socket:
            await answer(socket, 3)
            await socket.send_str(nonsense)
            async for _ in socket:
                pass
            assert socket.close_code in (1008, 1009)
        # A message that is too long is answered while its page is still being let go.
        while page.poll().motion is not None:
            await asyncio.sleep(0.01)

    browse(page, act)
    assert "connection was lost" in page.poll().problem


def test_a_port_that_is_taken_is_named(page: WebPage) -> None:
    port = int(page.address.partition("/?")[0].rpartition(":")[2])
    with pytest.raises(DfPolicyError, match=rf"port {port}.*--web-port"):
        WebPage(port=port).open()


def test_tokens_are_new_each_time() -> None:
    assert WebPage().address != WebPage().address
