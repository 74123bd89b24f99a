"""What a policy must know of the robot that it drives, and the limits that its targets keep."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from df_policy.frames import Action
from df_policy.geometry import Pose


@dataclass(frozen=True)
class RobotSpec:
    """A robot's schema: recordings and checkpoints carry one, and it must match the robot's."""

    name: str
    joint_names: tuple[str, ...]
    cameras: Mapping[str, tuple[int, int]]
    """Camera name -> (height, width) of the image that the policy sees."""
    action_rate_hz: float = 10.0
    """Actions per second in recordings and plans."""
    control_rate_hz: float = 50.0
    """Targets per second on the wire, interpolated between actions."""
    gripper_range_m: tuple[float, float] = (0.0, 0.08)
    workspace_m: tuple[tuple[float, float, float], tuple[float, float, float]] = field(
        default=((0.25, -0.40, 0.005), (0.75, 0.40, 0.60))
    )
    """Lower and upper corner of the box that the tool stays in."""
    max_speed_m_s: float = 1.2

    @property
    def period_ns(self) -> int:
        """Time between two actions."""
        return round(1e9 / self.action_rate_hz)

    @property
    def control_steps(self) -> int:
        """Control ticks in one action period."""
        return round(self.control_rate_hz / self.action_rate_hz)

    def limit(self, action: Action, previous: Action) -> Action:
        """`action` inside the workspace, the gripper's range and the speed limit.

        Args:
            action: the target asked for.
            previous: the target sent one action period earlier.
        """
        low, high = (np.array(corner) for corner in self.workspace_m)
        position = np.clip(action.tool.position_m, low, high)
        step = position - previous.tool.position_m
        reach = self.max_speed_m_s / self.action_rate_hz
        length = float(np.linalg.norm(step))
        if length > reach:
            position = previous.tool.position_m + step * (reach / length)
        gripper = float(np.clip(action.gripper_m, *self.gripper_range_m))
        return Action(Pose(position, action.tool.quat_xyzw), gripper)
