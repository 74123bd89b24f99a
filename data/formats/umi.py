"""Datasets of the Universal Manipulation Interface: a replay buffer with names of its own.

Its actions are the tool's pose one frame later; ours stand beside it as `action`.

Source: real-stanford/universal_manipulation_interface, diffusion_policy/dataset/umi_dataset.py.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np

from df_policy.data.episode import Arrays
from df_policy.data.formats import replay_buffer
from df_policy.data.formats.conventions import Field
from df_policy.data.formats.replay_buffer import ReplayBuffer as ReplayBuffer
from df_policy.data.formats.replay_buffer import open_source as open_source
from df_policy.data.formats.rotation import from_quat
from df_policy.data.formats.source import Recording, Tick
from df_policy.data.schema import Column, columns, image_column

LOST = ("which of a tool's two quaternions was written: rotations are axis-angles in float32",)

_POSITION, _ROTATION = "robot0_eef_pos", "robot0_eef_rot_axis_angle"
_GRIPPER = "robot0_gripper_width"
_START, _END = "robot0_demo_start_pose", "robot0_demo_end_pose"


def recognises(path: Path) -> bool:
    """Never of itself: it is read as any replay buffer is."""
    return False


def write(recording: Recording, target: Path, tick: Tick) -> None:
    """A buffer that UMI's training reads."""
    spec = recording.header.spec
    names = {column.name: column.name for column in columns(spec)}
    names |= {"tool_position": _POSITION, "gripper": _GRIPPER, "tool_quat_xyzw": _ROTATION}
    names |= {image_column(c): f"camera{i}_rgb" for i, c in enumerate(spec.cameras)}
    layout = [replace(column, name=names[column.name]) for column in columns(spec)]
    layout = [c if c.name != _ROTATION else replace(c, row_shape=(3,)) for c in layout]
    layout += [Column(_START, (6,), "float64"), Column(_END, (6,), "float64")]
    told = replay_buffer.plain_conventions(recording.header, names)
    fields = {**told.fields, "tool_rotation": Field(_ROTATION, "axis_angle")}

    def rows_of(arrays: Arrays) -> dict[str, Any]:
        rows = {names[name]: values for name, values in arrays.items()}
        turns = from_quat(arrays["tool_quat_xyzw"].astype(np.float64), "axis_angle")
        poses = np.concatenate([arrays["tool_position"], turns], axis=1)
        ends = {_START: np.broadcast_to(poses[0], poses.shape)}
        ends[_END] = np.broadcast_to(poses[-1], poses.shape)
        return {**rows, _ROTATION: turns, **ends}

    replay_buffer.write_buffer(
        recording, target, tick, layout, replace(told, fields=fields), rows_of
    )
