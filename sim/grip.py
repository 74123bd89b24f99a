"""The friction of the finger pads, which a disturbance may take away for a while."""

from __future__ import annotations

import mujoco
import numpy as np

from df_policy.sim.scene import ROBOT_PREFIX

_SLIPPERY = 1e-4


class Grip:
    """The finger pads of one model."""

    def __init__(self, model: mujoco.MjModel) -> None:
        """Remembers how well they hold.

        Args:
            model: the task's model.
        """
        fingers = [f"{ROBOT_PREFIX}{side}_finger" for side in ("left", "right")]
        bodies = [int(model.body(finger).id) for finger in fingers]
        boxes = model.geom_type == int(mujoco.mjtGeom.mjGEOM_BOX)
        self._model = model
        self._pads = np.flatnonzero(boxes & np.isin(model.geom_bodyid, bodies))
        self._friction = model.geom_friction[self._pads].copy()
        self._left_s = 0.0

    def loosen(self, duration_s: float) -> None:
        """Hold nothing for so long."""
        self._left_s = duration_s
        self._model.geom_friction[self._pads] = _SLIPPERY
        self._model.geom_priority[self._pads] = 1  # else the fruit's own friction would hold it

    def tighten(self) -> None:
        """Hold as ever."""
        self._left_s = 0.0
        self._model.geom_friction[self._pads] = self._friction
        self._model.geom_priority[self._pads] = 0

    def tick(self, duration_s: float) -> None:
        """So much time passes next."""
        if self._left_s > 0.0:
            self._left_s -= duration_s
            if self._left_s <= 0.0:
                self.tighten()
