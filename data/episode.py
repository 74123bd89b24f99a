"""One episode as arrays: made from frames, and checked before it is written or used."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data.schema import (
    ARRIVAL_PARTS,
    ARRIVALS,
    columns,
    image_column,
    image_stamp_column,
)
from df_policy.errors import DfPolicyError
from df_policy.frames import UNKNOWN, Arrival, Frame, streams
from df_policy.robot import RobotSpec

Arrays = Mapping[str, NDArray[Any]]
"""Column name -> one row a frame."""


@dataclass(frozen=True)
class Episode:
    """A kept episode, decoded."""

    arrays: Arrays
    """Every column of the schema; see `data/README.md`."""
    seed: int
    """-1 where the start was not drawn from a seed."""
    success: bool
    note: str = ""


def stack(frames: Sequence[Frame], spec: RobotSpec) -> dict[str, NDArray[Any]]:
    """The columns of an episode.

    Raises:
        DfPolicyError: if a frame lacks a camera or has another shape than the schema says.
    """
    taken = [pictures(frame.observation.images, spec, n) for n, frame in enumerate(frames)]
    arrays = numbers(frames, spec)
    for camera, size in spec.cameras.items():
        stacked = np.empty((len(frames), *size, 3), dtype=np.uint8)
        for index, images in enumerate(taken):  # ten times as fast as an array made of a list
            stacked[index] = images[camera]
        arrays[image_column(camera)] = stacked
    return {column.name: arrays[column.name] for column in columns(spec)}


def pictures(
    images: Mapping[str, NDArray[Any]], spec: RobotSpec, index: int
) -> dict[str, NDArray[np.uint8]]:
    """The images of a frame, one for each camera.

    Raises:
        DfPolicyError: if one is missing, or of another size or type than the schema says.
    """
    found = {}
    for camera, size in spec.cameras.items():
        name = image_column(camera)
        if camera not in images:
            raise _no_camera(camera, images, index)
        image = np.asarray(images[camera])
        if image.shape != (*size, 3):
            raise _wrong_shape(name, (*size, 3), image.shape, index)
        if image.dtype != np.uint8:
            raise DfPolicyError(f"expected {name} as uint8, got {image.dtype}; scale to 0..255")
        found[camera] = np.ascontiguousarray(image)
    return found


def numbers(frames: Sequence[Frame], spec: RobotSpec) -> dict[str, NDArray[Any]]:
    """All columns of an episode but the images.

    Raises:
        DfPolicyError: if a frame lacks a camera's stamp or has another shape than the schema says.
    """
    rows = Numbers(spec)
    for frame in frames:
        rows.append(frame)
    return rows.arrays()


class Numbers:
    """All columns of an episode but the images, while it grows."""

    def __init__(self, spec: RobotSpec) -> None:
        self._spec, self._ways = spec, streams(spec.cameras)
        self._columns = [column for column in columns(spec) if not column.is_image]
        self._rows = {c.name: np.empty((256, *c.row_shape), c.dtype) for c in self._columns}
        self._count = 0

    def __len__(self) -> int:
        """Frames."""
        return self._count

    def append(self, frame: Frame) -> None:
        """Add a frame's numbers.

        Raises:
            DfPolicyError: if it lacks a camera's stamp or has another shape than the schema says.
        """
        if self._count == len(self._rows["stamp_ns"]):
            self._rows = {
                name: np.concatenate([rows, np.empty_like(rows)])
                for name, rows in self._rows.items()
            }
        row = self._row(frame)
        for column in self._columns:
            shape = np.shape(row[column.name])
            if shape != column.row_shape:
                raise _wrong_shape(column.name, column.row_shape, shape, self._count)
            self._rows[column.name][self._count] = row[column.name]
        self._count += 1

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Column name -> one row a frame."""
        return {name: rows[: self._count] for name, rows in self._rows.items()}

    def _row(self, frame: Frame) -> dict[str, Any]:
        seen = frame.observation
        row: dict[str, Any] = {}
        for camera in self._spec.cameras:
            if camera not in seen.image_stamps_ns:
                raise _no_camera(camera, seen.image_stamps_ns, self._count)
            row[image_stamp_column(camera)] = seen.image_stamps_ns[camera]
        came = [seen.arrivals.get(stream, Arrival()) for stream in self._ways]
        return row | {
            "q": seen.q_rad,
            "dq": seen.dq_rad_s,
            "tool_position": seen.tool.position_m,
            "tool_quat_xyzw": seen.tool.quat_xyzw,
            "gripper": [seen.gripper_m],
            "action_requested": frame.requested.row(),
            "action": frame.sent.row(),
            "stamp_ns": seen.stamp_ns,
            "received_ns": frame.received_ns,
            "control": int(frame.control),
            ARRIVALS: [[getattr(one, part) for part in ARRIVAL_PARTS] for one in came],
        }


