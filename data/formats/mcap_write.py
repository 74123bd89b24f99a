"""One episode as a ROS 2 bag: a message of each topic for each frame."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from mcap_ros2.writer import Writer

from df_policy.data.episode import Episode
from df_policy.data.formats import note, ros_messages
from df_policy.data.formats.conventions import IDENTITY, Conventions, Field
from df_policy.data.formats.ros_messages import NS_PER_S
from df_policy.data.header import Header
from df_policy.data.schema import NO_SEED, columns, image_column, image_stamp_column
from df_policy.errors import DfPolicyError
from df_policy.geometry import quat_from_6d

JOINTS, TOOL = "/joint_states", "/current_pose"
TARGET, TARGET_GRIPPER = "/target_pose", "/target_gripper"
REQUESTED, REQUESTED_GRIPPER = "/requested_pose", "/requested_gripper"
"""The names of our nodes' topics; what was asked for stands on two more."""

SUCCESS, SEED, ORIGIN, REMARK = "success", "seed", "origin_ns", "remark"
"""Keys of the metadata record besides the note."""


def image_topic(camera: str) -> str:
    """The topic of a camera's images."""
    return f"/camera/{camera}/image_raw"


def own_topic(column: str) -> str:
    """The topic of what no ROS message knows of."""
    return f"/recorded/{column}"


def conventions(header: Header) -> Conventions:
    """Where our columns stand in these bags."""
    n = len(header.spec.joint_names)
    fields = {
        "q": Field(f"{JOINTS}.position", "rad", 0, n),
        "dq": Field(f"{JOINTS}.velocity", "rad", 0, n),
        "gripper": Field(f"{JOINTS}.position", "fingers_m", n, n + 2),
        "tool_position": Field(f"{TOOL}.pose.position", "m"),
        "tool_rotation": Field(f"{TOOL}.pose.orientation", "quat_xyzw"),
        "action_position": Field(f"{TARGET}.pose.position", "m"),
        "action_rotation": Field(f"{TARGET}.pose.orientation", "quat_xyzw"),
        "action_gripper": Field(f"{TARGET_GRIPPER}.data", "m"),
        "requested_position": Field(f"{REQUESTED}.pose.position", "m"),
        "requested_rotation": Field(f"{REQUESTED}.pose.orientation", "quat_xyzw"),
        "requested_gripper": Field(f"{REQUESTED_GRIPPER}.data", "m"),
        "stamp": Field(f"{TOOL}.stamp", "ns"),
        "received": Field(f"{TOOL}.log", "ns"),
    }
    cameras = {camera: image_topic(camera) for camera in header.spec.cameras}
    fields |= {
        f"column:{column.name}": Field(f"{own_topic(column.name)}.data", "row")
        for column in columns(header.spec)
        if column.since > 1
    }
    fields |= {f"image_{c}_stamp": Field(f"{t}.stamp", "ns") for c, t in cameras.items()}
    return Conventions(fields, cameras, "absolute", "after", IDENTITY, "rgb")


def write_episode(path: Path, header: Header, episode: Episode) -> None:
    """Make one bag.

    Raises:
        DfPolicyError: if a wall clock is before 1970, which a bag has no number for.
    """
    arrays = episode.arrays
    if int(arrays["received_ns"].min()) < 0:
        raise DfPolicyError("expected wall clock times after 1970, got others; edit the recording")
    stamps = [arrays["stamp_ns"], *(arrays[image_stamp_column(c)] for c in header.spec.cameras)]
    # Times of messages cannot be negative: images may be older than the episode.
    origin_ns = max(0, -(min(int(values.min()) for values in stamps) // NS_PER_S)) * NS_PER_S
    with path.open("wb") as file, Writer(file) as writer:
        schemas = {
            name: writer.register_msgdef(name, text)
            for name, text in ros_messages.DEFINITIONS.items()
        }
        for index in range(len(arrays["stamp_ns"])):
            for topic, kind, message in _messages(header, episode, index, origin_ns):
                writer.write_message(
                    topic, schemas[kind], message, int(arrays["received_ns"][index]), None, index
                )
        said = {
            "note": note.write_note(header, conventions(header)),
            SUCCESS: "true" if episode.success else "false",
            ORIGIN: str(origin_ns),
            REMARK: episode.note,
        }
        if episode.seed != NO_SEED:
            said[SEED] = str(episode.seed)
        writer.add_metadata(note.KEY, said)


def _messages(
    header: Header, episode: Episode, index: int, origin_ns: int
) -> list[tuple[str, str, dict[str, Any]]]:
    """Topic, type and content of a frame's messages."""
    row: dict[str, Any] = {name: rows[index] for name, rows in episode.arrays.items()}
    stamp = int(row["stamp_ns"]) + origin_ns
    opening = float(row["gripper"][0])
    joints = ros_messages.joints(stamp, row["q"], row["dq"], opening, header.spec)
    made = [
        (
            image_topic(camera),
            "sensor_msgs/msg/Image",
            ros_messages.image(
                int(row[image_stamp_column(camera)]) + origin_ns, row[image_column(camera)], camera
            ),
        )
        for camera in header.spec.cameras
    ]
    made.append((JOINTS, "sensor_msgs/msg/JointState", joints))
    tool = ros_messages.pose(stamp, row["tool_position"], row["tool_quat_xyzw"])
    made.append((TOOL, "geometry_msgs/msg/PoseStamped", tool))
    for column in columns(header.spec):
        if column.since > 1:
            whole = row[column.name].reshape(-1).tolist()
            layout = {"dim": [], "data_offset": 0}
            kind = "std_msgs/msg/Int64MultiArray"
            made.append((own_topic(column.name), kind, {"layout": layout, "data": whole}))
    pairs = (
        ("action_requested", REQUESTED, REQUESTED_GRIPPER),
        ("action", TARGET, TARGET_GRIPPER),
    )
    for name, where, gripper in pairs:
        action = row[name].astype(np.float64)
        opened = {"layout": {"dim": [], "data_offset": 0}, "data": [float(action[9])]}
        made.append((gripper, "std_msgs/msg/Float64MultiArray", opened))
        target = ros_messages.pose(stamp, action[:3], quat_from_6d(action[None, 3:9])[0])
        made.append((where, "geometry_msgs/msg/PoseStamped", target))
    return made
