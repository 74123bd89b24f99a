"""The nodes of real robots and cameras over real ROS."""

import os
import subprocess

import cv2
import numpy as np
import pytest

pytest.importorskip("rclpy")

from rclpy.node import Node
from ros_bench import Ros

from df_policy.geometry import Pose
from df_policy.ros_nodes import convert, hardware_topics, topics
from df_policy.ros_nodes.camera_node import CameraNode
from df_policy.ros_nodes.graph import NodeSpec, local_environment
from df_policy.ros_nodes.hardware_graph import free_address
from df_policy.ros_nodes.picture_topics import COMPRESSED

pytestmark = [pytest.mark.ros, pytest.mark.slow]


@pytest.fixture
def ros():
    bench = Ros()
    yield bench
    bench.close()


class Watcher(Node):
    """Keeps what it hears, and sends targets."""

    def __init__(self, **overrides):
        super().__init__("watcher", **overrides)
        self.images, self.infos, self.jpegs, self.reports, self.poses = [], [], [], [], []
        topics.subscribe(self, topics.IMAGES, self.images.append, camera="front")
        topics.subscribe(self, topics.CAMERA_INFO, self.infos.append, camera="front")
        topics.subscribe(self, COMPRESSED, self.jpegs.append, camera="front")
        topics.subscribe(self, topics.CURRENT_POSE, self.poses.append)
        topics.subscribe(self, topics.DIAGNOSTICS, self.reports.append)
        self.pose_out = topics.publisher(self, topics.TARGET_POSE)
        self.gripper_out = topics.publisher(self, topics.TARGET_GRIPPER)

    def said(self, name):
        found = [convert.diagnostics_from(report) for report in self.reports]
        return [one[name] for one in found if name in one]

    def send(self, position):
        self.gripper_out.publish(convert.gripper_message(0.08))
        target = Pose.of(position, [1.0, 0.0, 0.0, 0.0])
        self.pose_out.publish(convert.pose_message(self.get_clock().now().nanoseconds, target))


def film(path):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), 60, (64, 48))
    for _ in range(5):
        writer.write(np.full((48, 64, 3), (0, 0, 200), np.uint8))
    writer.release()
    return path


def test_a_film_is_published_as_a_camera_at_the_size_and_rate_that_are_wanted(ros, tmp_path):
    watcher = ros.add(Watcher)
    source = f"file:{film(tmp_path / 'film.avi')}"
    ros.add(CameraNode, source=source, size="24x24", rate_hz=15.0, compressed=True)
    ros.spin_until(lambda: len(watcher.images) >= 8 and watcher.jpegs and watcher.infos)
    image = watcher.images[-1]
    assert (image.height, image.width, image.encoding) == (24, 24, "rgb8")
    red = np.frombuffer(image.data, np.uint8).reshape(24, 24, 3)[12, 12]
    assert red[0] > 180
    assert red[2] < 30
    stamps = [convert.stamp_of(one.header.stamp) for one in watcher.images]
    seconds = (stamps[-1] - stamps[0]) * 1e-9
    assert len(stamps) <= 15.0 * seconds + 2  # no more than asked, of 60 a second
    jpeg = cv2.imdecode(np.frombuffer(watcher.jpegs[-1].data, np.uint8), cv2.IMREAD_COLOR)
    assert jpeg.shape == (24, 24, 3)
    assert (watcher.infos[-1].height, watcher.infos[-1].width) == (24, 24)


def test_a_camera_that_comes_later_is_found_and_until_then_missed_aloud(ros, tmp_path):
    watcher, path = ros.add(Watcher), tmp_path / "film.avi"
    ros.add(CameraNode, source=f"file:{path}", size="", retry_s=0.2)
    ros.spin_until(lambda: any("film.avi" in why for why, _ in watcher.said("camera_node")))
    assert not watcher.images
    film(path)
    ros.spin_until(lambda: watcher.images)
    ros.spin_until(lambda: watcher.said("camera_node")[-1][0] == "ok")


def test_a_robot_over_the_protocol_follows_stops_and_recovers(ros):
    pytest.importorskip("franky")
    from df_policy.ros_nodes.franka_node import FrankaNode

    address, simulator = free_address(), "df_policy.ros_nodes.franka_sim_node"
    spec = NodeSpec(simulator, "franka_sim_node", {"address": address})
    domain = {"ROS_DOMAIN_ID": str(ros.context.get_domain_id())}
    environment = {**os.environ, **local_environment(os.environ), **domain}
    # In a process of its own: a client and its robot must not wait for one interpreter lock.
    with subprocess.Popen(spec.command(), env=environment) as robot:
        try:
            watcher = ros.add(Watcher, use_sim_time=True)
            given = {"robot_ip": address, "real_time": False, "wait_s": 60.0}
            ros.add(FrankaNode, use_sim_time=True, **given)
            drive_and_disturb(ros, watcher)
        finally:
            robot.terminate()


def drive_and_disturb(ros, watcher):
    ros.spin_until(lambda: len(watcher.poses) > 30 and watcher.images, 90.0)  # silence first
    start = convert.pose_from(watcher.poses[-1])[1].position_m
    moved_m = 0.0
    for tick in range(400):
        heard = len(watcher.poses)
        ros.spin_until(lambda heard=heard: len(watcher.poses) > heard, 60.0)
        watcher.send(start + [0.0, min(0.004 * tick, 0.08), 0.0])
        moved_m = convert.pose_from(watcher.poses[-1])[1].position_m[1] - start[1]
        if moved_m > 0.06:
            break
    assert moved_m > 0.06, watcher.said("franka_node")[-1]
    refusal = ros.call(watcher, topics.RESET)  # the arm moves, and will stop
    assert not refusal.success
    assert refusal.message.startswith(topics.NOT_YET)
    assert not ros.call(watcher, hardware_topics.HOME).success  # targets come
    assert ros.call(watcher, hardware_topics.REFLEX).success
    ros.spin_until(lambda: "reflex" in watcher.said("franka_node")[-1][0], 60.0)
    answer = ros.call(watcher, hardware_topics.RECOVER)
    assert answer.success, answer.message
    assert "cartesian_reflex" in answer.message
    ros.spin_until(lambda: watcher.said("franka_node")[-1][0] == "ok", 60.0)
    stamps = [convert.stamp_of(pose.header.stamp) for pose in watcher.poses]
    assert stamps == sorted(stamps)
    assert ros.call(watcher, topics.JUDGE).success
    assert ros.call(watcher, topics.RESET).success
