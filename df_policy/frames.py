"""What flows between the parts: an observation, an action, and the frame that is recorded.

Stamps are integer nanoseconds of the robot's clock, lengths metres, angles radians, poses those of
the tool in the robot's base frame.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import IntEnum

import numpy as np
from jaxtyping import Float64, UInt8

from df_policy.geometry import Pose, quat_from_6d, rotation_6d

Image = UInt8[np.ndarray, "height width 3"]

ACTION_WIDTH = 10
"""An action as a row: x y z [m], 6-D rotation, gripper opening [m]."""

JOINTS, TOOL = "joints", "tool"
"""Streams beside the cameras: joint states with the gripper, and the tool's pose."""

UNKNOWN = -1
"""In place of a stamp or a count that nobody has told."""


def camera_stream(camera: str) -> str:
    """What a camera's images are called among the streams."""
    return f"image_{camera}"


def streams(cameras: Iterable[str]) -> tuple[str, ...]:
    """All that an observation is made of."""
    return (*map(camera_stream, cameras), JOINTS, TOOL)


@dataclass(frozen=True)
class Arrival:
    """How a stream's sample came to be in an observation."""

    stamp_ns: int = UNKNOWN
    """When it was true, by its header: the clock of `Observation.stamp_ns`."""
    received_ns: int = UNKNOWN
    """Wall clock when it reached this computer."""
    dropped: int = UNKNOWN
    """Samples of this stream that got lost between that of the frame before and this one."""


@dataclass(frozen=True)
class Observation:
    """All that is known at one tick, aligned: each part is the newest not after the stamp."""

    stamp_ns: int
    images: Mapping[str, Image]
    """Camera name -> RGB."""
    image_stamps_ns: Mapping[str, int]
    q_rad: Float64[np.ndarray, "n"]
    dq_rad_s: Float64[np.ndarray, "n"]
    tool: Pose
    gripper_m: float
    """Opening between the fingers."""
    before: Observation | None = None
    """What was seen one action earlier, for planners that compare; None at an episode's start."""
    arrivals: Mapping[str, Arrival] = field(default_factory=dict)
    """One for each of `streams`; none where a world hands everything over in one piece."""

    def hold(self) -> Action:
        """The action that stays here."""
        return Action(self.tool, self.gripper_m)


@dataclass(frozen=True)
class Action:
    """An absolute target for the tool and the gripper, to be reached one action period later."""

    tool: Pose
    gripper_m: float

    def row(self) -> Float64[np.ndarray, "10"]:
        """This action as numbers, in the order of ACTION_WIDTH."""
        rotation = rotation_6d(self.tool.quat_xyzw)
        return np.concatenate([self.tool.position_m, rotation, [self.gripper_m]])

    @classmethod
    def from_row(cls, row: Float64[np.ndarray, "10"]) -> Action:
        """The action that `row` writes down; its rotation is made proper."""
        return cls(Pose.of(row[:3], quat_from_6d(row[3:9])), float(row[9]))

    def towards(self, other: Action, fraction: float) -> Action:
        """The target `fraction` of the way to `other`, as a controller walks it."""
        share = min(max(fraction, 0.0), 1.0)
        gripper = self.gripper_m + share * (other.gripper_m - self.gripper_m)
        return Action(self.tool.towards(other.tool, share), gripper)


class Control(IntEnum):
    """Who moved the robot at a step; recordings hold the number."""

    DEVICE = 0
    """The device that the recording names: a person, or a script."""
    POLICY = 1
    NOBODY = 2
    """The device had gone, and the robot held its last target."""


@dataclass(frozen=True)
class Frame:
    """One recorded tick: what was seen, what was asked for, what the robot was really told."""

    observation: Observation
    requested: Action
    sent: Action
    received_ns: int
    """Wall clock when the observation reached the recorder."""
    control: Control = Control.DEVICE
    """Who asked for it."""
