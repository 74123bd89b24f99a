"""MuJoCo's own window onto a running world."""

from __future__ import annotations

import os
import sys
from typing import Any

from df_policy.errors import DfPolicyError


def open_viewer(world: Any) -> Any:
    """A window that shows the world whenever its `sync` is called; `close` it in the end.

    Args:
        world: a `df_policy.sim.world.World`.

    Raises:
        DfPolicyError: if there is no display.
    """
    displays = ("DISPLAY", "WAYLAND_DISPLAY")
    if sys.platform == "linux" and not any(os.environ.get(name) for name in displays):
        raise DfPolicyError(
            "expected a display for MuJoCo's window, got neither DISPLAY nor WAYLAND_DISPLAY, "
            "run it headless, or log in with a display (ssh -X)"
        )
    import mujoco.viewer

    return mujoco.viewer.launch_passive(world.model, world.data)
