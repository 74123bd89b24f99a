"""The drivers of a real arm against the protocol simulator, tick by tick, in one process.

The robot's time stands still while a test thinks, so that nothing depends on the machine's load.
"""

import contextlib
import threading

import numpy as np

from df_policy.frames import Observation
from df_policy.hardware.arm import LostRobotError
from df_policy.hardware.franky_arm import ArmSettings, FrankyArm
from df_policy.hardware.franky_hand import FrankyHand
from df_policy.hardware.hand_goals import HandSettings
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.arm_drive import ArmDrive
from df_policy.ros_nodes.hardware_graph import free_address
from df_policy.sim.protocol_robot import ProtocolRobot
from df_policy.sim.tasks.fruit_swap import FRUIT_SWAP

SPEC = RobotSpec("fr3", tuple(f"fr3_joint{number}" for number in range(1, 8)), {})
PATIENCE_S = 60.0


class Bench:
    """A robot at its table, whose time passes in `tick` alone."""

    def __init__(self, task=FRUIT_SWAP, address=None):
        self._ticked, self._go = threading.Semaphore(0), threading.Semaphore(0)
        self._free = False
        self.address = address or free_address()
        self.robot = ProtocolRobot(task, self.address, self._on_tick)
        self.world = self.robot.world
        self.robot.start()
        assert self._ticked.acquire(timeout=PATIENCE_S)

    def _on_tick(self):
        self._ticked.release()
        while not self._free and not self._go.acquire(timeout=0.2):
            self.robot.arm.gripper_server.send_state()  # its clients give up after a second

    def tick(self, count=1):
        """Let 20 ms of the robot's time pass."""
        for _ in range(count):
            self._go.release()
            assert self._ticked.acquire(timeout=PATIENCE_S), "the robot's time stands still"

    def free(self):
        """Let time pass by itself, for what waits for the robot."""
        self._free = True
        self._go.release()

    def running(self):
        return _Running(self)

    def close(self):
        self.free()
        self.robot.close()


class _Running:
    def __init__(self, bench):
        self.bench = bench

    def __enter__(self):
        self.bench.free()

    def __exit__(self, *_):
        bench = self.bench
        while bench._ticked.acquire(blocking=False):
            pass
        bench._free = False
        assert bench._ticked.acquire(timeout=PATIENCE_S)


class DrivenEnvironment:
    """A task through libfranka's protocol; see `df_policy.environment.Environment`."""

    def __init__(self, bench, **settings):
        self.bench, self.world, self.task = bench, bench.world, bench.world.task
        with bench.running():
            settings = {"joint_speeds_rad_s": SPEC.max_joint_speed_rad_s} | settings
            self.arm = FrankyArm(ArmSettings(bench.address, real_time=False, **settings))
            self.arm.connect()
            self.hand = FrankyHand(HandSettings(bench.address))
            self.hand.connect()
        self.following = ArmDrive(self.arm, SPEC, 0.25)
        self.session = self.following.session
        self.errors_mm, self.reasons = [], []

    @property
    def spec(self):
        return self.world.spec

    @property
    def episode_steps(self):
        return self.task.steps

    def reset(self, seed):
        self.idle()
        self.bench.robot.reset(seed)
        self.session.release()
        self.following.forget()
        self.hand.want(0.08)
        self.idle()
        self._sent = self.world.home
        return self.observe()

    def idle(self):
        """Nobody sends, until the arm is left alone."""
        for _ in range(80):
            self.drive(None)
            if self.session._ceased and not self.session.active and not self._controlled:
                return
        raise AssertionError("the arm is still under control")

    @property
    def _controlled(self):
        return self.arm._robot.is_in_control

    def read(self):
        """What the arm says; where nobody moves it, the client waits until time passes."""
        if self._controlled:
            with contextlib.suppress(LostRobotError):  # its motion just ended
                return self.arm.read()
        for _ in range(20):
            self.bench._go.release()
            try:
                return self.arm.read()
            except LostRobotError:
                continue  # the tick was over before the client listened
            finally:
                assert self.bench._ticked.acquire(timeout=PATIENCE_S)
        raise AssertionError("the robot says nothing")

    def drive(self, wanted):
        """One tick: what franka_node does in it; returns what the gate cleared."""
        self.bench.tick()
        state = self.read()
        now_ns = state.robot_ns
        if wanted is not None:
            self.session.gripper(wanted.gripper_m)
            self.session.pose(now_ns, wanted.tool)
        if state.fault:
            self.session.block(state.fault)
        cleared = self.following.tick(now_ns, state, self.hand.read().opening_m)
        if cleared is not None:
            if cleared.reason:
                self.reasons.append(cleared.reason)
            self.hand.want(cleared.target.gripper_m)
        return cleared

    def step(self, action):
        before = self._sent
        goal = self.spec.limit(action, before, 0.1)
        for tick in range(1, 6):
            self._sent = before.towards(goal, tick / 5)
            self.drive(self._sent)
            far = self.read().tool.position_m - self._sent.tool.position_m
            self.errors_mm.append(1e3 * float(np.linalg.norm(far)))
        return self.observe(), self._sent

    def observe(self):
        state, hand, now_ns = self.read(), self.hand.read(), self.world.time_ns
        moment = self.bench.robot.moments()[-1]
        images = self.bench.robot.render(moment)
        stamps = dict.fromkeys(images, now_ns)
        return Observation(
            now_ns, images, stamps, state.q_rad, state.dq_rad_s, state.tool, hand.opening_m
        )

    def judge(self):
        return self.bench.robot.judge()

    def close(self):
        self.bench.free()
        self.hand.close()
        self.arm.close()
        self.bench.close()
