"""The keys of a terminal, over ssh too.

A terminal tells that a key was pressed, and again while it is held, but never that it was let go:
each press moves for HOLD_S, about as long as it takes until the key repeats.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
import termios
import time
import tty
from collections.abc import Mapping

from df_policy.errors import DfPolicyError
from df_policy.teleop.reading import Press, Reading, Stick, Wish

HOLD_S = 0.15

_MOST_BYTES = 4096
_LONGEST_NOTE = 500

# Where a key pushes: forward, left, up, roll, pitch, yaw, gripper.
AXES: Mapping[str, tuple[int, float]] = {
    "w": (0, 1.0),
    "s": (0, -1.0),
    "a": (1, 1.0),
    "d": (1, -1.0),
    "r": (2, 1.0),
    "f": (2, -1.0),
    "j": (3, -1.0),
    "l": (3, 1.0),
    "i": (4, 1.0),
    "k": (4, -1.0),
    "q": (5, 1.0),
    "e": (5, -1.0),
    "o": (6, 1.0),
    "c": (6, -1.0),
    "up": (0, 1.0),
    "down": (0, -1.0),
    "left": (1, 1.0),
    "right": (1, -1.0),
    "pageup": (2, 1.0),
    "pagedown": (2, -1.0),
}

PRESSES: Mapping[str, Press] = {
    "enter": Press.START,
    "space": Press.PAUSE,
    "x": Press.KEEP,
    "z": Press.RERECORD,
    "backspace": Press.DROP,
    "1": Press.SUCCESS,
    "0": Press.FAILURE,
    "t": Press.TAKE_OVER,
    "h": Press.HAND_BACK,
    "Q": Press.QUIT,
}

HELP = (
    "w s a d: forward back left right   r f: up down   q e: turn   i k j l: tilt   o c: gripper\n"
    "enter: start, go on   space: pause   x: keep   z: again   backspace: drop   1 0: good bad\n"
    "n: note (enter ends it)   t: take over   h: hand back   Q: leave"
)

_SEQUENCES = {
    b"\x1b[A": "up",
    b"\x1b[B": "down",
    b"\x1b[C": "right",
    b"\x1b[D": "left",
    b"\x1b[5~": "pageup",
    b"\x1b[6~": "pagedown",
}
_NAMED = {"\r": "enter", "\n": "enter", " ": "space", "\x7f": "backspace", "\b": "backspace"}


def keys(typed: bytes) -> list[str]:
    """The keys in what a terminal sent, by name or letter; what is unknown is left out."""
    found = []
    while typed:
        known = next((one for one in _SEQUENCES if typed.startswith(one)), None)
        if known is not None:
            found.append(_SEQUENCES[known])
            typed = typed[len(known) :]
        elif typed[:1] == b"\x1b":
            typed = typed[_escape_length(typed) :]
        else:
            length = _letter_length(typed[0])
            letter = typed[:length].decode("utf-8", "ignore")
            if letter:
                found.append(_NAMED.get(letter, letter))
            typed = typed[length:]
    return found


def _escape_length(typed: bytes) -> int:
    """Of a sequence that nobody here knows: up to its final byte."""
    if typed[1:2] not in (b"[", b"O"):
        return 1
    for index, byte in enumerate(typed[2:], start=2):
        if 0x40 <= byte <= 0x7E:
            return index + 1
    return len(typed)


def _letter_length(first: int) -> int:
    """Bytes of a letter in UTF-8, by its first one."""
    return 1 if first < 0xC0 else 2 if first < 0xE0 else 3 if first < 0xF0 else 4


class KeyMap:
    """Which keys count as held, what they push, and a note as it is typed."""

    def __init__(self) -> None:
        self._held: dict[str, float] = {}
        self.note: str | None = None
        """What has been typed of a note, None while none is."""

    def press(self, key: str, now_s: float) -> Wish | None:
        """Take one key; what it asks for, if anything."""
        if self.note is not None:
            return self._write(key)
        if key == "n":
            self.note = ""
        elif key in AXES:
            self._held[key] = now_s
        elif key in PRESSES:
            return Wish(PRESSES[key])
        return None

    def stick(self, now_s: float) -> Stick:
        """All that is pushed now."""
        self._held = {key: at for key, at in self._held.items() if now_s - at < HOLD_S}
        pushed = [0.0] * 7
        for key in self._held:
            axis, sign = AXES[key]
            pushed[axis] = min(max(pushed[axis] + sign, -1.0), 1.0)
        x, y, z, roll, pitch, yaw, gripper = pushed
        return Stick((x, y, z), (roll, pitch, yaw), gripper)

    def _write(self, key: str) -> Wish | None:
        written = self.note or ""
        if key == "enter":
            self.note = None
            return Wish(Press.NOTE, written)
        if key == "backspace":
            self.note = written[:-1]
        elif len(written) < _LONGEST_NOTE:
            self.note = written + (" " if key == "space" else key if len(key) == 1 else "")
        return None


class Keyboard:
    """The terminal that the recording runs in; see `reading.InputDevice`.

    Args:
        descriptor: of the terminal; else standard input.
        moves: False: its keys press buttons, and something else moves the robot.
    """

    name = "keyboard"

    def __init__(self, descriptor: int | None = None, *, moves: bool = True) -> None:
        self._chosen, self._moves = descriptor, moves
        self._before: list[int | list[bytes | int]] | None = None
        self._map = KeyMap()

    @property
    def note(self) -> str | None:
        """What is typed of a note, None while none is."""
        return self._map.note

    def open(self) -> None:
        """Let keys come at once and unseen; Ctrl-C stays what it is.

        Raises:
            DfPolicyError: if there is no terminal.
        """
        try:
            self._descriptor = sys.stdin.fileno() if self._chosen is None else self._chosen
            self._before = termios.tcgetattr(self._descriptor)
            tty.setcbreak(self._descriptor, termios.TCSANOW)
        except (OSError, ValueError, termios.error) as error:
            raise DfPolicyError(
                f"expected a terminal on standard input for the keyboard, got {error}; "
                "run it in a terminal (ssh -t), or use --device web"
            ) from error

    def poll(self) -> Reading:
        """What has been typed.

        Raises:
            DfPolicyError: if the terminal is gone.
        """
        wishes = []
        for key in keys(self._typed()):
            wish = self._map.press(key, time.monotonic())
            if wish is not None:
                wishes.append(wish)
        now_s = time.monotonic()
        motion = self._map.stick(now_s) if self._moves else None
        return Reading(motion, now_s, tuple(wishes))

    def close(self) -> None:
        """Leave the terminal as it was."""
        before, self._before = self._before, None
        if before is not None:
            with contextlib.suppress(OSError, termios.error):
                termios.tcsetattr(self._descriptor, termios.TCSADRAIN, before)

    def _typed(self) -> bytes:
        try:
            if not select.select([self._descriptor], [], [], 0.0)[0]:
                return b""
            typed = os.read(self._descriptor, _MOST_BYTES)
        except (OSError, ValueError) as error:
            raise DfPolicyError(f"keyboard: the terminal is gone ({error})") from error
        if not typed:
            raise DfPolicyError("keyboard: the terminal was closed")
        return typed
