"""The server behind the recorder's page: one page, one web socket, nothing without the token."""

from __future__ import annotations

import asyncio
import contextlib
import json
import secrets
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from aiohttp import WSCloseCode, WSMsgType, web

from df_policy.teleop.keyboard import AXES, PRESSES
from df_policy.teleop.pictures import jpeg
from df_policy.teleop.status import Status
from df_policy.teleop.web import Link
from df_policy.teleop.web_guard import MOST_BYTES, Guard, parse

PROTOCOL = "df_policy"
"""Of the web socket; the token comes as a second one, where no log and no referrer shows it."""

OTHER_PAGE = 4409
"""Close code: another page drives."""

_STATUS_S = 0.02
_WHOLE_STATUS_EVERY = 5
"""The statuses between are but a number, to be answered."""
_PATIENCE_S = 1.0
"""A page that has been silent for so long gives way to another one."""
_SEND_S = 2.0
_SILENT_S = 5.0
"""After so long the line is cut; the robot has held since long before."""
_CLOSING_S = 1.0
_PAGE = Path(__file__).parent / "page"


class Server:
    """Serves the page until it is stopped; `run` is a thread's whole life.

    Args:
        link: to the recording.
        host: the address to listen on.
        port: 0 for any that is free.
        guard: who may talk, once the port is known.
    """

    def __init__(self, link: Link, host: str, port: int, guard: Callable[[int], Guard]) -> None:
        self._link, self._host, self._make_guard = link, host, guard
        self.port = port
        self.started = threading.Event()
        self.error = ""
        """Why it could not start."""
        self._loop: asyncio.AbstractEventLoop | None = None
        self._socket: web.WebSocketResponse | None = None
        self._transport: asyncio.Transport | None = None
        self._shown = 0

    def run(self) -> None:
        """Serve until `stop`."""
        asyncio.run(self._serve())

    def stop(self) -> None:
        """Ask `run` to return; from any thread."""
        if self._loop is not None:
            with contextlib.suppress(RuntimeError):  # it has returned already
                self._loop.call_soon_threadsafe(self._end.set)

    async def _serve(self) -> None:
        self._loop, self._end = asyncio.get_running_loop(), asyncio.Event()
        app = web.Application(client_max_size=MOST_BYTES)
        app.router.add_get("/", self._page)
        app.router.add_get("/socket", self._talk)
        runner = web.AppRunner(app, access_log=None, shutdown_timeout=_CLOSING_S)
        await runner.setup()
        try:
            site = web.TCPSite(runner, self._host, self.port, backlog=16)
            await site.start()
            self.port = int(runner.addresses[0][1])
            self._guard = self._make_guard(self.port)
            self.started.set()
            await self._end.wait()
            if self._socket is not None:
                await self._socket.close(code=WSCloseCode.GOING_AWAY)
        except OSError as error:
            self.error = str(error)
        finally:
            self.started.set()
            await runner.cleanup()

    def _check(self, request: web.Request, token: str, *, socket: bool) -> None:
        """Raises HTTPForbidden for whoever may not talk."""
        origin = request.headers.get("Origin")
        refusal = self._guard.refusal(
            request.headers.get("Host", ""), token, origin, socket=socket
        )
        if refusal:
            raise web.HTTPForbidden(text=refusal)

    async def _page(self, request: web.Request) -> web.Response:
        self._check(request, request.query.get("token", ""), socket=False)
        nonce = secrets.token_urlsafe(16)
        text = (_PAGE / "page.html").read_text("utf-8")
        keys = {name: list(push) for name, push in AXES.items()}
        buttons = {name: press.value for name, press in PRESSES.items()}
        for mark, content in (
            ("/*STYLE*/", (_PAGE / "page.css").read_text("utf-8")),
            ("/*SCRIPT*/", (_PAGE / "page.js").read_text("utf-8")),
            ("/*KEYS*/", json.dumps({"axes": keys, "presses": buttons})),
            ("NONCE", nonce),
        ):
            text = text.replace(mark, content)
        policy = (
            f"default-src 'none'; script-src 'nonce-{nonce}'; style-src 'nonce-{nonce}'; "
            f"img-src blob:; connect-src 'self' ws://{request.host}; base-uri 'none'; "
            "form-action 'none'; frame-ancestors 'none'"
        )
        headers = {
            "Content-Security-Policy": policy,
            "Cache-Control": "no-store",
            "Referrer-Policy": "no-referrer",
            "X-Content-Type-Options": "nosniff",
        }
        return web.Response(text=text, content_type="text/html", headers=headers)

    async def _talk(self, request: web.Request) -> web.WebSocketResponse:
        offered = request.headers.get("Sec-WebSocket-Protocol", "").split(",")
        token = next((one.strip() for one in offered if one.strip() != PROTOCOL), "")
        self._check(request, token, socket=True)
        socket = web.WebSocketResponse(
            protocols=(PROTOCOL,),
            max_msg_size=MOST_BYTES,
            timeout=_CLOSING_S,
            receive_timeout=_SILENT_S,
            compress=False,
        )
        await socket.prepare(request)
        if self._socket is not None:
            if time.monotonic() - self._link.heard_s < _PATIENCE_S:
                await socket.close(code=OTHER_PAGE, message=b"another page drives")
                return socket
            self._abort()
        self._socket, self._transport = socket, request.transport
        self._shown = 0
        self._link.join()
        talker = asyncio.create_task(self._tell(socket))
        try:
            problem = await self._listen(socket)
        finally:
            talker.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await talker
            if self._socket is socket:
                self._socket = None
                self._link.leave("web page: its connection was lost")
        if problem:
            await socket.close(code=WSCloseCode.POLICY_VIOLATION, message=problem[:100].encode())
        return socket

    async def _listen(self, socket: web.WebSocketResponse) -> str:
        """Take in what the page says; why it must be sent away, or nothing if it went."""
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    return "expected text"
                said = parse(message.data)
                if self._socket is not socket:
                    return "another page drives"
                if said.picture is not None:
                    self._shown = max(self._shown, said.picture)
                self._link.heard(said)
        except ValueError as error:
            return str(error)
        except TimeoutError:
            self._abort()
        return ""

    def _abort(self) -> None:
        """Cut the line to a page that does not answer, and would hear no farewell."""
        if self._transport is not None:
            self._transport.abort()

    async def _tell(self, socket: web.WebSocketResponse) -> None:
        """Send statuses, and each picture when the page has shown the one before."""
        tick = pictures = news = 0
        try:
            while not socket.closed:
                tick += 1
                whole = tick % _WHOLE_STATUS_EVERY == 1
                status, images, latest = self._link.status, self._link.images, self._link.news
                message: dict[str, Any] = {"tick": tick}
                if whole:
                    message |= {"status": described(status), "cameras": list(images)}
                self._link.told(tick)
                async with asyncio.timeout(_SEND_S):
                    await socket.send_str(json.dumps(message))
                    if latest != news and self._shown >= pictures:
                        news, pictures = latest, pictures + 1
                        for index, image in enumerate(list(images.values())[:16]):
                            encoded = await asyncio.to_thread(jpeg, image)
                            head = bytes([index]) + pictures.to_bytes(4, "big")
                            await socket.send_bytes(head + encoded)
                await asyncio.sleep(_STATUS_S)
        except (TimeoutError, ConnectionError):
            self._abort()


def described(status: Status) -> dict[str, Any]:
    """A status as the page takes it."""
    return {
        "stage": status.stage.value,
        "control": status.control.name.lower(),
        "seed": status.seed,
        "time_s": round(status.time_s, 1),
        "kept": status.kept,
        "total": status.total,
        "success": status.success,
        "note": status.note,
        "problem": status.problem,
        "message": status.message,
        "late": status.late,
        "waiting": status.waiting,
        "rehearsal": status.rehearsal,
        "policy": status.policy,
        "aloud": status.aloud,
    }
