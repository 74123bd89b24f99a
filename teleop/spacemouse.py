"""3Dconnexion's SpaceMice: six axes, and two buttons that close and open the gripper.

The mouse speaks only while it is touched; that its file can still be read is its sign of life.
"""

from __future__ import annotations

import contextlib
import time
from typing import Any

from df_policy.errors import DfPolicyError
from df_policy.teleop.reading import Reading, Stick

_MOST_REPORTS = 64
"""Read at once; the mouse sends about 250 a second."""


class SpaceMouse:
    """The first SpaceMouse; see `reading.InputDevice`.

    Its episode buttons are the keys of the terminal.
    """

    name = "SpaceMouse"

    def __init__(self) -> None:
        self._mouse: Any = None

    def open(self) -> None:
        """Take the first mouse.

        Raises:
            DfPolicyError: if there is none, or a library is missing.
        """
        try:
            import pyspacemouse
        except (ImportError, OSError, AttributeError) as error:
            raise DfPolicyError(
                f"expected pyspacemouse and hidapi for a SpaceMouse, got {error}; pip install "
                "'df_policy[spacemouse]' and, on Debian or Ubuntu, apt install libhidapi-hidraw0"
            ) from error
        try:
            axes = pyspacemouse.AxisConvention.ROS
            self._mouse = pyspacemouse.open(nonblocking=True, axis_convention=axes)
        except Exception as error:  # each failure of the library has a type of its own
            raise DfPolicyError(
                f"expected a SpaceMouse, got {error or type(error).__name__}; plug it in (on "
                "Linux: apt install libhidapi-hidraw0, and be allowed to read /dev/hidraw*)"
            ) from error

    def poll(self) -> Reading:
        """Its deflection now.

        Raises:
            DfPolicyError: if it was unplugged.
        """
        try:
            state = self._newest()
        except Exception as error:  # easyhid's own type, which is not there without it
            raise DfPolicyError(f"SpaceMouse: unplugged ({error}); plug it in again") from error
        buttons = [*state.buttons, 0, 0]
        stick = Stick(
            (state.x, state.y, state.z),
            (state.roll, state.pitch, state.yaw),
            float(buttons[1]) - float(buttons[0]),
        )
        return Reading(stick, time.monotonic())

    def close(self) -> None:
        """Let go of the mouse."""
        mouse, self._mouse = self._mouse, None
        if mouse is not None:
            with contextlib.suppress(Exception):  # it may be gone
                mouse.close()

    def _newest(self) -> Any:
        """The state after all reports that have come; moves and turns are reports of their own."""
        state, seen = self._mouse.read(), None
        for _ in range(_MOST_REPORTS):
            if state.t == seen:  # the library changes its one state in place
                break
            seen = state.t
            state = self._mouse.read()
        return state
