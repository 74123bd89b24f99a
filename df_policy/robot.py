"""What a policy must know of the robot that it drives, and the limits that its targets keep.

The numbers stand here alone. `RobotSpec.limit` cuts an action to what one action period allows;
the targets of every tick pass a `gate.Gate`, over ROS at the sender and once more at the receiver,
which trusts no sender.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from jaxtyping import Float64

from df_policy.frames import Action
from df_policy.geometry import Pose

_FR3_RANGES_RAD = (
    (-2.7437, 2.7437),
    (-1.7837, 1.7837),
    (-2.9007, 2.9007),
    (-3.0421, -0.1518),
    (-2.8065, 2.8065),
    (0.5445, 4.5169),
    (-3.0159, 3.0159),
)
_FR3_SPEEDS_RAD_S = (2.62, 2.62, 2.62, 2.62, 5.26, 4.18, 5.26)
"""Source: Franka Robotics, FR3 robot and interface specifications."""
_FR3_JOINTS = tuple(f"fr3_joint{number}" for number in range(1, 8))
_END_RAD = 0.02
"""So near the end of its range a joint counts as being there."""


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
    max_acceleration_m_s2: float = 13.0
    max_turn_acceleration_rad_s2: float = 25.0
    """Of targets from tick to tick; also how hard the gate brakes."""
    max_jump_m: float = 0.25
    max_jump_rad: float = 0.6
    """A target farther than this from the last is a mistake: it is not followed. No plan within
    the limits of speed asks for as much, not even one that turns back."""
    max_lag_m: float = 0.35
    max_lag_rad: float = 1.2
    """A robot farther than this from its target does not follow: it is stopped."""
    joint_range_rad: tuple[tuple[float, float], ...] = ()
    """Lower and upper end of each joint; empty: not watched. Those of the FR3 are filled in."""
    max_joint_speed_rad_s: tuple[float, ...] = ()
    """As `joint_range_rad`."""

    def __post_init__(self) -> None:
        """Raises ValueError if there are limits for another number of joints."""
        if self.joint_names == _FR3_JOINTS:
            object.__setattr__(self, "joint_range_rad", self.joint_range_rad or _FR3_RANGES_RAD)
            speeds = self.max_joint_speed_rad_s or _FR3_SPEEDS_RAD_S
            object.__setattr__(self, "max_joint_speed_rad_s", speeds)
        for name in ("joint_range_rad", "max_joint_speed_rad_s"):
            if len(getattr(self, name)) not in (0, len(self.joint_names)):
                raise ValueError(
                    f"expected {name} of {len(self.joint_names)} joints or none, "
                    f"got {len(getattr(self, name))}"
                )

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
        ranges = known.get("joint_range_rad", ())
        known["joint_range_rad"] = tuple((float(low), float(high)) for low, high in ranges)
        speeds = known.get("max_joint_speed_rad_s", ())
        known["max_joint_speed_rad_s"] = tuple(float(speed) for speed in speeds)
        return cls(**known)

    def agrees_with(self, other: RobotSpec) -> bool:
        """Whether what one recorded means the same to the other; limits may differ."""
        names = ("name", "joint_names", "cameras", "action_rate_hz", "gripper_range_m")
        return all(getattr(self, name) == getattr(other, name) for name in names)

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

    def leap(self, here: Pose, wanted: Pose) -> str:
        """How much too far one target is from another, or from the robot; empty if it is near."""
        far_m = float(np.linalg.norm(wanted.position_m - here.position_m))
        far_rad = here.angle_to(wanted)
        if far_m <= self.max_jump_m and far_rad <= self.max_jump_rad:
            return ""
        allowed = f"within {self.max_jump_m:g} m and {self.max_jump_rad:g} rad"
        return f"{allowed}, got {far_m:.2f} m and {far_rad:.2f} rad"

    def joint_at_end(self, q_rad: Float64[np.ndarray, "n"]) -> str:
        """Which joint is at the end of its range, or beyond; empty if none is."""
        for name, q, (low, high) in zip(
            self.joint_names, q_rad.tolist(), self.joint_range_rad, strict=False
        ):
            if not low + _END_RAD <= q <= high - _END_RAD:
                return f"expected {name} from {low:g} to {high:g} rad, got {q:.3f}"
        return ""

    def joint_too_fast(self, dq_rad_s: Float64[np.ndarray, "n"]) -> str:
        """Which joint moves faster than it may; empty if none does."""
        for name, speed, top in zip(
            self.joint_names, np.abs(dq_rad_s).tolist(), self.max_joint_speed_rad_s, strict=False
        ):
            if not speed <= top:
                return f"expected {name} at {top:g} rad/s at most, got {speed:.2f}"
        return ""
