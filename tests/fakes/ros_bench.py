"""Nodes in one thread over real ROS: a scripted robot, a small world, simulated time."""

import select
import time

import numpy as np
import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter

from df_policy.align import JointReading
from df_policy.environment import Verdict
from df_policy.frames import Action, Observation
from df_policy.geometry import Pose
from df_policy.robot import RobotSpec
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.graph import free_domain
from df_policy.ros_nodes.policy_node import PolicyNode

SPEC = RobotSpec("arm", ("j1", "j2"), {"front": (8, 8), "wrist": (8, 8)})
HOME = Action(Pose.of([0.5, 0.0, 0.3], [1, 0, 0, 0]), 0.08)
TICK_NS = 20_000_000


class FakeWorld:
    """A world whose tool is where it was told to be."""

    spec = SPEC
    home = HOME

    def __init__(self):
        self.time_ns, self.closed, self.targets, self.seeds = 0, False, [], []
        self.at = HOME

    def reset(self, seed):
        self.seeds.append(seed)
        self.time_ns += 5 * TICK_NS
        self.at = HOME

    def advance(self, target):
        self.targets.append(target)
        self.at = target
        self.time_ns += TICK_NS

    def observe(self, cameras=True):
        images = {name: np.zeros((8, 8, 3), np.uint8) for name in SPEC.cameras} if cameras else {}
        stamps = dict.fromkeys(images, self.time_ns)
        zeros = np.zeros(2)
        return Observation(
            self.time_ns, images, stamps, zeros, zeros, self.at.tool, self.at.gripper_m
        )

    def judge(self):
        return Verdict(bool(self.at.tool.position_m[2] > 0.302), "not lifted")

    def snapshot(self):
        return np.zeros(3)

    def close(self):
        self.closed = True


class Ros:
    """A context of its own, and one executor for all nodes of a test."""

    def __init__(self):
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=free_domain())
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = []

    def add(self, make, *args, **parameters):
        overrides = [Parameter(name, value=value) for name, value in parameters.items()]
        node = make(*args, context=self.context, parameter_overrides=overrides)
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def spin_until(self, done, timeout_s=120.0):
        """Spin until `done`; the limit is for a machine that is very busy."""
        deadline = time.monotonic() + timeout_s
        while not done():
            assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain"
            self.executor.spin_once(timeout_sec=0.01)

    def spin_for(self, seconds):
        end = time.monotonic() + seconds
        self.spin_until(lambda: time.monotonic() > end, seconds + 5)

    def call(self, node, service):
        client = node.create_client(topics.TRIGGER, service.name)
        self.spin_until(client.service_is_ready)
        future = client.call_async(topics.TRIGGER.Request())
        self.spin_until(future.done)
        node.destroy_client(client)
        return future.result()

    def settle(self, done, patience_s=5.0):
        """Spin until `done`, as long as it takes on a busy machine, but not for ever."""
        deadline = time.monotonic() + patience_s
        while not done() and time.monotonic() < deadline:
            self.executor.spin_once(timeout_sec=0.002)

    def share(self, episode):
        """Let the other nodes live while the episode node waits, all in this thread."""
        apart = episode._spin_once

        def both(timeout_s):
            apart(0.0)
            self.executor.spin_once(timeout_sec=0.002)

        episode._spin_once = both

    def close(self):
        for node in self.nodes:
            self.executor.remove_node(node)
            getattr(node, "close", lambda: None)()
            node.destroy_node()
        self.executor.shutdown()
        rclpy.shutdown(context=self.context)


class Robot(Node):
    """Publishes a robot's state tick by tick, and keeps what it is told."""

    def __init__(self, **overrides):
        super().__init__("robot", **overrides)
        self.now, self.targets, self.openings, self.plans, self.reports = 0, [], [], [], []
        self.clock_out = topics.publisher(self, topics.CLOCK)
        self.joints_out = topics.publisher(self, topics.JOINT_STATES)
        self.pose_out = topics.publisher(self, topics.CURRENT_POSE)
        self.images_out = {
            camera: topics.publisher(self, topics.IMAGES, camera) for camera in SPEC.cameras
        }
        topics.subscribe(self, topics.TARGET_POSE, self.targets.append)
        topics.subscribe(self, topics.TARGET_GRIPPER, self.openings.append)
        topics.subscribe(self, topics.PLAN, self.plans.append)
        topics.subscribe(self, topics.DIAGNOSTICS, self.reports.append)

    def tick(self, cameras=("front", "wrist"), size=(8, 8), joint_spec=SPEC):
        self.now += TICK_NS
        reading = JointReading(np.zeros(2), np.zeros(2), 0.08)
        self.joints_out.publish(convert.joint_message(self.now, reading, joint_spec))
        self.pose_out.publish(convert.pose_message(self.now, HOME.tool))
        if self.now % SPEC.period_ns == 0:
            for camera in cameras:
                image = np.zeros((*size, 3), np.uint8)
                self.images_out[camera].publish(convert.image_message(self.now, image, camera))
        self.clock_out.publish(convert.clock_message(self.now))

    def heights(self):
        return [target.pose.position.z for target in self.targets]


def go(ros, robot, ticks, prompt=True, **kinds):
    """Ticks of the robot; time goes on only once the policy node has heard, and answered.

    Where what is said is not `prompt`, it need only have heard of the time.
    """
    policy = next(node for node in ros.nodes if isinstance(node, PolicyNode))

    def heard():
        streams = (policy._streams.joints, policy._streams.tool)
        if policy._now_ns() < robot.now or "joint_spec" in kinds or not prompt:
            return policy._now_ns() >= robot.now
        return all((s.newest_ns or 0) >= robot.now for s in streams)

    def seen():
        return all((s.newest_ns or 0) >= robot.now for s in policy._streams.images.values())

    def planned():
        """The answer lies in the line at least: it is taken at the next tick."""
        link = policy._planning
        line = link._channel._end
        return link.waiting == 0 or link.down or select.select([line], [], [], 0.0)[0]

    def answered():
        last = robot.targets[-1].header.stamp if robot.targets else None
        return policy._session is None or (
            last is not None and convert.stamp_of(last) >= robot.now
        )

    for _ in range(ticks):
        robot.tick(**kinds)
        ros.settle(heard)
        if robot.now % SPEC.period_ns == 0 and prompt and not kinds:
            ros.settle(seen)
        ros.settle(planned)
        ros.settle(answered, 1.0)


def report_of(robot, name):
    return convert.diagnostics_from(robot.reports[-1])[name]
