"""Fruit swap as an environment: ten actions a second, each walked in five control ticks."""

from __future__ import annotations

from df_policy.environment import Verdict
from df_policy.frames import Action, Observation
from df_policy.robot import RobotSpec
from df_policy.sim.task import EPISODE_STEPS
from df_policy.sim.world import World, WorldSettings


class FruitSwap:
    """Swap the apple and the orange; see `df_policy.environment.Environment`."""

    def __init__(self, settings: WorldSettings | None = None, *, cameras: bool = True) -> None:
        """Builds the world.

        Args:
            settings: rates and image sizes.
            cameras: False leaves images out of all observations, which is faster.
        """
        self.world = World(settings)
        self._cameras = cameras
        self._sent = self.world.home

    @property
    def spec(self) -> RobotSpec:
        """The robot's schema."""
        return self.world.spec

    @property
    def episode_steps(self) -> int:
        """Actions in one episode, the same for all."""
        return EPISODE_STEPS

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
        """Whether the fruits are swapped now, and if not, what is wrong."""
        return self.world.judge()

    def close(self) -> None:
        """Free the graphics."""
        self.world.close()
