"""Rigid poses and rotations: SI units, quaternions xyzw (ROS order), unit length, w >= 0."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

Vector = Float64[np.ndarray, "3"]
Quaternion = Float64[np.ndarray, "4"]


@dataclass(frozen=True)
class Pose:
    """The tool (between the finger tips) in the robot's base frame."""

    position_m: Vector
    quat_xyzw: Quaternion

    @classmethod
    def of(cls, position_m: object, quat_xyzw: object) -> Pose:
        """A pose from anything array-like; the quaternion is normalised and given w >= 0.

        Raises:
            ValueError: if a number is not finite or the quaternion has no length.
        """
        position = np.asarray(position_m, dtype=np.float64)
        quat = np.asarray(quat_xyzw, dtype=np.float64)
        if not (np.isfinite(position).all() and np.isfinite(quat).all()):
            raise ValueError(f"a pose must be finite, got position {position}, quaternion {quat}")
        length = float(np.linalg.norm(quat))
        if length < 1e-9:
            raise ValueError(f"a quaternion must have a length, got {quat}")
        return cls(position, quat * (np.copysign(1.0, quat[3]) / length))

    def angle_to(self, other: Pose) -> float:
        """The smallest angle that turns this rotation into the other's [rad]."""
        turn = Rotation.from_quat(self.quat_xyzw).inv() * Rotation.from_quat(other.quat_xyzw)
        return float(turn.magnitude())

    def towards(self, other: Pose, fraction: float) -> Pose:
        """The pose `fraction` of the way to `other`: straight line, shortest rotation."""
        if fraction <= 0.0:
            return self
        if fraction >= 1.0:
            return other
        position = self.position_m + fraction * (other.position_m - self.position_m)
        start = Rotation.from_quat(self.quat_xyzw)
        turn = (start.inv() * Rotation.from_quat(other.quat_xyzw)).as_rotvec()
        return Pose.of(position, (start * Rotation.from_rotvec(fraction * turn)).as_quat())


def rotation_6d(quat_xyzw: Float64[np.ndarray, "*b 4"]) -> Float64[np.ndarray, "*b 6"]:
    """The first two columns of the rotation matrix, one after the other.

    Source: Zhou et al. 2019, On the Continuity of Rotation Representations (arXiv:1812.07035).
    """
    matrix = Rotation.from_quat(quat_xyzw).as_matrix()
    return np.concatenate([matrix[..., :, 0], matrix[..., :, 1]], axis=-1)


def quat_from_6d(columns: Float64[np.ndarray, "*b 6"]) -> Float64[np.ndarray, "*b 4"]:
    """The rotation nearest to two columns (Gram-Schmidt), always proper: determinant +1.

    Raises:
        ValueError: if the two columns span no plane.
    """
    first, second = columns[..., :3], columns[..., 3:]
    length = np.linalg.norm(first, axis=-1, keepdims=True)
    first = first / np.maximum(length, 1e-12)
    second = second - (first * second).sum(-1, keepdims=True) * first
    height = np.linalg.norm(second, axis=-1, keepdims=True)
    if np.any(length < 1e-6) or np.any(height < 1e-6):
        raise ValueError("a 6-D rotation needs two columns that span a plane")
    second = second / height
    matrix = np.stack([first, second, np.cross(first, second)], axis=-1)
    quat: Float64[np.ndarray, "*b 4"] = Rotation.from_matrix(matrix).as_quat()
    return np.asarray(quat * np.copysign(1.0, quat[..., 3:]))
