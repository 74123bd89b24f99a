"""The way of a scripted hand: actions that grow way-point by way-point."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

import numpy as np

from df_policy.frames import Action
from df_policy.geometry import Pose, Vector
from df_policy.sim.tasks.task import HOME

DT_S = 0.1
GRIP_STEPS = 4


class Phase(Enum):
    """What the hand is doing, which tells what may surprise it."""

    REST = "rest"
    REACH = "reach"
    GRIP = "grip"
    CARRY = "carry"
    LEAVE = "leave"


@dataclass(frozen=True)
class Step:
    """One action, and to what end."""

    action: Action
    phase: Phase


class Path:
    """Grows stretch by stretch, each a minimum-jerk motion."""

    def __init__(self, start: Action, speed_m_s: float, phase: Phase) -> None:
        """Begins where the hand is.

        Args:
            start: the last action.
            speed_m_s: mean speed of each stretch.
            phase: of the steps that are added next.
        """
        self.steps: list[Step] = []
        self.phase = phase
        self._at = start
        self._speed_m_s = speed_m_s

    def to(self, point_m: Vector) -> None:
        """Straight to a point."""
        begin = self._at.tool.position_m
        duration_s = float(np.linalg.norm(point_m - begin)) / self._speed_m_s
        steps = max(3, round(duration_s / DT_S))
        for step in range(1, steps + 1):
            u = step / steps
            share = u**3 * (10.0 - 15.0 * u + 6.0 * u**2)
            self._add(begin + share * (point_m - begin), self._at.gripper_m)

    def grip(self, opening_m: float, steps: int = GRIP_STEPS) -> None:
        """Open or close on the spot."""
        for _ in range(steps):
            self._add(self._at.tool.position_m, opening_m)

    @property
    def height_m(self) -> float:
        """Of the hand's target at the end of the path."""
        return float(self._at.tool.position_m[2])

    def _add(self, position_m: Vector, gripper_m: float) -> None:
        self._at = Action(Pose(position_m, HOME.quat_xyzw), gripper_m)
        self.steps.append(Step(self._at, self.phase))
