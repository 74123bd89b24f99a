"""A Franka arm at a task's table that only libfranka's protocol can move.

franky-sim speaks the protocol and plays the robot's controller; table, fruits and cameras are this
project's. What drives a real arm drives this one unchanged.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import franky_sim
import mujoco
import numpy as np
from franky_sim.mujoco_simulator import FrankaMujocoRobot
from jaxtyping import Float64

from df_policy.environment import Verdict
from df_policy.errors import DfPolicyError
from df_policy.frames import Image
from df_policy.sim.cameras import PolicyCameras
from df_policy.sim.driven_world import TICK_S, DrivenWorld
from df_policy.sim.protocol_server import ArmServer
from df_policy.sim.scene import ROBOT_PREFIX
from df_policy.sim.tasks.fruit_swap import FRUIT_SWAP
from df_policy.sim.tasks.task import Task

_STALL_S = 0.02
"""A robot does not make up for time: after a stall this long the clock slips."""
_PATIENCE_S = 0.05
"""So long the robot's time stands still for a client that must answer, of this machine's time."""
_WAITING = 50
"""Control ticks that may wait for whoever listens; older ones are dropped."""


@dataclass(frozen=True)
class Moment:
    """All positions at the end of a control tick."""

    time_ns: int
    qpos: Float64[np.ndarray, "n"]


class ProtocolRobot:
    """Serves the protocol at an address in a thread of its own, in real time.

    All methods may be called from one other thread, which alone renders.
    """

    def __init__(
        self,
        task: Task = FRUIT_SWAP,
        address: str = "127.0.0.1",
        on_tick: Callable[[], None] = lambda: None,
        real_time_factor: float = 1.0,
    ) -> None:
        """Stands at the start of seed 0; nothing moves before `start`.

        Args:
            task: what stands on the table.
            address: where the robot is reached.
            on_tick: called in the server's thread after each control tick.
            real_time_factor: simulated seconds per second, as far as the machine keeps up.

        Raises:
            DfPolicyError: if the address is in use.
        """
        self.world = DrivenWorld(task)
        self._on_tick, self._period_s = on_tick, TICK_S / real_time_factor
        self._simulator = _Table(self.world)
        self.arm = ArmServer(self._simulator.robot, address)
        self._simulator.init()
        self._simulator.start()
        self._view = mujoco.MjData(self.world.model)
        self._cameras = PolicyCameras(self.world.model, self.world.spec.cameras)
        self._lock = threading.Lock()
        self._moments: deque[Moment] = deque(maxlen=_WAITING)
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="robot", daemon=True)
        self.slips = 0
        """How often the machine was too slow and time slipped."""

    @property
    def time_ns(self) -> int:
        """The robot's clock, which never goes back."""
        return self.world.time_ns

    def start(self) -> None:
        """Let time pass."""
        self._thread.start()

    def close(self) -> None:
        """End the server and free the graphics."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self.arm.reset_state()
        if self.arm.gripper_server is not None:
            self.arm.gripper_server.reset_state()
        self.arm.cleanup()
        self._cameras.close()
        self.world.close()

    def reset(self, seed: int) -> int:
        """Robot and fruits where `seed` puts them; returns the time of it [ns].

        Raises:
            DfPolicyError: while a client moves the arm.
        """
        with self._lock:
            if self.arm.driven:
                raise DfPolicyError(
                    "expected the arm to stand still, got a client that moves it; stop it first"
                )
            self.world.lay_out(seed)
            self._simulator.robot.set_hand_goal(self.world.home.gripper_m, 0.05, 70.0)
            self.arm.hold()
            return self.world.time_ns

    def judge(self) -> Verdict:
        """Whether the task is done now, and if not, what is wrong."""
        with self._lock:
            return self.world.judge()

    def reflex(self, error: str = "cartesian_reflex") -> None:
        """Have the robot stop as if it had hit something."""
        with self._lock:
            self.arm.reflex(error)

    def user_stop(self, pressed: bool) -> None:
        """Press or release the robot's stop button."""
        with self._lock:
            self.arm.user_stop(pressed)

    def moments(self) -> list[Moment]:
        """All control ticks since the last call."""
        taken = []
        while self._moments:
            taken.append(self._moments.popleft())
        return taken

    def render(self, moment: Moment) -> dict[str, Image]:
        """What the cameras saw then."""
        self._view.qpos[:] = moment.qpos
        mujoco.mj_kinematics(self.world.model, self._view)
        mujoco.mj_camlight(self.world.model, self._view)
        return self._cameras.render(self._view)

    def _run(self) -> None:
        due_s = time.perf_counter()
        while not self._ended.is_set():
            self.arm.await_command(_PATIENCE_S)
            with self._lock:
                ended = self._step()
            if ended:
                self._on_tick()
            due_s += self._period_s
            left_s = due_s - time.perf_counter()
            if left_s > 0.0:
                time.sleep(left_s)
            elif left_s < -_STALL_S:
                due_s -= left_s
                self.slips += 1

    def _step(self) -> bool:
        self.arm.process_commands()
        self._simulator.step()
        self.arm.send_state()
        if self._simulator.tick_ended:
            self._moments.append(Moment(self.world.time_ns, self.world.data.qpos.copy()))
        return self._simulator.tick_ended


class _Table(franky_sim.BaseSimulator):  # type: ignore[misc]
    """franky-sim's robot, wired to the arm in our world."""

    def __init__(self, world: DrivenWorld) -> None:
        super().__init__()
        self._world = world
        self.tick_ended = False
        home: Any = world.home_q_rad.tolist()
        self.robot = FrankaMujocoRobot(home, world.home.gripper_m)
        self.robot._attach_to_scene(world.model, world.data, ROBOT_PREFIX)

    def _get_robots(self) -> list[Any]:
        return [self.robot]

    def _step(self) -> None:
        self.tick_ended = self._world.step()
