"""What a driver and its adapter in the Python of ROS 1 tell each other, over a loopback socket.

Each message is a length of four bytes and a JSON object whose fields both sides know: what does
not fit is refused, and the line cut. For Python 3.8, and its standard library alone.
"""

from __future__ import annotations

import json
import math
import socket
from collections.abc import Callable
from dataclasses import asdict, dataclass, fields
from typing import Any

PORT = 9131
_HEAD = 4
_LONGEST = 1 << 16


class LineCutError(Exception):
    """The other side is gone, or said what cannot be understood."""


@dataclass(frozen=True)
class Hello:
    """From the adapter, once: the robot's joints, and what they can do."""

    names: list[str]
    low_rad: list[float]
    high_rad: list[float]
    speed_rad_s: list[float]


@dataclass(frozen=True)
class State:
    """From the adapter, 100 times a second."""

    stamp_ns: int
    q_rad: list[float]
    dq_rad_s: list[float]
    position_m: list[float]
    quat_xyzw: list[float]
    jacobian: list[float]
    """Six rows, one after the other."""
    mode: str
    errors: list[str]
    busy: str
    """What it does by itself: `setting up`, `homing`, `recovering`, or nothing."""
    done: int
    """How many such jobs are over."""
    problem: str
    """Why the last of them failed."""
    opening_m: float
    holds: bool
    hand_problem: str


@dataclass(frozen=True)
class Setup:
    """To the adapter: thresholds beyond which contact is a collision."""

    force_n: float
    torque_nm: float


@dataclass(frozen=True)
class Command:
    """To the adapter: where the joints shall be now, and how fast."""

    q_rad: list[float]
    dq_rad_s: list[float]


@dataclass(frozen=True)
class Halt:
    """To the adapter: come to a stop."""


@dataclass(frozen=True)
class Home:
    """To the adapter: go to a posture."""

    q_rad: list[float]
    speed: float


@dataclass(frozen=True)
class Recover:
    """To the adapter: leave a reflex."""


@dataclass(frozen=True)
class Fingers:
    """To the adapter: what the fingers shall do."""

    opening_m: float
    grasp: bool
    force_n: float
    speed_m_s: float


_KINDS = {
    kind.__name__: kind for kind in (Hello, State, Setup, Command, Halt, Home, Recover, Fingers)
}


def _number(value: object) -> bool:
    return type(value) in (int, float) and math.isfinite(value)  # type: ignore[arg-type]


_FITS: dict[str, Callable[[Any], bool]] = {
    "int": lambda value: type(value) is int,
    "float": _number,
    "bool": lambda value: type(value) is bool,
    "str": lambda value: type(value) is str,
    "list[str]": lambda value: type(value) is list and all(type(one) is str for one in value),
    "list[float]": lambda value: type(value) is list and all(map(_number, value)),
}


class Line:
    """One end of the connection; it never waits.

    Args:
        end: the socket.
    """

    def __init__(self, end: socket.socket) -> None:
        end.setblocking(False)
        end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._end, self._in, self._out = end, b"", b""

    def send(self, record: Any) -> None:
        """Send it as soon as there is room; a state that has no room is left out.

        Raises:
            LineCutError: if nobody is there any more.
        """
        if not (self._out and isinstance(record, State)):
            text = json.dumps([type(record).__name__, asdict(record)], allow_nan=False).encode()
            self._out += len(text).to_bytes(_HEAD, "big") + text
        if len(self._out) > _LONGEST:
            raise LineCutError("the other side does not listen")
        try:
            while self._out:
                self._out = self._out[self._end.send(self._out) :]
        except BlockingIOError:
            return
        except OSError as error:
            raise LineCutError(str(error)) from error

    def receive(self) -> list[Any]:
        """All that has come.

        Raises:
            LineCutError: if nobody is there any more, or what came is no message.
        """
        try:
            while True:
                data = self._end.recv(_LONGEST)
                if not data:
                    raise LineCutError("the line was closed")
                self._in += data
                if len(self._in) > 64 * _LONGEST:
                    raise LineCutError("more came than can be read")
        except BlockingIOError:
            pass
        except OSError as error:
            raise LineCutError(str(error)) from error
        found = []
        while len(self._in) >= _HEAD:
            size = int.from_bytes(self._in[:_HEAD], "big")
            if size > _LONGEST:
                raise LineCutError(f"a message of {size} bytes")
            if len(self._in) < _HEAD + size:
                break
            found.append(decode(self._in[_HEAD : _HEAD + size]))
            self._in = self._in[_HEAD + size :]
        return found

    def close(self) -> None:
        """Hang up."""
        self._end.close()


def decode(text: bytes) -> Any:
    """The record that a message holds.

    Raises:
        LineCutError: if it holds none.
    """
    try:
        name, values = json.loads(text)
        kind = _KINDS[name]
        wanted = {field.name: str(field.type) for field in fields(kind)}
        fit = values.keys() == wanted.keys() and all(
            _FITS[wanted[name]](value) for name, value in values.items()
        )
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise LineCutError(f"expected a message, got other bytes: {error!r}") from error
    if not fit:
        raise LineCutError(f"expected a {name} with {wanted}, got {values}")
    return kind(**values)
