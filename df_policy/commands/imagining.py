"""Episodes watched closely: what was seen, what each plan foresaw, what was imagined far ahead."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import UInt8

from df_policy.environment import Environment, Verdict
from df_policy.evaluate import run_episode
from df_policy.frames import Action, Image, Observation
from df_policy.imagination import Latents
from df_policy.plan import Plan
from df_policy.policy import Policy
from df_policy.robot import RobotSpec


@dataclass(frozen=True)
class RollOuts:
    """How far to imagine, and from where."""

    context: int
    """Tokens that are seen before."""
    tokens: int
    """Tokens that are imagined, with nothing seen in between."""
    levels: tuple[int, ...]
    """At which imagined tokens are remembered, a roll-out each."""


@dataclass(frozen=True)
class Watched:
    """One episode."""

    seed: int
    reason: str
    """How it ended, judged when all that was imagined had come to pass."""
    images: dict[str, UInt8[np.ndarray, "n h w 3"]]
    """Camera -> what it showed, at the start and after each action."""
    plans: Sequence[Plan]
    every: int
    """Actions between two plans."""
    ahead: dict[int, dict[str, Latents]]
    """Level -> camera -> (t, l), the tokens that were imagined."""
    at: np.ndarray
    """Number of the image that is foretold by each of these tokens."""


class _Lasting:
    """An environment that goes on for as long as is wanted, and keeps what it showed."""

    def __init__(self, inner: Environment, steps: int) -> None:
        self._inner, self._steps = inner, steps
        self.seen: list[dict[str, Image]] = []

    @property
    def spec(self) -> RobotSpec:
        return self._inner.spec

    @property
    def episode_steps(self) -> int:
        return self._steps

    def reset(self, seed: int) -> Observation:
        return self._keep(self._inner.reset(seed))

    def step(self, action: Action) -> tuple[Observation, Action]:
        observation, sent = self._inner.step(action)
        return self._keep(observation), sent

    def judge(self) -> Verdict:
        return self._inner.judge()

    def close(self) -> None:
        self._inner.close()

    def _keep(self, observation: Observation) -> Observation:
        self.seen.append(dict(observation.images))
        return observation


def watch_episode(policy: Policy, environment: Environment, seed: int, far: RollOuts) -> Watched:
    """Play until all that is imagined has come to pass, or has not.

    Args:
        policy: who decides, and imagines.
        environment: where; it may last longer than an episode, in which the robot goes on.
        seed: of the start, the plans and the roll-outs.
        far: what to imagine.
    """
    lasting = _Lasting(environment, (far.context + far.tokens) * policy.chunk)
    begin = far.context * policy.chunk
    plans: list[Plan] = []
    ahead: dict[int, dict[str, Latents]] = {}

    def watch(plan: Plan) -> None:
        if plans and plan is plans[-1]:
            return
        if len(plans) * policy.every == begin:
            for level in far.levels:
                imagined = policy.imagine(far.tokens, seed, level)
                ahead[level] = {name: rows[0] for name, rows in imagined.items()}
        plans.append(plan)

    result = run_episode(policy, lasting, seed, watch)
    cameras = environment.spec.cameras
    images = {name: np.stack([one[name] for one in lasting.seen]) for name in cameras}
    at = begin + policy.chunk * np.arange(1, far.tokens + 1)
    return Watched(seed, result.reason, images, plans, policy.every, ahead, at)
