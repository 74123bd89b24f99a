"""A task's world whose arm is driven by torques, as the robot's own controller drives it."""

from __future__ import annotations

import mujoco

from df_policy.sim.kinematics import Joints
from df_policy.sim.scene import ROBOT_PREFIX
from df_policy.sim.tasks.fruit_swap import FRUIT_SWAP
from df_policy.sim.tasks.task import Task
from df_policy.sim.world import World, WorldSettings

TICK_S = 1e-3
"""The robot's controller runs at 1 kHz."""


class DrivenWorld(World):
    """`World` without its position controllers: who holds it applies forces and steps it.

    The robot's gravity is not taken away either, for the robot's controller compensates for it.
    """

    def __init__(self, task: Task = FRUIT_SWAP) -> None:
        """Stands at the start of seed 0, at time 0.

        Args:
            task: what the world is for.
        """
        super().__init__(task, WorldSettings(physics_dt_s=TICK_S))
        self.model.actuator_gainprm[:] = 0.0
        self.model.actuator_biasprm[:] = 0.0
        robot = [body for body in range(self.model.nbody) if self._is_robot(body)]
        self.model.body_gravcomp[robot] = 0.0
        self._left_in_tick = self._substeps

    @property
    def home_q_rad(self) -> Joints:
        """The joints at the start of an episode."""
        return self._home_q

    def lay_out(self, seed: int) -> None:
        """Robot and fruits where `seed` puts them, at rest; the clock does not jump."""
        self._begin(self.task.draw_start(seed))

    def step(self) -> bool:
        """One step of 1 ms with the forces as they are; True at the end of each control tick."""
        mujoco.mj_step(self.model, self.data)
        self._left_in_tick -= 1
        if self._left_in_tick:
            return False
        self._left_in_tick = self._substeps
        self._grip.tick(1e-9 * self._tick_ns)
        self._time_ns += self._tick_ns
        self._keep_score()
        return True

    def _is_robot(self, body: int) -> bool:
        return str(self.model.body(body).name).startswith(ROBOT_PREFIX)
