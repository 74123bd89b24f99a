"""The numbers of one episode of another format, made into ours."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy.spatial.transform import Rotation

from df_policy.data.formats.conventions import ABSENT, COMMANDS, IDENTITY, Conventions, Field
from df_policy.data.formats.kinematics import Arm
from df_policy.data.formats.rotation import to_quat
from df_policy.data.formats.source import Raw
from df_policy.data.schema import columns, image_column, image_stamp_column
from df_policy.errors import DfPolicyError
from df_policy.geometry import rotation_6d
from df_policy.robot import RobotSpec

Numbers = NDArray[np.float64]

_SCALES = {"rad": 1.0, "deg": np.pi / 180.0, "m": 1.0, "mm": 1e-3}
_NS_PER_S = 1e9


class Reading:
    """One episode being converted."""

    def __init__(
        self, raw: Raw, told: Conventions, spec: RobotSpec, arm: Arm | None, name: str
    ) -> None:
        self._arm = arm
        self._raw, self._told, self._spec, self._name = raw, told, spec, name
        self._fields: Mapping[str, Field] = told.fields
        self._moved = (told.base or IDENTITY) != IDENTITY
        self._frames = len(next(iter(raw.arrays.values())))

    def arrays(self) -> dict[str, NDArray[Any]]:
        """Every column of the schema."""
        position, quat = self._pose("tool", "q")
        gripper = self._gripper("gripper")
        made: dict[str, NDArray[Any]] = self._images()
        made |= self._stamps()
        made["q"] = self._scaled("q")
        made["dq"] = self._scaled("dq")
        made["tool_position"], made["tool_quat_xyzw"] = position, quat
        made["gripper"] = gripper
        made["action"] = self._action(position, quat, gripper)
        made["action_requested"] = self._requested(made["action"])
        made |= self._plain(made)
        # Where an action came with the next frame, the last frame has none.
        kept = slice(0, len(made["action"]))
        with np.errstate(over="ignore"):  # what float32 cannot hold is refused by the writer
            return {
                column.name: np.ascontiguousarray(made[column.name][kept], dtype=column.dtype)
                for column in columns(self._spec)
            }

    def _plain(self, made: Mapping[str, NDArray[Any]]) -> dict[str, NDArray[Any]]:
        """Columns that no other format knows of: as they stand, or as never written."""
        rest = {}
        for column in columns(self._spec):
            shape = (self._frames, *column.row_shape)
            if f"column:{column.name}" in self._fields:
                rows = self._row(f"column:{column.name}")
                rest[column.name] = rows.astype(column.dtype).reshape(shape)
            elif column.name not in made:
                rest[column.name] = np.full(shape, column.fill, column.dtype)
        return rest

    def _row(self, name: str) -> NDArray[Any]:
        rows = self._fields[name].take(self._raw.arrays)
        late = name.startswith(COMMANDS) and self._told.action_row == "before"
        return rows[1:] if late else rows

    def _scaled(self, name: str) -> NDArray[Any]:
        if self._fields[name].kind == ABSENT:
            return np.zeros((self._frames, len(self._spec.joint_names)))
        rows: NDArray[Any] = self._row(name)
        scale = _SCALES[self._fields[name].kind]
        return rows if scale == 1.0 else np.asarray(rows * scale)

    def _pose(self, name: str, joints: str) -> tuple[Numbers, Numbers]:
        """Places [m] and quaternions in the base's frame, if need be by way of the joints."""
        if f"{name}_position" in self._fields:
            place = self._scaled(f"{name}_position").astype(np.float64)
            quat = self._quat(f"{name}_rotation")
        elif self._arm is not None:
            place, quat = self._arm.forward(self._scaled(joints).astype(np.float64))
        else:
            raise DfPolicyError(f"expected the pose of {name}, got none; say --urdf")
        if not self._moved:
            return place, quat
        base = Rotation.from_quat((self._told.base or IDENTITY)[3:]).inv()
        there = base.apply(place - np.array((self._told.base or IDENTITY)[:3]))
        return there, to_quat(np.asarray((base * Rotation.from_quat(quat)).as_quat()), "quat_xyzw")

    def _quat(self, name: str, scale: float = 1.0) -> Numbers:
        rows = self._row(name).astype(np.float64) * scale
        try:
            return to_quat(rows, self._fields[name].kind)
        except ValueError as error:
            raise DfPolicyError(
                f"expected rotations as {self._fields[name].kind} in {self._fields[name].key} of "
                f"{self._name}, got others: {error}; name another representation"
            ) from error

    def _gripper(self, name: str) -> Numbers:
        rows, kind = self._row(name).astype(np.float64), self._fields[name].kind
        if kind in _SCALES:
            return np.asarray(rows * _SCALES[kind])
        if kind == "fingers_m":
            return np.asarray(np.abs(rows).sum(axis=1, keepdims=True))
        share = (rows + 1.0) / 2.0 if kind.endswith("_plus") else rows
        wrong = np.flatnonzero((share < -0.05) | (share > 1.05))
        if len(wrong):
            raise DfPolicyError(
                f"expected {kind} between {'-1' if kind.endswith('_plus') else '0'} and 1 in "
                f"{self._fields[name].key} of {self._name}, got {rows[wrong[0], 0]:g} in row "
                f"{wrong[0]}; name another kind"
            )
        share = np.clip(share, 0.0, 1.0)
        low, high = self._spec.gripper_range_m
        opened = share if kind.startswith("open") else 1.0 - share
        return np.asarray(low + opened * (high - low))

    def _action(self, position: Numbers, quat: Numbers, gripper: Numbers) -> NDArray[Any]:
        if "action" in self._fields:
            return self._row("action")
        if self._told.action == "next_tool":
            here = np.concatenate([position, rotation_6d(quat), gripper], axis=1)
            return here[1:]
        if self._told.action in ("absolute", "joints"):
            return self._target("action")
        where, turned = self._stepped(position, quat)
        opening = self._gripper("action_gripper")
        return np.concatenate([where, rotation_6d(turned), opening], axis=1)

    def _requested(self, action: NDArray[Any]) -> NDArray[Any]:
        """What was asked for; where the file tells of one action only, that one."""
        if "action_requested" in self._fields:
            return self._row("action_requested")
        return self._target("requested") if "requested_position" in self._fields else action

    def _target(self, name: str) -> Numbers:
        """Absolute targets from three fields."""
        where, turned = self._pose(name, f"{name}_joints")
        opening = self._gripper(f"{name}_gripper")
        return np.concatenate([where, rotation_6d(turned), opening], axis=1)

    def _stepped(self, position: Numbers, quat: Numbers) -> tuple[Numbers, Numbers]:
        """Targets from steps off the measured pose."""
        metres, radians = self._told.scale or (1.0, 1.0)
        step = self._scaled("action_position") * metres
        turn = Rotation.from_quat(self._quat("action_rotation", radians))
        position, here = position[: len(step)], Rotation.from_quat(quat[: len(step)])
        if self._told.action == "delta_tool":
            return position + here.apply(step), np.asarray((here * turn).as_quat())
        if self._moved:
            base = Rotation.from_quat((self._told.base or IDENTITY)[3:]).inv()
            step, turn = base.apply(step), base * turn * base.inv()
        return position + step, np.asarray((turn * here).as_quat())

    def _images(self) -> dict[str, NDArray[Any]]:
        made = {}
        for camera, key in self._told.cameras.items():
            images = self._raw.arrays[key]
            made[image_column(camera)] = (
                images[..., ::-1] if self._told.colour == "bgr" else images
            )
        return made

    def _stamps(self) -> dict[str, NDArray[Any]]:
        """Counted at the file's rate where it has none."""
        counted = np.arange(self._frames, dtype=np.int64) * self._spec.period_ns
        made: dict[str, NDArray[Any]] = {"stamp_ns": counted}
        origin = 0.0
        if "stamp" in self._fields:
            rows = self._row("stamp")[:, 0]
            origin = float(rows[0])
            made["stamp_ns"] = self._whole(rows, "stamp", origin)
        for camera in self._spec.cameras:
            name = f"image_{camera}_stamp"
            known = name in self._fields
            made[image_stamp_column(camera)] = (
                self._whole(self._row(name)[:, 0], name, origin) if known else made["stamp_ns"]
            )
        received = "received" in self._fields
        made["received_ns"] = (
            self._whole(self._row("received")[:, 0], "received", 0.0)
            if received
            else made["stamp_ns"]
        )
        return made

    def _whole(self, rows: NDArray[Any], name: str, origin: float) -> NDArray[np.int64]:
        """Nanoseconds; seconds are counted from `origin`."""
        if self._fields[name].kind == "s":
            since = (rows.astype(np.float64) - origin) * _NS_PER_S
            if np.abs(since).max() > 2.0**62:
                raise DfPolicyError(f"expected seconds in {name} of {self._name}, got {rows[0]}")
            return np.rint(since).astype(np.int64)
        if rows.dtype.kind not in "iu":
            raise DfPolicyError(
                f"expected whole nanoseconds in {name} of {self._name}, got {rows.dtype}; "
                "say :s for seconds"
            )
        return rows.astype(np.int64)
