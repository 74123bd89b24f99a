"""A task as an environment: ten actions a second, each walked in five control ticks."""

from __future__ import annotations

from df_policy.environment import Verdict
from df_policy.frames import Action, Observation
from df_policy.gate import Gate
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
        self._sent, self._gate = self._stand()

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
        self._sent, self._gate = self._stand()
        return self.world.observe(self._cameras)

    def step(self, action: Action) -> tuple[Observation, Action]:
        """Carry out one action within the limits: what is seen after it, and what was sent.

        Each tick's target passes the gate, as over ROS; one that does not leaves the robot held.
        """
        before = self._sent
        goal = self.spec.limit(action, before, 1e-9 * self.spec.period_ns)
        ticks = self.spec.control_steps
        for tick in range(1, ticks + 1):
            wanted = before.towards(goal, tick / ticks)
            self._sent = self._gate.pass_on(self.world.time_ns, wanted).target
            self.world.advance(self._sent)
        return self.world.observe(self._cameras), self._sent

    def _stand(self) -> tuple[Action, Gate]:
        """The start's target, and a gate that begins there."""
        gate = Gate(self.spec, 1.0 / self.spec.control_rate_hz)
        gate.begin(self.world.home)
        return self.world.home, gate

    def judge(self) -> Verdict:
        """Whether the task is done now, and if not, what is wrong."""
        return self.world.judge()

    def close(self) -> None:
        """Free the graphics."""
        self.world.close()
