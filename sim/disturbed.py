"""An environment in which things go wrong, each drawn by the episode's seed.

Disturbances act between the policy and the robot (actions lost), in the scene (a fruit moved), and
between the robot and the policy (cameras, delay). Judging stays the task's own.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from df_policy.environment import Environment, Verdict
from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Observation
from df_policy.robot import RobotSpec
from df_policy.sim.stagehand import Stagehand
from df_policy.sim.world import World

FIRST_S = 1.0
"""Nothing happens before: an episode whose beginning nobody saw is no test of memory."""


@dataclass(frozen=True)
class Episode:
    """What a disturbance knows when an episode begins."""

    spec: RobotSpec
    steps: int
    """Actions in the episode; step n is the n-th action and the observation after it."""
    task_steps: int
    """Actions that the task itself allows; fewer than `steps` where a disturbance takes time."""
    rng: np.random.Generator
    """Its own, drawn from the episode's seed and the disturbance's name."""
    stage: Stagehand | None
    """None where the world is no simulation."""

    @property
    def seconds(self) -> float:
        """How long the episode lasts."""
        return self.steps / self.spec.action_rate_hz

    def step_at(self, seconds: float) -> int:
        """The step that is nearest to this time."""
        return round(seconds * self.spec.action_rate_hz)

    def some_step(self, last_s: float) -> int:
        """A random step between FIRST_S and this time."""
        return self.step_at(float(self.rng.uniform(FIRST_S, max(FIRST_S, last_s))))

    def need_stage(self) -> Stagehand:
        """The access to the scene.

        Raises:
            DfPolicyError: if there is no simulated scene.
        """
        if self.stage is None:
            raise DfPolicyError(
                f"expected a simulated world to disturb, got {self.spec.name}; choose "
                "disturbances of cameras, actions or delay"
            )
        return self.stage


class Effect:
    """What one disturbance does in one episode. This one does nothing."""

    since: int | None = None
    """The step at which it acted first, once it has."""

    def holds(self, step: int) -> bool:
        """Whether somebody holds the robot instead of the action of `step`; the sender knows."""
        del step
        return False

    def touch(self, step: int) -> None:
        """Reach into the scene, just before the action of `step` is carried out."""

    def carry(self, step: int, action: Action, held: Action) -> Action:
        """What reaches the robot as the action of `step`, where `held` reached it last."""
        del step, held
        return action

    def see(self, step: int, seen: Observation) -> Observation:
        """What of the observation after `step` arrives; step 0 is the start."""
        del step
        return seen


@dataclass(frozen=True)
class Disturbance:
    """Something that goes wrong, by name."""

    name: str
    about: str
    begin: Callable[[Episode], Effect]
    """Draws what will happen in an episode."""
    longer: int = 0
    """By how many of its own lengths the episode becomes longer."""


class Disturbed:
    """An environment with disturbances, itself a `df_policy.environment.Environment`.

    Two runs of one seed meet the same disturbances, as far as these do not wait for what the robot
    does; those of one name are the same whatever others there are. Without any, it is the
    environment that it wraps, bit for bit.
    """

    def __init__(
        self,
        environment: Environment,
        disturbances: Sequence[Disturbance],
        share: float = 1.0,
    ) -> None:
        """Wraps `environment`.

        Args:
            environment: closed with this one.
            disturbances: observations pass through them in this order.
            share: of the episodes in which each acts, drawn for each alone.
        """
        self._inner, self._disturbances = environment, tuple(disturbances)
        self._share = share
        world = getattr(environment, "world", None)
        self._stage = Stagehand.of(world) if isinstance(world, World) else None
        self._effects: dict[str, Effect] = {}
        self._step, self._lost = 0, False

    @property
    def inner(self) -> Environment:
        """The environment that is disturbed."""
        return self._inner

    @property
    def spec(self) -> RobotSpec:
        """The robot's schema."""
        return self._inner.spec

    @property
    def episode_steps(self) -> int:
        """Actions in one episode, the same for all."""
        return self._inner.episode_steps * (1 + sum(one.longer for one in self._disturbances))

    @property
    def since_s(self) -> dict[str, float]:
        """When each disturbance acted first in this episode, for those that did."""
        since = {name: effect.since for name, effect in self._effects.items()}
        rate_hz = self.spec.action_rate_hz
        return {name: step / rate_hz for name, step in since.items() if step is not None}

    def reset(self, seed: int) -> Observation:
        """Start the episode that `seed` describes, with the disturbances that it draws."""
        if self._stage is not None:
            self._stage.undo()
        seen = self._inner.reset(seed)
        self._effects = {}
        for one in self._disturbances:
            effect = one.begin(episode := self._episode(seed, one.name))
            if episode.rng.uniform() < self._share:
                self._effects[one.name] = effect
        self._step, self._lost = 0, False
        self._held = self._sent = seen.hold()
        return self._through(seen)

    def step(self, action: Action) -> tuple[Observation, Action]:
        """Carry out one action: what is seen after it, and what the sender takes for sent.

        A sender that loses an action is not told: as on a real robot nothing acknowledges a
        target, and what became of it shows in the observations alone. So a lost action is still
        returned as sent, within the limits that hold between one action sent and the next. Who
        holds the robot on purpose does it by sending its last target again.
        """
        self._step += 1
        if any(effect.holds(self._step) for effect in self._effects.values()):
            action = self._sent
        reaching = action
        for effect in self._effects.values():
            effect.touch(self._step)
            reaching = effect.carry(self._step, reaching, self._held)
        self._lost |= reaching is not action
        seen, self._held = self._inner.step(reaching)
        if self._lost:
            self._sent = self.spec.limit(action, self._sent, 1e-9 * self.spec.period_ns)
        else:
            self._sent = self._held
        return self._through(seen), self._sent

    def judge(self) -> Verdict:
        """The task's own verdict."""
        return self._inner.judge()

    def close(self) -> None:
        """Free what the wrapped environment holds."""
        if self._stage is not None:
            self._stage.undo()
        self._inner.close()

    def _episode(self, seed: int, name: str) -> Episode:
        rng = np.random.default_rng([seed, zlib.crc32(name.encode())])
        return Episode(self.spec, self.episode_steps, self._inner.episode_steps, rng, self._stage)

    def _through(self, seen: Observation) -> Observation:
        for effect in self._effects.values():
            seen = effect.see(self._step, seen)
        return seen