def _no_camera(camera: str, found: Mapping[str, Any], index: int) -> DfPolicyError:
    return DfPolicyError(
        f"expected camera {camera!r} in frame {index}, got {sorted(found)}; "
        "check the robot's cameras"
    )


def _wrong_shape(
    name: str, expected: tuple[int, ...], got: tuple[int, ...], index: int
) -> DfPolicyError:
    return DfPolicyError(
        f"expected {name} of shape {expected}, got {got} "
        f"in frame {index}; check the robot's specification"
    )


def check(arrays: Arrays, spec: RobotSpec, name: str) -> None:
    """Refuse an episode that would spoil the training.

    Args:
        arrays: all columns but, where only the rest is read, the images.
        spec: the robot that was recorded.
        name: the episode, for the message.

    Raises:
        DfPolicyError: if it is empty, not finite, or its stamps are not one period apart.
    """
    frames = len(arrays["stamp_ns"])
    if frames == 0:
        raise DfPolicyError(f"expected frames in {name}, got none; record before keeping")
    for column, rows in arrays.items():
        if len(rows) != frames:
            raise DfPolicyError(
                f"expected {frames} frames of {column} in {name}, got {len(rows)}; "
                "the recording is damaged, drop this episode"
            )
        if rows.dtype.kind == "f" and not np.isfinite(rows).all():
            index = int(np.argwhere(~np.isfinite(rows))[0, 0])
            raise DfPolicyError(
                f"expected finite numbers in {column} of {name}, got {rows[index]} "
                f"in frame {index}; drop this episode and check the sensor"
            )
    _check_stamps(arrays["stamp_ns"], spec.period_ns, name)


def check_arrivals(arrays: Arrays, spec: RobotSpec, name: str) -> None:
    """Refuse an episode whose clocks contradict each other; older recordings may hold some.

    Raises:
        DfPolicyError: if a wall clock was set back, or a sample is later than its tick.
    """
    ticks = arrays["stamp_ns"]
    _check_grows(arrays["received_ns"], "received_ns", name)
    for number, stream in enumerate(streams(spec.cameras)):
        stamps, received, _ = arrays[ARRIVALS][:, number].T
        _check_grows(received, f"the stamps of receiving {stream}", name)
        later = np.flatnonzero((stamps > ticks) & (stamps != UNKNOWN))
        if len(later):
            index = int(later[0])
            raise DfPolicyError(
                f"expected samples of {stream} in {name} not after their tick, got one "
                f"{1e-6 * int(stamps[index] - ticks[index]):.1f} ms later in frame {index}; "
                "drop this episode and compare the clocks"
            )


def _check_grows(received_ns: NDArray[np.int64], what: str, name: str) -> None:
    known = received_ns[received_ns != UNKNOWN]
    back = np.flatnonzero(np.diff(known) < 0)
    if len(back):
        seconds = 1e-9 * int(known[back[0]] - known[back[0] + 1])
        raise DfPolicyError(
            f"expected {what} of {name} to grow, got {seconds:.3f} s back after frame "
            f"{int(back[0])}: the clock was set back; drop this episode and let the clock settle"
        )


def _check_stamps(stamps_ns: NDArray[np.int64], period_ns: int, name: str) -> None:
    steps = np.diff(stamps_ns)
    wrong = np.flatnonzero(np.abs(steps - period_ns) > period_ns / 2)
    if len(wrong):
        index = int(wrong[0])
        raise DfPolicyError(
            f"expected {period_ns / 1e6:.1f} ms between frames of {name}, got "
            f"{steps[index] / 1e6:.1f} ms after frame {index} ({len(wrong)} such gaps); "
            "drop this episode and find out what held the recorder up"
        )
