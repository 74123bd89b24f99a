"""A web page as a device: live cameras, keys, touch, gamepad, and the episode's buttons.

The server, in `web_server`, runs in a thread of its own; the two meet in a `Link`. A stick is as
old as the status that the page had seen when it sent it, so that neither a browser that was
killed, nor a network that was unplugged, nor one that only became slow goes on moving the robot.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from df_policy.errors import DfPolicyError
from df_policy.frames import Image, Observation
from df_policy.teleop.reading import Reading, Stick, Wish
from df_policy.teleop.status import Status
from df_policy.teleop.web_guard import FromPage, Guard, is_loopback, new_token

if TYPE_CHECKING:
    from df_policy.teleop.web_server import Server

DEFAULT_PORT = 8642

_STARTING_S = 10.0
_FAREWELL_S = 3.0
_TICKS_KEPT = 256
_MOST_WISHES = 64


@dataclass
class Link:
    """What the recording and the page's server tell each other, each from its own thread."""

    lock: threading.Lock = field(default_factory=threading.Lock)
    connected: bool = False
    stick: Stick | None = None
    heard_s: float = -1e9
    """`time.monotonic` of the newest status that the page has answered."""
    problem: str = ""
    wishes: deque[Wish] = field(default_factory=lambda: deque(maxlen=_MOST_WISHES))
    status: Status = field(default_factory=Status)
    images: Mapping[str, Image] = field(default_factory=dict)
    news: int = 0
    """Counts what was shown."""
    _ticks: deque[tuple[int, float]] = field(default_factory=lambda: deque(maxlen=_TICKS_KEPT))

    def show(self, status: Status, images: Mapping[str, Image]) -> None:
        """The recording is like this now."""
        with self.lock:
            self.status, self.images = status, images
            self.news += 1

    def join(self) -> None:
        """A page has connected."""
        with self.lock:
            self.connected, self.stick, self.problem = True, None, ""
            self._ticks.clear()

    def leave(self, problem: str) -> None:
        """The page has gone."""
        with self.lock:
            self.connected, self.stick, self.problem = False, None, problem

    def told(self, tick: int) -> None:
        """The status of this number is on its way."""
        with self.lock:
            self._ticks.append((tick, time.monotonic()))

    def heard(self, message: FromPage) -> None:
        """The page has answered; an answer to a status that nobody remembers moves nothing."""
        with self.lock:
            self.wishes.extend(message.wishes)
            sent_s = next((at for tick, at in self._ticks if tick == message.tick), None)
            if sent_s is not None and sent_s >= self.heard_s:
                self.heard_s, self.stick = sent_s, message.stick

    def reading(self) -> Reading:
        """What the page's person does."""
        with self.lock:
            wishes = tuple(self.wishes)
            self.wishes.clear()
            if not self.connected:
                problem = self.problem or "web page: nobody has it open"
                return Reading(None, time.monotonic(), wishes, problem)
            hidden = "" if self.stick is not None else "web page: its window is hidden"
            return Reading(self.stick, self.heard_s, wishes, hidden)


class WebPage:
    """The recorder's page; see `reading.InputDevice` and `status.Watcher`.

    Args:
        host: the address to listen on; one that others reach lets them in, unencrypted, with the
            token.
        port: 0 for any that is free.
        names: by which browsers may call this server beside its address.
    """

    name = "web page"

    def __init__(
        self, host: str = "127.0.0.1", port: int = DEFAULT_PORT, names: tuple[str, ...] = ()
    ) -> None:
        self._host, self._port, self._names = host, port, names
        self._token = new_token()
        self.link = Link()
        self._server: Server | None = None

    @property
    def address(self) -> str:
        """What to open in a browser: with the token, so it is for the person's eyes only."""
        shown = self._names[0] if self._names else self._host
        host = f"[{shown}]" if ":" in shown else shown
        return f"http://{host}:{self._port}/?token={self._token}"

    @property
    def warning(self) -> str:
        """What to tell a person who lets others in; empty if nobody can come."""
        if is_loopback(self._host):
            return ""
        return (
            "the page is served to the network without encryption: whoever listens in there can "
            "drive the robot; ssh -L keeps it private"
        )

    def open(self) -> None:
        """Serve the page.

        Raises:
            DfPolicyError: if the library is missing, or the port is taken.
        """
        if self._server is not None:
            return
        try:
            from df_policy.teleop.web_server import Server
        except ImportError as error:
            raise DfPolicyError(
                f"expected aiohttp for the web page, got {error}; pip install 'df_policy[web]'"
            ) from error
        server = Server(self.link, self._host, self._port, self._guard)
        self._thread = threading.Thread(target=server.run, name="web page", daemon=True)
        self._thread.start()
        if not server.started.wait(_STARTING_S) or server.error:
            raise DfPolicyError(
                f"expected to serve a page on {self._host} port {self._port}, got "
                f"{server.error or 'no answer'}; choose another --web-port or --web-host"
            )
        self._port = server.port
        self._server = server

    def poll(self) -> Reading:
        """What the page's person does."""
        return self.link.reading()

    def show(self, status: Status, observation: Observation) -> None:
        """Let the page have it."""
        self.link.show(status, observation.images)

    def close(self) -> None:
        """Serve no more."""
        server, self._server = self._server, None
        if server is not None:
            server.stop()
            self._thread.join(_FAREWELL_S)

    def _guard(self, port: int) -> Guard:
        return Guard.of(self._token, self._host, port, self._names)
