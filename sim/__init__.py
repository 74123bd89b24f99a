"""The simulated robot and its tasks; importing this package loads no simulator."""

from __future__ import annotations

import contextlib
import ctypes
import os
import sys


def register() -> None:
    """Make `FruitSwap-v0` and its like known to gymnasium; registering twice is harmless."""
    import gymnasium

    from df_policy.sim.tasks import TASKS

    for name, task in TASKS.items():
        if task.gym_id not in gymnasium.registry:
            gymnasium.register(
                task.gym_id, entry_point="df_policy.sim.gym_env:TaskGym", kwargs={"task": name}
            )


def _choose_graphics() -> None:
    """Have MuJoCo draw without a display; where EGL is missing, let it at least be imported."""
    # Mesa's software rasteriser would start threads: these small images do not need them, and a
    # forked process would wait for them in vain.
    os.environ.setdefault("LP_NUM_THREADS", "0")
    if sys.platform != "linux" or "MUJOCO_GL" in os.environ:
        return
    try:
        ctypes.CDLL("libEGL.so.1")
        os.environ["MUJOCO_GL"] = "egl"
    except OSError:
        os.environ["MUJOCO_GL"] = "disable"


_choose_graphics()
with contextlib.suppress(ImportError):  # only those who want its interface need gymnasium
    register()
