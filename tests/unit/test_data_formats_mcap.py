"""Bags beside the round trip: what other readers see, and bags of other recorders."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest
from strange_episodes import SPEC, InMemory, episode

from df_policy.commands import data_import
from df_policy.data.reader import EpisodeStore
from df_policy.errors import DfPolicyError

pytest.importorskip("mcap")
pytest.importorskip("mcap_ros2")

from mcap.reader import make_reader
from mcap_ros2.decoder import DecoderFactory
from mcap_ros2.writer import Writer

from df_policy.data.formats import mcap_bag, mcap_write, ros_messages

RATE = 10.0
NS = 1_000_000_000
START = 1_700_000_000 * NS


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def test_any_reader_of_bags_finds_ros_messages(tmp_path: Path) -> None:
    source = InMemory([episode(SPEC, 5, 0)])
    mcap_bag.write(source, tmp_path / "bags", lambda: None)
    arrays = source.episodes[0].arrays
    found: dict[str, list] = {}
    with (tmp_path / "bags" / "episode_000000.mcap").open("rb") as file:
        reader = make_reader(file, validate_crcs=True, decoder_factories=[DecoderFactory()])
        assert reader.get_header().profile == "ros2"
        for schema, channel, message, decoded in reader.iter_decoded_messages():
            assert channel.message_encoding == "cdr"
            found.setdefault(channel.topic, []).append((schema.name, message, decoded))
    assert {topic: len(rows) for topic, rows in found.items()} == dict.fromkeys(found, 5)
    name, message, image = found["/camera/front/image_raw"][3]
    assert (name, image.encoding, image.height, image.width) == (
        "sensor_msgs/msg/Image",
        "rgb8",
        6,
        8,
    )
    assert bytes(image.data) == arrays["image_front"][3].tobytes()
    assert message.log_time == arrays["received_ns"][3]
    _, _, joints = found["/joint_states"][2]
    assert joints.name == ["two", "one", "tiny_finger_joint1", "tiny_finger_joint2"]
    assert np.array_equal(np.array(joints.position[:2], np.float32), arrays["q"][2])
    assert sum(joints.position[2:]) == float(arrays["gripper"][2, 0])
    _, _, pose = found["/target_pose"][4]
    assert pose.header.frame_id == "base"
    assert pose.pose.position.x == float(arrays["action"][4, 0])


@pytest.mark.ros
def test_topics_are_those_of_our_nodes() -> None:
    from df_policy.ros_nodes import topics

    assert f"/{topics.JOINT_STATES.name}" == mcap_write.JOINTS
    assert f"/{topics.CURRENT_POSE.name}" == mcap_write.TOOL
    assert f"/{topics.TARGET_POSE.name}" == mcap_write.TARGET
    assert f"/{topics.TARGET_GRIPPER.name}" == mcap_write.TARGET_GRIPPER
    assert mcap_write.image_topic("x") == f"/{topics.IMAGES.name.format(camera='x')}"


@pytest.mark.ros
def test_the_messages_are_ros_own() -> None:
    """What rclpy reads of the bytes in a bag is what was written."""
    from rclpy.serialization import deserialize_message
    from sensor_msgs.msg import JointState

    definition = ros_messages.DEFINITIONS["sensor_msgs/msg/JointState"]
    from mcap_ros2._dynamic import serialize_dynamic

    encode = serialize_dynamic("sensor_msgs/msg/JointState", definition)
    row = episode(SPEC, 1, 0).arrays
    message = ros_messages.joints(1_500_000_007, row["q"][0], row["dq"][0], 0.06, SPEC)
    got = deserialize_message(encode["sensor_msgs/msg/JointState"](message), JointState)
    assert got.header.stamp.sec == 1
    assert got.header.stamp.nanosec == 500_000_007
    assert list(got.name) == message["name"]
    assert list(got.position) == message["position"]


def bag(path: Path, *, gap: bool = False, clock: int = 0, shuffled: bool = False) -> None:
    """Two seconds of streams at rates of their own; the tool moves at 1 m/s along x.

    Args:
        path: the file.
        gap: the camera is silent for half a second.
        clock: how far the headers are off the log [ns].
        shuffled: every other message of the joints names them the other way round.
    """
    path.parent.mkdir(exist_ok=True)
    events = []
    for k in range(200):
        t = k * 10_000_000
        position, quat = np.array([t / NS, 0, 0]), np.array([0, 0, 0, 1.0])
        events.append(
            (
                t,
                "/tool",
                "geometry_msgs/msg/PoseStamped",
                ros_messages.pose(START + t + clock, position, quat),
            )
        )
        joints = ros_messages.joints(START + t + clock, position[:2], position[:2], 0.04, SPEC)
        if shuffled and k % 2:
            joints |= {key: joints[key][::-1] for key in ("name", "position", "velocity")}
        events.append((t + 1, "/joints", "sensor_msgs/msg/JointState", joints))
        goal = ros_messages.pose(START + t + clock, position + [1, 0, 0], quat)
        events.append((t + 2, "/goal", "geometry_msgs/msg/PoseStamped", goal))
        opening = {"layout": {"dim": [], "data_offset": 0}, "data": [t / NS]}
        events.append((t + 3, "/grip", "std_msgs/msg/Float64MultiArray", opening))
        late = 30_000_000
        if k % 3 == 0 and not (gap and 80 <= k < 130):
            image = np.full((4, 4, 3), k, np.uint8)
            made = ros_messages.image(START + t - late + clock, image, "cam")
            events.append((t + 4, "/cam", "sensor_msgs/msg/Image", made))
    with path.open("wb") as file, Writer(file) as writer:
        kinds = {n: writer.register_msgdef(n, d) for n, d in ros_messages.DEFINITIONS.items()}
        for t, topic, kind, message in events:
            writer.write_message(topic, kinds[kind], message, START + t)


FIELDS = [
    *("--field", "q=/joints.position[0:2]:rad", "--field", "dq=/joints.velocity[0:2]:rad"),
    *("--field", "tool_position=/tool.pose.position:m"),
    *("--field", "tool_rotation=/tool.pose.orientation:quat_xyzw"),
    *("--field", "gripper=/joints.position[2:4]:fingers_m", "--action", "absolute"),
    *("--field", "action_position=/goal.pose.position:m"),
    *("--field", "action_rotation=/goal.pose.orientation:quat_xyzw"),
    *("--field", "action_gripper=/grip.data:m", "--base", "base", "--rate", "10"),
    *("--task", "t", "--success", "yes"),
]


def load(folder: Path) -> EpisodeStore:
    robot = {"name": "tiny", "joint_names": ["two", "one"]}
    (folder / "robot.json").write_text(json.dumps(robot))
    options = [str(folder / "bags"), str(folder / "a.zarr"), *FIELDS]
    chosen = [*options, "--robot", str(folder / "robot.json")]
    data_import.convert(data_import.parser().parse_args(chosen))
    return EpisodeStore.open(folder / "a.zarr")


@pytest.mark.parametrize("shuffled", [False, True])
def test_streams_of_others_are_sampled_by_the_one_rule(tmp_path: Path, shuffled: bool) -> None:
    bag(tmp_path / "bags" / "one.mcap", shuffled=shuffled)
    store = load(tmp_path)
    assert store.spec.cameras == {"cam": (4, 4)}
    arrays = store.episode(0).arrays
    ticks = np.arange(len(arrays["stamp_ns"])) * 100_000_000
    assert np.array_equal(arrays["stamp_ns"], ticks)
    assert len(ticks) >= 18
    # Ticks start with the last stream's first stamp, which is the tool's and the joints' 0.
    assert np.allclose(arrays["tool_position"][:, 0], ticks / NS, atol=1e-6)
    assert np.allclose(arrays["q"][:, 0], ticks / NS, atol=1e-6)
    assert np.allclose(arrays["gripper"], 0.04)
    # The newest command before the next tick was sent 90 ms after this one.
    assert np.allclose(arrays["action"][:, 0], 1.0 + ticks / NS + 0.09, atol=1e-6)
    age = ticks - arrays["image_cam_stamp_ns"]
    assert age.min() >= 0
    assert age.max() < 30_000_000
    shown = arrays["image_cam"][:, 0, 0, 0].astype(np.int64) * 10_000_000 - 30_000_000
    assert np.array_equal(shown, arrays["image_cam_stamp_ns"])
    assert (arrays["received_ns"] >= START).all()


def test_a_silent_stream_is_refused_with_its_row(tmp_path: Path) -> None:
    bag(tmp_path / "bags" / "one.mcap", gap=True)
    with pytest.raises(
        DfPolicyError, match=r"row 1\d of .*expected a sample of /cam within 0.2 s"
    ):
        load(tmp_path)
    assert not (tmp_path / "a.zarr").exists()


def test_two_clocks_are_not_mixed(tmp_path: Path) -> None:
    bag(tmp_path / "bags" / "one.mcap", clock=-START)
    with pytest.raises(DfPolicyError, match=r"expected one clock in .* alone tell of /grip"):
        load(tmp_path)
