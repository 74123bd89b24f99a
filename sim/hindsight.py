"""Images that come late: they show what stood where a little while ago."""

from __future__ import annotations

from collections import deque

import mujoco
import numpy as np
from jaxtyping import Float64

MOST_TICKS = 5
"""An action period: nothing is older than the observation before."""

Positions = Float64[np.ndarray, "n"]


class Hindsight:
    """Remembers the last control ticks of an episode.

    Args:
        model: of the world.
    """

    def __init__(self, model: mujoco.MjModel) -> None:
        self._model = model
        self._past: deque[tuple[int, Positions]] = deque(maxlen=MOST_TICKS + 1)
        self._then: mujoco.MjData | None = None
        self.ticks = 0
        """How old images are when they come; what is before the episode is not seen."""

    def begin(self, time_ns: int, qpos: Positions) -> None:
        """An episode begins so."""
        self._past.clear()
        self.add(time_ns, qpos)

    def add(self, time_ns: int, qpos: Positions) -> None:
        """A tick has ended so."""
        self._past.append((time_ns, qpos.copy()))

    def sight(self, time_ns: int, now: mujoco.MjData) -> tuple[int, mujoco.MjData]:
        """When what the cameras show was, and that moment.

        Args:
            time_ns: the present.
            now: the present's moment.
        """
        if self.ticks == 0:
            return time_ns, now
        taken_ns, qpos = self._past[max(0, len(self._past) - 1 - self.ticks)]
        self._then = self._then or mujoco.MjData(self._model)
        self._then.qpos[:], self._then.mocap_pos[:] = qpos, now.mocap_pos
        mujoco.mj_kinematics(self._model, self._then)
        mujoco.mj_camlight(self._model, self._then)
        return taken_ns, self._then
