"""Rotations as other formats write them, to quaternions (xyzw, w >= 0) and back."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from df_policy.geometry import quat_from_6d, rotation_6d

Rows = NDArray[np.float64]

WIDTHS = {
    "quat_xyzw": 4,
    "quat_wxyz": 4,
    "axis_angle": 3,
    "euler_xyz": 3,
    "rot6d_columns": 6,
    "rot6d_rows": 6,
}
"""Representation -> how many numbers. `euler_xyz` turns about the fixed axes x, y, z in that
order; `rot6d_columns` is ours, `rot6d_rows` that of pytorch3d, diffusion_policy and UMI."""

_UNIT = 1e-3
"""A quaternion whose length is off by more is no rounded unit quaternion."""
_ROUNDED = 1e-6
"""Off by less, it is one in float32, and stays as it is."""


def to_quat(rows: Rows, representation: str) -> Rows:
    """Unit quaternions xyzw with w >= 0.

    Args:
        rows: (frames, width).
        representation: one of WIDTHS.

    Raises:
        ValueError: naming the first row that is no rotation.
    """
    if representation in ("quat_xyzw", "quat_wxyz"):
        quat = rows if representation == "quat_xyzw" else rows[:, [1, 2, 3, 0]]
        return _unit(quat)
    if representation == "axis_angle":
        return _upward(Rotation.from_rotvec(rows).as_quat())
    if representation == "euler_xyz":
        return _upward(Rotation.from_euler("xyz", rows).as_quat())
    columns = rows if representation == "rot6d_columns" else _columns(rows)
    return quat_from_6d(columns)


def from_quat(quat_xyzw: Rows, representation: str) -> Rows:
    """The inverse of `to_quat`."""
    if representation == "quat_xyzw":
        return quat_xyzw
    if representation == "quat_wxyz":
        return quat_xyzw[:, [3, 0, 1, 2]]
    if representation == "axis_angle":
        return np.asarray(Rotation.from_quat(quat_xyzw).as_rotvec())
    if representation == "euler_xyz":
        return np.asarray(Rotation.from_quat(quat_xyzw).as_euler("xyz"))
    if representation == "rot6d_columns":
        return rotation_6d(quat_xyzw)
    matrix = np.asarray(Rotation.from_quat(quat_xyzw).as_matrix())
    return matrix[:, :2, :].reshape(-1, 6)


def _columns(rows_6d: Rows) -> Rows:
    """The first two columns of the matrices whose first two rows these are."""
    return rotation_6d(_transposed(quat_from_6d(rows_6d)))


def _transposed(quat: Rows) -> Rows:
    return np.asarray(Rotation.from_quat(quat).inv().as_quat())


def _unit(quat: Rows) -> Rows:
    length = np.linalg.norm(quat, axis=1, keepdims=True)
    wrong = np.flatnonzero(np.abs(length[:, 0] - 1.0) > _UNIT)
    if len(wrong):
        row = int(wrong[0])
        raise ValueError(f"row {row} is {quat[row]}, of length {length[row, 0]:.4g} and not 1")
    rounded = np.abs(length - 1.0) <= _ROUNDED
    return _upward(np.where(rounded, quat, quat / length))


def _upward(quat: Any) -> Rows:
    return np.asarray(quat * np.where(quat[:, 3:] < 0.0, -1.0, 1.0))
