"""The controllers' side of ros2_control, with the topics of crisp_controllers and franka_gripper.

A kinematic arm follows `target_pose` as an impedance controller does, with a lag, and obeys nobody
while two send. The gripper's action behaves as franka_gripper's: half openings, a closing goal is
a grasp, and one that ends wider than asked for is aborted.
"""

import contextlib
import threading
import time

import numpy as np
import panda_arm
from control_msgs.action import GripperCommand
from geometry_msgs.msg import PoseStamped
from rclpy.action import ActionServer, CancelResponse, GoalResponse
from rclpy.callback_groups import ReentrantCallbackGroup
from rclpy.executors import ExternalShutdownException, MultiThreadedExecutor
from rclpy.node import Node
from sensor_msgs.msg import JointState

PERIOD_S, LAG_S = 0.01, 0.05
FINGER_SPEED = 0.1
ARM = [f"fr3_joint{number}" for number in range(1, 8)]
FINGERS = ["fr3_finger_joint1", "fr3_finger_joint2"]


class Controllers(Node):
    def __init__(self, context, namespace="/arm"):
        super().__init__("controllers", context=context, namespace=namespace)
        self.at = self.goal = np.array([0.5, 0.0, 0.3])
        self.targets, self.goals, self.cancelled = [], [], 0
        self.silent, self.rejects, self.object_m, self.width = False, False, 0.0, 0.08
        together = ReentrantCallbackGroup()
        self.poses = self.create_publisher(PoseStamped, "current_pose", 10)
        self.joints = self.create_publisher(JointState, "joint_states", 10)
        self.fingers = self.create_publisher(JointState, "franka_gripper/joint_states", 1)
        self.create_subscription(PoseStamped, "target_pose", self.on_target, 1)
        self.create_timer(PERIOD_S, self.tick)
        self.server = ActionServer(
            self,
            GripperCommand,
            "franka_gripper/gripper_action",
            self.execute,
            callback_group=together,
            goal_callback=lambda _: (GoalResponse.ACCEPT, GoalResponse.REJECT)[self.rejects],
            cancel_callback=lambda _: CancelResponse.ACCEPT,
        )
        self.ended = threading.Event()
        self.thread = threading.Thread(target=self.live)
        self.thread.start()

    def live(self):
        executor = MultiThreadedExecutor(3, context=self.context)
        executor.add_node(self)
        with contextlib.suppress(ExternalShutdownException):
            while not self.ended.is_set():
                executor.spin_once(timeout_sec=0.02)
        executor.shutdown()

    def close(self):
        self.ended.set()
        self.thread.join()
        self.server.destroy()
        self.destroy_node()

    def on_target(self, message):
        if self.count_publishers(self.resolve_topic_name("target_pose")) > 1:
            return
        point = message.pose.position
        self.targets.append(np.array([point.x, point.y, point.z]))
        self.goal = self.targets[-1]

    def tick(self):
        self.at = self.at + PERIOD_S / LAG_S * (self.goal - self.at)
        if self.silent:
            return
        pose = PoseStamped()
        pose.header.stamp = self.get_clock().now().to_msg()
        pose.header.frame_id = "base"
        pose.pose.position.x, pose.pose.position.y, pose.pose.position.z = self.at.tolist()
        pose.pose.orientation.x, pose.pose.orientation.w = 1.0, 0.0
        self.poses.publish(pose)
        joints = JointState(name=ARM, position=panda_arm.HOME.tolist(), velocity=[0.0] * 7)
        joints.header.stamp = pose.header.stamp
        self.joints.publish(joints)
        fingers = JointState(name=FINGERS, position=[self.width / 2] * 2, velocity=[0.0] * 2)
        fingers.header.stamp = pose.header.stamp
        self.fingers.publish(fingers)

    def execute(self, handle):
        wanted = 2 * handle.request.command.position
        self.goals.append(wanted)
        blocked = max(wanted, self.object_m) if wanted < self.width else wanted
        result = GripperCommand.Result()
        while abs(self.width - blocked) > 1e-4:
            if handle.is_cancel_requested:
                handle.canceled()
                self.cancelled += 1
                return result
            step = FINGER_SPEED * PERIOD_S
            self.width += float(np.clip(blocked - self.width, -step, step))
            time.sleep(PERIOD_S)
        result.position, result.reached_goal = self.width, abs(self.width - wanted) < 0.005
        (handle.succeed if result.reached_goal else handle.abort)()
        return result
