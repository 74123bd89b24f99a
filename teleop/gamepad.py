"""Gamepads through SDL, which knows the layout of most of them.

| control | does |
|---|---|
| left stick | forward, left |
| right stick | up, turn |
| directional pad | tilt |
| triggers | left closes, right opens the gripper |
| start | start, go on; pause |
| A, B, back | keep, again, drop |
| X, Y | success, failure |
| shoulder buttons | left takes over, right hands back |
"""

from __future__ import annotations

import contextlib
import os
import time
from collections.abc import Callable, Mapping
from typing import Any

from df_policy.errors import DfPolicyError
from df_policy.teleop.reading import Press, Reading, Stick, Wish

# SDL's numbers, the same for all pads: SDL_GameControllerAxis, SDL_GameControllerButton.
_LEFT_X, _LEFT_Y, _RIGHT_X, _RIGHT_Y, _LEFT_TRIGGER, _RIGHT_TRIGGER = range(6)
_UP, _DOWN, _LEFT, _RIGHT = 11, 12, 13, 14
BUTTONS: Mapping[int, Press] = {
    0: Press.KEEP,
    1: Press.RERECORD,
    2: Press.SUCCESS,
    3: Press.FAILURE,
    4: Press.DROP,
    6: Press.TOGGLE,
    9: Press.TAKE_OVER,
    10: Press.HAND_BACK,
}
_FULL = 32767.0


def stick_of(axis: Callable[[int], int], button: Callable[[int], bool]) -> Stick:
    """A pad's state as a stick; SDL's axes point right and down.

    Args:
        axis: SDL's number of an axis -> -32768..32767.
        button: SDL's number of a button -> whether it is down.
    """

    def share(number: int) -> float:
        return max(-1.0, axis(number) / _FULL)

    return Stick(
        linear=(-share(_LEFT_Y), -share(_LEFT_X), -share(_RIGHT_Y)),
        angular=(
            float(button(_RIGHT)) - float(button(_LEFT)),
            float(button(_UP)) - float(button(_DOWN)),
            -share(_RIGHT_X),
        ),
        gripper=share(_RIGHT_TRIGGER) - share(_LEFT_TRIGGER),
    )


class Gamepad:
    """The first pad that SDL finds; see `reading.InputDevice`."""

    name = "gamepad"

    def __init__(self) -> None:
        self._pad: Any = None

    def open(self) -> None:
        """Take the first pad.

        Raises:
            DfPolicyError: if there is none, or the library is missing.
        """
        pygame, controller = _library()
        if not pygame.display.get_init():
            pygame.display.init()
        controller.init()
        pygame.event.pump()
        pygame.event.clear()
        for index in range(controller.get_count()):
            if controller.is_controller(index):
                self._pad = controller.Controller(index)
                return
        raise DfPolicyError(
            "expected a gamepad, got none that SDL knows; plug one in (on Linux you must be "
            "allowed to read /dev/input/event*: group input)"
        )

    def poll(self) -> Reading:
        """Its sticks now, and the buttons pressed since the last call.

        Raises:
            DfPolicyError: if it was unplugged.
        """
        pygame, _ = _library()
        # In this order: a pad that is unplugged after the look at its axes is found at the next.
        events = pygame.event.get([pygame.CONTROLLERBUTTONDOWN, pygame.CONTROLLERDEVICEREMOVED])
        if self._pad is None or not self._pad.attached():
            raise DfPolicyError("gamepad: unplugged, or its battery is empty; plug it in again")
        pressed = [e.button for e in events if e.type == pygame.CONTROLLERBUTTONDOWN]
        wishes = tuple(Wish(BUTTONS[one]) for one in pressed if one in BUTTONS)
        motion = stick_of(self._pad.get_axis, self._pad.get_button)
        return Reading(motion, time.monotonic(), wishes)

    def close(self) -> None:
        """Let go of the pad."""
        pad, self._pad = self._pad, None
        if pad is not None:
            pygame, _ = _library()
            with contextlib.suppress(pygame.error):
                pad.quit()


def _library() -> tuple[Any, Any]:
    """Pygame and its game controllers.

    Raises:
        DfPolicyError: if it is not installed.
    """
    os.environ.setdefault("PYGAME_HIDE_SUPPORT_PROMPT", "1")
    # No window: then there is no focus either, without which SDL would tell nothing.
    os.environ.setdefault("SDL_VIDEODRIVER", "dummy")
    os.environ.setdefault("SDL_JOYSTICK_ALLOW_BACKGROUND_EVENTS", "1")
    try:
        import pygame
        from pygame._sdl2 import controller
    except ImportError as error:
        raise DfPolicyError(
            f"expected pygame-ce for a gamepad, got {error}; pip install 'df_policy[gamepad]'"
        ) from error
    return pygame, controller
