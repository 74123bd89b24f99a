"""A gamepad: a virtual pad inside the SDL that pygame itself has loaded."""

from __future__ import annotations

import ctypes
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from df_policy.errors import DfPolicyError
from df_policy.teleop.gamepad import BUTTONS, Gamepad, stick_of
from df_policy.teleop.listener import Listener
from df_policy.teleop.reading import Press, Reading

pytest.importorskip("pygame", reason="pip install '.[gamepad]'")

_GAMECONTROLLER = 1
A, START, UP = 0, 6, 11


class VirtualPad:
    """A pad that SDL takes for a real one."""

    def __init__(self) -> None:
        import pygame  # noqa: F401 - loads the library

        maps = Path("/proc/self/maps").read_text().splitlines()
        path = next(line.split()[-1] for line in maps if "libSDL2-2" in line)
        self._sdl = ctypes.CDLL(path)
        pointer = ctypes.c_void_p
        self._sdl.SDL_JoystickFromInstanceID.restype = pointer
        self._sdl.SDL_JoystickGetDeviceInstanceID.restype = ctypes.c_int32
        self._sdl.SDL_JoystickSetVirtualAxis.argtypes = [pointer, ctypes.c_int, ctypes.c_int16]
        self._sdl.SDL_JoystickSetVirtualButton.argtypes = [pointer, ctypes.c_int, ctypes.c_uint8]
        self._index = -1

    def plug_in(self) -> None:
        self._index = self._sdl.SDL_JoystickAttachVirtual(_GAMECONTROLLER, 6, 21, 0)
        assert self._index >= 0
        self._id = self._sdl.SDL_JoystickGetDeviceInstanceID(self._index)

    def unplug(self) -> None:
        if self._index >= 0:
            self._sdl.SDL_JoystickDetachVirtual(self._index)
        self._index = -1

    def axis(self, number: int, share: float) -> None:
        pad = self._sdl.SDL_JoystickFromInstanceID(self._id)
        assert pad, "nobody has opened it"
        self._sdl.SDL_JoystickSetVirtualAxis(pad, number, round(32767 * share))

    def button(self, number: int, down: bool) -> None:
        pad = self._sdl.SDL_JoystickFromInstanceID(self._id)
        self._sdl.SDL_JoystickSetVirtualButton(pad, number, int(down))


@pytest.fixture
def pad() -> Iterator[VirtualPad]:
    import os

    os.environ["SDL_VIDEODRIVER"] = "dummy"
    import pygame
    from pygame._sdl2 import controller

    pygame.display.init()
    controller.init()
    made = VirtualPad()
    yield made
    made.unplug()
    controller.quit()
    pygame.quit()


def until(read: Callable[[], Reading], condition: Callable[[Reading], bool]) -> Reading:
    end = time.monotonic() + 10.0
    while not condition(reading := read()):
        assert time.monotonic() < end, reading
        time.sleep(0.005)
    return reading


def test_sticks_point_as_rep_103_says() -> None:
    axes = dict.fromkeys(range(6), 0) | {0: 32767, 1: -32768, 2: -32767, 3: 16384, 5: 32767}
    stick = stick_of(axes.__getitem__, lambda button: button == UP)
    assert stick.linear == pytest.approx((1.0, -1.0, -0.5), abs=1e-3)
    assert stick.angular == pytest.approx((0.0, 1.0, 1.0))
    assert stick.gripper == pytest.approx(1.0)


def test_every_button_asks_for_something_else() -> None:
    assert len(set(BUTTONS.values())) == len(BUTTONS)


def test_a_pad_drives_presses_and_is_missed_when_it_is_unplugged(pad: VirtualPad) -> None:
    pad.plug_in()
    with Listener(Gamepad()) as listener:
        reading = until(listener.read, lambda r: r.motion is not None)
        assert reading.motion.linear == pytest.approx((0.0, 0.0, 0.0))
        pad.axis(1, -1.0)
        reading = until(listener.read, lambda r: r.motion.linear[0] > 0.99)
        for button, press in ((START, Press.TOGGLE), (A, Press.KEEP)):
            pad.button(button, True)
            reading = until(listener.read, lambda r: bool(r.wishes))
            assert [wish.press for wish in reading.wishes] == [press]
            pad.button(button, False)
        time.sleep(0.1)
        assert listener.read().wishes == (), "a button is pressed once"
        pad.unplug()
        reading = until(listener.read, lambda r: bool(r.problem))
        assert reading.motion is None, "SDL says that all axes are at 0: nobody may believe it"
        assert "plug" in reading.problem
        pad.plug_in()
        until(listener.read, lambda r: r.motion is not None and not r.problem)


def test_without_a_pad_it_says_what_to_do(pad: VirtualPad) -> None:
    with pytest.raises(DfPolicyError, match="expected a gamepad"):
        Gamepad().open()
