"""Where a camera is: on the hand, or fixed beside the robot, from pictures of a board.

For a camera on the hand the board lies fixed; for a fixed camera the hand holds the board. Either
way the hand goes to a dozen poses or more, turned about at least two axes, and a picture is taken
at rest at each.

Source: Park and Martin 1994, Robot Sensor Calibration: Solving AX = XB on the Euclidean Group;
then all views at once are brought to agree (least squares). OpenCV 5 has no such function.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Literal

import numpy as np
from scipy.optimize import least_squares
from scipy.spatial.transform import Rotation

from df_policy.errors import DfPolicyError
from df_policy.geometry import Pose
from df_policy.hardware.board import Transform, transform

Mount = Literal["hand", "fixed"]
LEAST_VIEWS = 8
_LEAST_TURN_RAD = 0.26
"""Two axes must each be turned about by as much, else nothing tells the camera's place."""
_ARM_M = 0.3
"""A radian counts as much as it moves a point so far away."""


@dataclass(frozen=True)
class Calibration:
    """Where a camera is, and how well that agrees with what it saw."""

    camera: Pose
    """In the frame of the hand's tool, or of the base, as mounted; optical: z ahead, x right."""
    mount: Mount
    views: int
    error_mm: float
    """Of the board's place from view to view (rms): what is left when all agree at best."""
    error_deg: float

    def __str__(self) -> str:
        at = ", ".join(f"{1e3 * value:.1f}" for value in self.camera.position_m)
        quat = ", ".join(f"{value:.5f}" for value in self.camera.quat_xyzw)
        frame = "tool" if self.mount == "hand" else "base"
        return (
            f"camera in the frame of the {frame}: ({at}) mm, quaternion xyzw ({quat})\n"
            f"from {self.views} views, which agree within {self.error_mm:.2f} mm and "
            f"{self.error_deg:.3f} degrees (rms)"
        )


def calibrate(mount: Mount, tools: Sequence[Pose], boards: Sequence[Transform]) -> Calibration:
    """Find the camera.

    Args:
        mount: on the hand, with the board fixed, or fixed, with the board in the hand.
        tools: of the tool in the robot's base, one for each picture.
        boards: of the board in the camera's frame, from the same picture.

    Raises:
        DfPolicyError: if there are too few views, or they are too much alike.
    """
    if len(tools) != len(boards) or len(tools) < LEAST_VIEWS:
        raise DfPolicyError(
            f"expected at least {LEAST_VIEWS} pictures that show the board, got {len(boards)}"
        )
    _check_variety(tools)
    hands = [matrix_of(tool) for tool in tools]
    # With the board in the hand the same equation holds with the hand seen from the other end.
    moving = hands if mount == "hand" else [np.linalg.inv(hand) for hand in hands]
    camera, board = _agree(moving, boards, _first_guess(moving, boards))
    apart = [np.linalg.inv(board) @ hand @ camera @ seen
             for hand, seen in zip(moving, boards, strict=True)]  # fmt: skip
    far_m = np.array([np.linalg.norm(one[:3, 3]) for one in apart])
    far_rad = np.array([Rotation.from_matrix(one[:3, :3]).magnitude() for one in apart])
    return Calibration(
        pose_of(camera),
        mount,
        len(tools),
        1e3 * float(np.sqrt(np.mean(far_m**2))),
        float(np.rad2deg(np.sqrt(np.mean(far_rad**2)))),
    )


def matrix_of(pose: Pose) -> Transform:
    """A pose as a matrix."""
    return transform(Rotation.from_quat(pose.quat_xyzw).as_matrix(), pose.position_m)


def pose_of(matrix: Transform) -> Pose:
    """A matrix as a pose."""
    return Pose.of(matrix[:3, 3], Rotation.from_matrix(matrix[:3, :3]).as_quat())


def _first_guess(hands: Sequence[Transform], boards: Sequence[Transform]) -> Transform:
    """The camera from how hand and board move between views."""
    pairs = list(combinations(range(len(hands)), 2))
    by_hand = [np.linalg.inv(hands[j]) @ hands[i] for i, j in pairs]
    by_sight = [boards[j] @ np.linalg.inv(boards[i]) for i, j in pairs]
    axes, seen_axes = (
        np.array([Rotation.from_matrix(one[:3, :3]).as_rotvec() for one in motions])
        for motions in (by_hand, by_sight)
    )
    turn = Rotation.align_vectors(axes, seen_axes)[0].as_matrix()
    left = np.concatenate([one[:3, :3] - np.eye(3) for one in by_hand])
    right = np.concatenate(
        [turn @ b[:3, 3] - a[:3, 3] for a, b in zip(by_hand, by_sight, strict=True)]
    )
    return transform(turn, np.linalg.lstsq(left, right)[0])


def _agree(
    hands: Sequence[Transform], boards: Sequence[Transform], camera: Transform
) -> tuple[Transform, Transform]:
    """Camera and board such that all views say the same, as nearly as they can."""
    board = hands[0] @ camera @ boards[0]

    def unpack(numbers: np.ndarray) -> tuple[Transform, Transform]:
        parts = numbers.reshape(2, 6)
        found = [transform(Rotation.from_rotvec(part[:3]).as_matrix(), part[3:]) for part in parts]
        return found[0], found[1]

    def disagree(numbers: np.ndarray) -> np.ndarray:
        at, lies = unpack(numbers)
        back = np.linalg.inv(lies)
        errors = [back @ hand @ at @ seen for hand, seen in zip(hands, boards, strict=True)]
        turns = [_ARM_M * Rotation.from_matrix(one[:3, :3]).as_rotvec() for one in errors]
        return np.concatenate([*turns, *(one[:3, 3] for one in errors)])

    first = np.concatenate(
        [
            np.concatenate([Rotation.from_matrix(one[:3, :3]).as_rotvec(), one[:3, 3]])
            for one in (camera, board)
        ]
    )
    return unpack(least_squares(disagree, first, loss="soft_l1", f_scale=1e-3).x)


def _check_variety(tools: Sequence[Pose]) -> None:
    """Nothing, if the hand was turned about two axes.

    Raises:
        DfPolicyError: if not: then no calculation can tell where the camera is.
    """
    first = Rotation.from_quat(tools[0].quat_xyzw).inv()
    turns = np.array([(first * Rotation.from_quat(t.quat_xyzw)).as_rotvec() for t in tools])
    spread = np.linalg.svd(turns - turns.mean(axis=0), compute_uv=False) / np.sqrt(len(tools))
    if spread[1] < 0.5 * _LEAST_TURN_RAD:
        raise DfPolicyError(
            "expected the hand turned by 15 degrees and more about at least two axes, got "
            f"{np.rad2deg(2 * spread[1]):.0f} degrees about the second; tilt it more"
        )
