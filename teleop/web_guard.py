"""Who may talk to the recorder's page: whoever has the token, from this page and no other."""

from __future__ import annotations

import hmac
import ipaddress
import json
import math
import secrets
from collections.abc import Iterable
from dataclasses import dataclass

from df_policy.teleop.reading import Press, Stick, Wish

MOST_BYTES = 4096
"""Of a message from the page."""
LONGEST_NOTE = 500


def new_token() -> str:
    """A secret that nobody guesses."""
    return secrets.token_urlsafe(32)


def is_loopback(host: str) -> bool:
    """Whether only this machine can reach a server there."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


@dataclass(frozen=True)
class Guard:
    """What a request must bring.

    A page of another site cannot read the token, and its requests bear its own origin. A name that
    somebody pointed here (DNS rebinding) is none of the hosts.
    """

    token: str
    hosts: frozenset[str]
    """As requests name this server: `127.0.0.1:8642`."""

    @classmethod
    def of(cls, token: str, host: str, port: int, names: Iterable[str] = ()) -> Guard:
        """The guard of a server.

        Args:
            token: the secret.
            host: the address that it listens on.
            port: the same.
            names: by which others may call it too.
        """
        local = ("127.0.0.1", "localhost", "[::1]") if is_loopback(host) else ()
        named = f"[{host}]" if ":" in host else host
        return cls(token, frozenset(f"{name}:{port}" for name in (*local, named, *names)))

    def refusal(self, host: str, token: str, origin: str | None, *, socket: bool) -> str:
        """Why a request is not answered; empty if it is.

        Args:
            host: its header.
            token: as it came.
            origin: its header; a web socket must have one.
            socket: whether it wants to be a web socket.
        """
        if host.lower() not in self.hosts:
            return f"this server is not called {host[:80]!r}"
        if (origin is not None or socket) and origin not in {f"http://{h}" for h in self.hosts}:
            return "the request comes from another page"
        if not hmac.compare_digest(token.encode(), self.token.encode()):
            return "the token is missing or wrong: open the address that the recorder printed"
        return ""


@dataclass(frozen=True)
class FromPage:
    """One message of the page."""

    tick: int
    """The newest status that it had seen."""
    stick: Stick | None
    """None: its window is hidden, nobody watches."""
    wishes: tuple[Wish, ...] = ()
    picture: int | None = None
    """The number of a picture that it has shown."""


def parse(text: str) -> FromPage:
    """A message of the page.

    Raises:
        ValueError: if it is none.
    """
    try:
        values = json.loads(text)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
    if not isinstance(values, dict):
        raise ValueError("expected an object")
    stick = values.get("stick")
    wishes = values.get("wishes", [])
    if not isinstance(wishes, list) or len(wishes) > 16:
        raise ValueError("expected at most 16 wishes in a list")
    return FromPage(
        tick=_whole(values.get("tick")),
        stick=None if stick is None else _stick(stick),
        wishes=tuple(_wish(one) for one in wishes),
        picture=None if values.get("picture") is None else _whole(values["picture"]),
    )


def _whole(value: object) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < 2**53:
        raise ValueError(f"expected a count, got {str(value)[:40]}")
    return value


def _stick(values: object) -> Stick:
    if not isinstance(values, list) or len(values) != 7:
        raise ValueError("expected seven numbers in a stick")
    for one in values:
        number = isinstance(one, int | float) and not isinstance(one, bool)
        if not number or not math.isfinite(one) or abs(one) > 1.0:
            raise ValueError(f"expected a deflection from -1 to 1, got {str(one)[:40]}")
    x, y, z, roll, pitch, yaw, gripper = (float(one) for one in values)
    return Stick((x, y, z), (roll, pitch, yaw), gripper)


def _wish(value: object) -> Wish:
    if not isinstance(value, dict):
        raise ValueError("expected an object for a wish")
    text = value.get("text", "")
    if not isinstance(text, str) or len(text) > LONGEST_NOTE:
        raise ValueError(f"expected a text of at most {LONGEST_NOTE} letters")
    return Wish(Press(value.get("press")), text)
