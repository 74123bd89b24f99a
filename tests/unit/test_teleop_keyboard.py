"""The keyboard, at the other end of a real pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
import pty
import termios
import time
from collections.abc import Iterator

import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.errors import DfPolicyError
from df_policy.teleop.keyboard import AXES, HOLD_S, PRESSES, Keyboard, KeyMap, keys
from df_policy.teleop.listener import Listener
from df_policy.teleop.reading import Press, Stick


@pytest.fixture
def terminal() -> Iterator[tuple[int, int]]:
    """The person's end, and the program's."""
    ours, theirs = pty.openpty()
    yield ours, theirs
    for descriptor in (ours, theirs):
        with contextlib.suppress(OSError):  # a test may have closed it
            os.close(descriptor)


@given(st.binary(max_size=40))
def test_no_bytes_can_hurt(typed: bytes) -> None:
    assert all(isinstance(key, str) and key for key in keys(typed))


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        (b"wa", ["w", "a"]),
        (b"\x1b[A\x1b[Dx", ["up", "left", "x"]),
        (b"\x1b[5~\x1b[1;5Cq", ["pageup", "q"]),
        (b"\x1bOPw", ["w"]),
        ("é".encode(), ["é"]),
        (b"\r\x7f ", ["enter", "backspace", "space"]),
        (b"\x1b", []),
    ],
)
def test_what_terminals_send_is_understood(typed: bytes, found: list[str]) -> None:
    assert keys(typed) == found


def test_no_key_both_moves_and_presses() -> None:
    assert not set(AXES) & set(PRESSES)
    assert "n" not in {*AXES, *PRESSES}


def test_a_held_key_moves_until_it_stops_repeating() -> None:
    held = KeyMap()
    held.press("w", 0.0)
    held.press("a", 0.0)
    assert held.stick(0.9 * HOLD_S) == Stick((1.0, 1.0, 0.0))
    held.press("w", 0.9 * HOLD_S)
    assert held.stick(1.1 * HOLD_S) == Stick((1.0, 0.0, 0.0))
    assert held.stick(2.0 * HOLD_S) == Stick()


def test_opposite_keys_cancel() -> None:
    held = KeyMap()
    for key in ("w", "s", "o"):
        held.press(key, 0.0)
    assert held.stick(0.0) == Stick(gripper=1.0)


def test_keys_of_a_note_neither_move_nor_press() -> None:
    held = KeyMap()
    wishes = [held.press(key, 0.0) for key in ["n", "w", "x", "space", "q", "k", "backspace"]]
    assert wishes == [None] * 7
    assert held.stick(0.0) == Stick()
    wish = held.press("enter", 0.0)
    assert wish is not None
    assert (wish.press, wish.text) == (Press.NOTE, "wx q")
    assert held.note is None


def test_keys_typed_into_a_terminal_arrive_and_it_is_left_as_it_was(
    terminal: tuple[int, int],
) -> None:
    person, program = terminal
    before = termios.tcgetattr(program)
    with Listener(Keyboard(program)) as listener:
        assert termios.tcgetattr(program) != before
        os.write(person, b"wx")
        end, moved, pressed = time.monotonic() + 5.0, False, []
        while not (moved and pressed):
            reading = listener.read()
            moved = moved or reading.motion == Stick((1.0, 0.0, 0.0))
            pressed += [wish.press for wish in reading.wishes]
            assert time.monotonic() < end
        assert pressed == [Press.KEEP]
    assert termios.tcgetattr(program) == before


def test_a_terminal_that_is_closed_is_told(terminal: tuple[int, int]) -> None:
    person, program = terminal
    with Listener(Keyboard(program)) as listener:
        os.close(person)
        end = time.monotonic() + 5.0
        while "terminal" not in listener.read().problem:
            assert time.monotonic() < end
        assert listener.read().motion is None


def test_without_a_terminal_it_says_what_to_do() -> None:
    read, write = os.pipe()
    try:
        with pytest.raises(DfPolicyError, match=r"expected a terminal.*--device web"):
            Keyboard(read).open()
    finally:
        os.close(read)
        os.close(write)
