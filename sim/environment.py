"""A task as an environment: ten actions a second, each walked in five control ticks."""

from __future__ import annotations

from df_policy.environment import Verdict
from df_policy.frames import Action, Observation
from df_policy.robot import RobotSpec
from df_policy.sim.tasks.task import Task
from df_policy.sim.world import World, WorldSettings


class TaskEnvironment:
    """A world and its task; see `df_policy.environment.Environment`."""

    def __init__(
        self, task: Task, settings: WorldSettings | None = None, *, cameras: bool = True
    ) -> None:
        """Builds the world.

        Args:
            task: what is to be done.
            settings: rates and image sizes.
            cameras: False leaves images out of all observations, which is faster.
        """
        self.task = task
        self.world = World(task, settings)
        self._cameras = cameras
        self._sent = self.world.home

    @property
    def spec(self) -> RobotSpec:
        """The robot's schema."""
        return self.world.spec

    @property
    def episode_steps(self) -> int:
        """Actions in one episode, the same for all."""
        return self.task.steps

    def reset(self, seed: int) -> Observation:
        """Start the episode that `seed` describes, and see it."""
        self.world.reset(seed)
        self._sent = self.world.home
        return self.world.observe(self._cameras)

    def step(self, action: Action) -> tuple[Observation, Action]:
        """Carry out one action within the limits: what is seen after it, and what was sent."""
        sent = self.spec.limit(action, self._sent, 1e-9 * self.spec.period_ns)
        ticks = self.spec.control_steps
        for tick in range(1, ticks + 1):
            self.world.advance(self._sent.towards(sent, tick / ticks))
        self._sent = sent
        return self.world.observe(self._cameras), sent

    def judge(self) -> Verdict:
        """Whether the task is done now, and if not, what is wrong."""
        return self.world.judge()

    def close(self) -> None:
        """Free the graphics."""
        self.world.close()
