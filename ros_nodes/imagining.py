"""Pictures of what a plan foresees, drawn in the planner's process while it has no job.

They are for people: a plan is sent before it is drawn, a job that comes is done before the next
camera's picture, and what does not get through at once is left out.
"""

from __future__ import annotations

import logging
import math
from collections import deque
from dataclasses import replace

import numpy as np
from jaxtyping import UInt8

from df_policy.errors import DfPolicyError
from df_policy.frames import Image
from df_policy.plan import Imagines, Plan, Planner
from df_policy.ros_nodes.planning import Picture

LOG = logging.getLogger(__name__)

LARGEST = 1 << 16
"""Bytes of a picture; of a larger one only every so many pixels are sent."""


class Painter:
    """Draws the end of the newest plan's first token, camera by camera.

    Args:
        planner: who made the plans.

    Raises:
        DfPolicyError: if it cannot draw.
    """

    def __init__(self, planner: Planner) -> None:
        if not isinstance(planner, Imagines):
            raise DfPolicyError("expected a planner that imagines, got another: set imagine false")
        self._planner: Imagines = planner
        self._undrawn: deque[tuple[Plan, str]] = deque()
        self._broken = False

    @property
    def busy(self) -> bool:
        """Whether there is something to draw."""
        return bool(self._undrawn)

    def offer(self, plan: Plan | None) -> None:
        """Draw this, and nothing more of the plan before."""
        if plan is not None and not self._broken:
            self._undrawn = deque((plan, camera) for camera in plan.foreseen)

    def draw(self) -> Picture | None:
        """The next picture; None if there is none. Of a planner that fails at one, no more."""
        if not self._undrawn:
            return None
        plan, camera = self._undrawn.popleft()
        first = replace(plan, foreseen={camera: plan.foreseen[camera][:1]})
        try:
            rgb = self._planner.pictures(first)[camera][0]
        except Exception:  # the robot is driven without pictures too
            LOG.exception("a plan could not be drawn; no more pictures")
            self._broken = True
            self._undrawn.clear()
            return None
        return Picture(plan.foreseen_ns[0], camera, thinned(rgb))


def thinned(rgb: Image) -> UInt8[np.ndarray, "fewer_rows fewer_columns 3"]:
    """The picture with as many pixels as may be sent."""
    step = math.ceil(math.sqrt(rgb.nbytes / LARGEST))
    return rgb[::step, ::step]
