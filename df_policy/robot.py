"""What a policy must know of the robot that it drives, and the limits that its targets keep.

The numbers stand here alone; who sends targets applies them. The environment limits each action
to what one action period allows, which is what recordings call sent. Over ROS the plan's follower
does the same and then limits each tick's target; what receives targets limits each tick once more
and trusts no sender.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

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
    max_turn_rad_s: float = 2.5

    @classmethod
    def from_json(cls, values: Mapping[str, Any]) -> RobotSpec:
        """The spec that `dataclasses.asdict` made, after JSON; a missing value has its default.

        Raises:
            TypeError, ValueError, KeyError: if a value is unknown or no such thing.
        """
        known = dict(values)
        known["joint_names"] = tuple(str(name) for name in known["joint_names"])
        known["cameras"] = {name: (int(h), int(w)) for name, (h, w) in known["cameras"].items()}
        if "gripper_range_m" in known:
            low, high = known["gripper_range_m"]
            known["gripper_range_m"] = (float(low), float(high))
        if "workspace_m" in known:
            low, high = known["workspace_m"]
            known["workspace_m"] = (tuple(low), tuple(high))
        return cls(**known)

    @property
    def period_ns(self) -> int:
        """Time between two actions."""
        return round(1e9 / self.action_rate_hz)

    @property
    def control_steps(self) -> int:
        """Control ticks in one action period."""
        return round(self.control_rate_hz / self.action_rate_hz)

    def limit(self, action: Action, previous: Action, period_s: float) -> Action:
        """`action` inside the workspace, the gripper's range, and both speed limits.

        Args:
            action: the target asked for.
            previous: the target sent before it.
            period_s: time between the two.
        """
        low, high = (np.array(corner) for corner in self.workspace_m)
        position = np.clip(action.tool.position_m, low, high)
        step = position - previous.tool.position_m
        reach = self.max_speed_m_s * period_s
        length = float(np.linalg.norm(step))
        if length > reach:
            position = previous.tool.position_m + step * (reach / length)
        quat, turn = action.tool.quat_xyzw, self.max_turn_rad_s * period_s
        angle = previous.tool.angle_to(action.tool)
        if angle > turn:
            quat = previous.tool.towards(action.tool, turn / angle).quat_xyzw
        gripper = float(np.clip(action.gripper_m, *self.gripper_range_m))
        return Action(Pose(position, quat), gripper)
