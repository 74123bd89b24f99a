"""What a LeRobot dataset of version 3 made of our recordings looks like.

Source: huggingface/lerobot, docs/source/lerobot-dataset-v3.mdx, and a dataset made with 0.6.1.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data.episode import Episode
from df_policy.data.formats.conventions import IDENTITY, Conventions, Field
from df_policy.data.header import Header
from df_policy.data.schema import columns, image_stamp_column
from df_policy.robot import RobotSpec

VERSION = "v3.0"
FILES_A_CHUNK = 1000
DATA_MB, VIDEO_MB = 100, 200
DATA_PATH = "data/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"
VIDEO_PATH = "videos/{video_key}/chunk-{chunk_index:03d}/file-{file_index:03d}.mp4"
EPISODES_PATH = "meta/episodes/chunk-{chunk_index:03d}/file-{file_index:03d}.parquet"

STATE, ACTION, REQUESTED = "observation.state", "action", "requested.action"
"""`requested.` and not `action.`: LeRobot takes what begins with action for what to predict."""
STAMP, RECEIVED, SEED = "stamp_ns", "received_ns", "seed"
NOTE = "note"
"""Column of the table of episodes; LeRobot passes over it."""
SUCCESS, DONE = "next.success", "next.done"
INDICES = ("frame_index", "episode_index", "index", "task_index")

_ACTION_NAMES = ["x", "y", "z", *(f"rotation_6d_{i}" for i in range(6)), "gripper"]


def image_key(camera: str) -> str:
    """The feature of a camera."""
    return f"observation.images.{camera}"


def image_stamp_key(camera: str) -> str:
    """The feature of a camera's stamps."""
    return f"image_stamp_ns.{camera}"


def features(spec: RobotSpec, video: bool, video_info: dict[str, Any]) -> dict[str, Any]:
    """The table `features` of `meta/info.json`."""
    joints = [*(f"{name}.pos" for name in spec.joint_names)]
    joints += [f"{name}.vel" for name in spec.joint_names]
    state = ["x", "y", "z", "qx", "qy", "qz", "qw", "gripper", *joints]
    table: dict[str, Any] = {
        STATE: {"dtype": "float32", "shape": [len(state)], "names": state},
        ACTION: {"dtype": "float32", "shape": [10], "names": _ACTION_NAMES},
        REQUESTED: {"dtype": "float32", "shape": [10], "names": _ACTION_NAMES},
    }
    for camera, (height, width) in spec.cameras.items():
        table[image_key(camera)] = {
            "dtype": "video" if video else "image",
            "shape": [height, width, 3],
            "names": ["height", "width", "channels"],
        }
        if video:
            size = {"video.height": height, "video.width": width}
            table[image_key(camera)]["info"] = video_info | size
        table[image_stamp_key(camera)] = _scalar("int64")
    table |= {STAMP: _scalar("int64"), RECEIVED: _scalar("int64"), SEED: _scalar("int64")}
    for column in columns(spec):
        if column.since > 1:
            shape = [int(np.prod(column.row_shape))]
            table[column.name] = {"dtype": column.dtype, "shape": shape, "names": None}
    table |= {SUCCESS: _scalar("bool"), DONE: _scalar("bool"), "timestamp": _scalar("float32")}
    return table | {name: _scalar("int64") for name in INDICES}


def _scalar(dtype: str) -> dict[str, Any]:
    return {"dtype": dtype, "shape": [1], "names": None}


def numbers(episode: Episode, spec: RobotSpec, index: int, first: int) -> dict[str, NDArray[Any]]:
    """An episode's rows but the images.

    Args:
        episode: ours.
        spec: its robot.
        index: its number.
        first: number of its first frame among all.
    """
    arrays = episode.arrays
    frames = len(arrays["stamp_ns"])
    counted = np.arange(frames, dtype=np.int64)
    state = ("tool_position", "tool_quat_xyzw", "gripper", "q", "dq")
    return {
        STATE: np.concatenate([arrays[name] for name in state], axis=1),
        ACTION: arrays["action"],
        REQUESTED: arrays["action_requested"],
        **{image_stamp_key(c): arrays[image_stamp_column(c)] for c in spec.cameras},
        **{
            column.name: arrays[column.name].reshape(
                (frames, -1) if column.row_shape else (frames,)
            )
            for column in columns(spec)
            if column.since > 1
        },
        STAMP: arrays["stamp_ns"],
        RECEIVED: arrays["received_ns"],
        SEED: np.full(frames, episode.seed, dtype=np.int64),
        SUCCESS: (counted == frames - 1) & episode.success,
        DONE: counted == frames - 1,
        "timestamp": (counted / spec.action_rate_hz).astype(np.float32),
        "frame_index": counted,
        "episode_index": np.full(frames, index, dtype=np.int64),
        "index": first + counted,
        "task_index": np.zeros(frames, dtype=np.int64),
    }


def conventions(header: Header) -> Conventions:
    """Where our columns stand in it."""
    n = len(header.spec.joint_names)
    fields = {
        "tool_position": Field(STATE, "m", 0, 3),
        "tool_rotation": Field(STATE, "quat_xyzw", 3, 7),
        "gripper": Field(STATE, "m", 7, 8),
        "q": Field(STATE, "rad", 8, 8 + n),
        "dq": Field(STATE, "rad", 8 + n, 8 + 2 * n),
        "action": Field(ACTION, "row"),
        "action_requested": Field(REQUESTED, "row"),
        "stamp": Field(STAMP, "ns"),
        "received": Field(RECEIVED, "ns"),
        "success": Field(SUCCESS, "any"),
    }
    fields |= {
        f"column:{column.name}": Field(column.name, "row")
        for column in columns(header.spec)
        if column.since > 1
    }
    fields |= {f"image_{c}_stamp": Field(image_stamp_key(c), "ns") for c in header.spec.cameras}
    cameras = {camera: image_key(camera) for camera in header.spec.cameras}
    return replace(Conventions(fields, cameras), base=IDENTITY, colour="rgb")


def tasks_metadata() -> dict[bytes, bytes]:
    """What lets pandas take the column `task` for the table's index."""
    column = {"metadata": None}
    index = {"name": "task", "field_name": "task", "pandas_type": "unicode"}
    number = {"name": "task_index", "field_name": "task_index", "pandas_type": "int64"}
    said = {
        "index_columns": ["task"],
        "column_indexes": [],
        "columns": [
            number | {"numpy_type": "int64"} | column,
            index | {"numpy_type": "object"} | column,
        ],
        "creator": {"library": "pyarrow", "version": "0"},
        "pandas_version": "2.0.0",
    }
    return {b"pandas": json.dumps(said).encode()}
