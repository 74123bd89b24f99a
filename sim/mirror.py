"""A task's script for a robot that is simulated in another process, which tells where all is."""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float64

from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Observation
from df_policy.sim.scripted import ScriptedOperator
from df_policy.sim.tasks.task import Task
from df_policy.sim.world import World


class Mirror(World):
    """A world in which nothing happens by itself: all is where another one's is."""

    def __init__(self, task: Task) -> None:
        """Stands at the start of seed 0, at time 0.

        Args:
            task: what the other world is for.
        """
        super().__init__(task)
        self._before = self.data.qpos.copy()

    def lay_out(self, seed: int) -> None:
        """The other world stands at the start that `seed` describes."""
        self._begin(self.task.draw_start(seed))

    def follow(self, time_ns: int, snapshot: Float64[np.ndarray, "n"]) -> None:
        """Everything is where the other world's is; speeds are told by where it was before.

        Args:
            time_ns: the other world's clock.
            snapshot: its own, `World.snapshot`, or the positions alone.

        Raises:
            DfPolicyError: if it is that of another task.
        """
        expected = (self.model.nq, self.snapshot().size)
        if snapshot.size not in expected:
            raise DfPolicyError(
                f"expected {expected[0]} or {expected[1]} positions of {self.task.name}, got "
                f"{snapshot.size}: is another task simulated?"
            )
        passed_s = max(1e-9 * (time_ns - self._time_ns), 1e-9 * self._tick_ns)
        self._before[:] = self.data.qpos
        self.data.qpos[:] = snapshot[: self.model.nq]
        mujoco.mj_differentiatePos(
            self.model, self.data.qvel, passed_s, self._before, self.data.qpos
        )
        self._time_ns = time_ns
        self._refresh()
        self._keep_score()


class Script:
    """What the scripted operator of a mirrored world tells the robot, tick by tick.

    Args:
        mirror: stands at an episode's start.
        seed: of that start; all of the operator's variety comes from it.
    """

    def __init__(self, mirror: Mirror, seed: int) -> None:
        self._mirror = mirror
        self._operator = ScriptedOperator(mirror)
        self._operator.start(self.seen, seed)
        self._sent = self._before = self._goal = mirror.home
        self._tick = self._steps = 0

    @property
    def seen(self) -> Observation:
        """What the robot knows now, without its cameras."""
        return self._mirror.observe(cameras=False)

    @property
    def over(self) -> bool:
        """Whether all of the task's actions were told; the last target is held."""
        return self._steps >= self._mirror.task.steps

    def next(self) -> Action:
        """The target for the end of the tick that begins now."""
        spec = self._mirror.spec
        if self._tick == 0:
            self._before = self._sent
            if not self.over:
                wanted = self._operator.act(self.seen).action
                self._goal = spec.limit(wanted, self._before, 1e-9 * spec.period_ns)
                self._steps += 1
        self._tick += 1
        target = self._before.towards(self._goal, self._tick / spec.control_steps)
        self._tick %= spec.control_steps
        return target

    def sent(self, target: Action) -> None:
        """The target of this tick as the robot was told, after all limits."""
        self._sent = target
