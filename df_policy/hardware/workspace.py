"""The box that the tool may be in, taught by leading the arm along its edges."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from df_policy.errors import DfPolicyError
from df_policy.geometry import Vector
from df_policy.hardware.result_file import read_result, write_result

Corner = tuple[float, float, float]

_LEAST_M = 0.05
"""Of each side: in a smaller box no arm can work, and nobody meant it."""
_FARTHEST_M = 2.0
"""From the base: no arm that is driven here reaches as far."""


@dataclass(frozen=True)
class Workspace:
    """A box in the frame of the robot's base [m]."""

    low_m: Corner
    high_m: Corner

    def __post_init__(self) -> None:
        """Raises DfPolicyError if it is no box that an arm could work in."""
        low, high = np.array(self.low_m, float), np.array(self.high_m, float)
        if low.shape != (3,) or high.shape != (3,):
            raise DfPolicyError(f"expected corners of x, y and z, got {self.low_m}, {self.high_m}")
        if not (np.abs([low, high]) < _FARTHEST_M).all():
            raise DfPolicyError(
                f"expected corners within {_FARTHEST_M:g} m of the base, got {self}"
            )
        if (high - low < _LEAST_M).any():
            raise DfPolicyError(
                f"expected sides of at least {_LEAST_M:g} m, got "
                f"{np.round(high - low, 3).tolist()}; lead the tool farther, along all three axes"
            )

    def __str__(self) -> str:
        """In millimetres, axis by axis."""
        ends = zip("xyz", self.low_m, self.high_m, strict=True)
        return ", ".join(
            f"{axis} {1e3 * low:.0f} to {1e3 * high:.0f} mm" for axis, low, high in ends
        )


def taught(points_m: Iterable[Vector], margin_m: float) -> Workspace:
    """The box whose walls are so far inside of the outermost points.

    Args:
        points_m: where the tool was led.
        margin_m: what is lost at each wall.

    Raises:
        DfPolicyError: if they span no box.
    """
    points = np.array([*points_m], float).reshape(-1, 3)
    if not len(points):
        raise DfPolicyError("expected places that the tool was led to, got none")
    low, high = points.min(axis=0) + margin_m, points.max(axis=0) - margin_m
    return Workspace(_corner(low), _corner(high))


def write(path: Path, workspace: Workspace) -> None:
    """As JSON, which `read` reads.

    Raises:
        DfPolicyError: if the disk refuses.
    """
    write_result(path, asdict(workspace))


def read(path: Path) -> Workspace:
    """What `write` wrote.

    Raises:
        DfPolicyError: if there is no such file, or it holds no box.
    """
    return read_result(
        path, "workspace", lambda said: Workspace(_corner(said["low_m"]), _corner(said["high_m"]))
    )


def _corner(values: Iterable[float]) -> Corner:
    x, y, z = (float(value) for value in values)
    return x, y, z
