"""Stands in for franka_ros_interface: its classes and signatures, a kinematic arm behind them.

SIGUSR1 provokes a reflex, SIGUSR2 silences the robot. The real package is not among Debian's.
"""

import enum
import signal
import threading
import time
from types import SimpleNamespace

import numpy as np
import panda_arm
import rospy

NAMES = ["panda_joint%d" % number for number in range(1, 8)]  # noqa: UP031
TIMEOUT_S = 0.2
"""Commands that stay away for so long make the real one hold the arm with another controller."""


class _World:
    """The arm goes where it is told, 1 kHz, with a lag of 10 ms."""

    def __init__(self):
        self.q, self.dq = panda_arm.HOME.copy(), np.zeros(7)
        self.goal, self.told_s, self.mode, self.silent = self.q, 0.0, 1, False
        self.stamp, self.width, self.width_goal = rospy.Time.now(), 0.08, 0.08
        self.controllers = []
        signal.signal(signal.SIGUSR1, lambda *_: setattr(self, "mode", 4))
        signal.signal(signal.SIGUSR2, lambda *_: setattr(self, "silent", not self.silent))
        threading.Thread(target=self.live, daemon=True).start()

    def live(self):
        last = time.monotonic()
        while True:
            time.sleep(0.002)
            now = time.monotonic()
            passed, last = now - last, now
            if now - self.told_s > TIMEOUT_S or self.mode == 4:
                self.goal = self.q
            moved = min(1.0, passed / 0.01) * (self.goal - self.q)
            self.dq = moved / passed
            self.q = self.q + moved
            self.width += float(np.clip(self.width_goal - self.width, -0.1 * passed, 0.1 * passed))
            if not self.silent:
                self.stamp = rospy.Time.now()


WORLD = None


def world():
    global WORLD
    WORLD = WORLD or _World()
    return WORLD


class ArmInterface:
    class RobotMode(enum.IntEnum):
        ROBOT_MODE_OTHER = 0
        ROBOT_MODE_IDLE = 1
        ROBOT_MODE_MOVE = 2
        ROBOT_MODE_GUIDING = 3
        ROBOT_MODE_REFLEX = 4
        ROBOT_MODE_USER_STOPPED = 5
        ROBOT_MODE_AUTOMATIC_ERROR_RECOVERY = 6

    def __init__(self, synchronous_pub=False):
        self._world, self._speed = world(), 0.15

    def joint_names(self):
        return NAMES

    def get_joint_limits(self):
        return SimpleNamespace(
            joint_names=NAMES,
            position_lower=list(panda_arm.LOW),
            position_upper=list(panda_arm.HIGH),
            velocity=list(panda_arm.SPEED),
        )

    def joint_ordered_angles(self):
        return list(self._world.q)

    def joint_velocities(self):
        return dict(zip(NAMES, self._world.dq))

    def tip_states(self):
        position, quat = panda_arm.tool(self._world.q)
        turn = SimpleNamespace(x=quat[0], y=quat[1], z=quat[2], w=quat[3])
        pose = {"position": position, "orientation": turn}
        return SimpleNamespace(timestamp=self._world.stamp, pose=pose)

    def zero_jacobian(self):
        return panda_arm.jacobian(self._world.q)

    def get_robot_status(self):
        return {"robot_mode": self.RobotMode(self._world.mode)}

    def what_errors(self):
        return ["cartesian_reflex"] if self._world.mode == 4 else None

    def set_collision_threshold(self, cartesian_forces=None, joint_torques=None):
        return len(cartesian_forces) == 6 and len(joint_torques) == 7

    def set_joint_position_speed(self, speed=0.3):
        self._speed = speed

    def set_joint_positions_velocities(self, positions, velocities):
        assert len(positions) == len(velocities) == 7
        self._world.goal, self._world.told_s = np.array(positions), time.monotonic()

    def move_to_joint_positions(
        self, positions, timeout=10.0, threshold=0.00085, test=None, use_moveit=True
    ):
        goal = np.array([positions[name] for name in NAMES])
        deadline = time.monotonic() + timeout
        while np.abs(goal - self._world.q).max() > threshold and time.monotonic() < deadline:
            if test is not None and test():
                return
            step = np.clip(goal - self._world.q, -0.05, 0.05)
            self.set_joint_positions_velocities(self._world.q + step, np.zeros(7))
            time.sleep(0.01)


class RobotEnable:
    def __init__(self, robot_params=None):
        self._world = world()

    def enable(self):
        time.sleep(0.1)
        self._world.mode = 1


class GripperInterface:
    def __init__(
        self,
        gripper_joint_names=("panda_finger_joint1", "panda_finger_joint2"),
        calibrate=False,
        **kwargs,
    ):
        self._world = world()

    @property
    def exists(self):
        return True

    def joint_ordered_positions(self):
        return [self._world.width / 2] * 2

    def stop_action(self):
        self._world.width_goal = self._world.width
        return True

    def move_joints(self, width, speed=None, wait_for_result=True):
        self._world.width_goal = width
        return True

    def grasp(
        self, width, force, speed=None, epsilon_inner=0.005, epsilon_outer=0.005,
        wait_for_result=True, cb=None,
    ):  # fmt: skip
        self._world.width_goal = 0.046  # an apple is there

        def tell():
            while abs(self._world.width - 0.046) > 1e-3:
                time.sleep(0.01)
            held = width - epsilon_inner < self._world.width < width + epsilon_outer
            cb(3, SimpleNamespace(success=held, error=""))

        threading.Thread(target=tell, daemon=True).start()
        return True
