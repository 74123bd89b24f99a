"""Closed-loop evaluation: run episodes, judge each at its end, and say how sure the rate is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import binomtest

from df_policy.environment import Environment
from df_policy.frames import Action, Observation
from df_policy.plan import Plan, Planner


@dataclass(frozen=True)
class EpisodeResult:
    """One episode as played."""

    seed: int
    success: bool
    reason: str
    plan_latency_ms: tuple[float, ...]
    """Wall time of each decision: memory update and all denoising."""


def run_episode(
    planner: Planner,
    environment: Environment,
    seed: int,
    watch: Callable[[Plan], None] = lambda _: None,
) -> EpisodeResult:
    """Play the episode of `seed` to its end.

    Args:
        planner: who decides; asked once every `chunk` actions.
        environment: where.
        seed: of the start, and of the planner's randomness.
        watch: called after every action with the plan in force.
    """
    planner.reset(seed)
    observation = environment.reset(seed)
    before: Observation | None = None
    executed: list[Action] = []
    latencies = []
    plan: Plan | None = None
    for step in range(environment.episode_steps):
        turn = step % planner.chunk
        if plan is None or turn == 0:
            begin = time.perf_counter()
            plan = planner.plan(replace(observation, before=before), executed)
            latencies.append(1e3 * (time.perf_counter() - begin))
            executed = []
        before = observation
        observation, sent = environment.step(plan.action(turn))
        executed.append(sent)
        watch(plan)
    verdict = environment.judge()
    return EpisodeResult(seed, verdict.success, verdict.reason, tuple(latencies))


def wilson95(successes: int, episodes: int) -> tuple[float, float]:
    """The 95 % Wilson score interval of a success rate; all is possible before any episode."""
    if episodes == 0:
        return 0.0, 1.0
    interval = binomtest(successes, episodes).proportion_ci(0.95, method="wilson")
    return float(interval.low), float(interval.high)


def summary(results: Sequence[EpisodeResult]) -> dict[str, Any]:
    """The figures of an evaluation, as plain values for JSON.

    Raises:
        ValueError: if there are no results.
    """
    if not results:
        raise ValueError("expected at least one episode")
    successes = sum(result.success for result in results)
    latency = np.concatenate([result.plan_latency_ms for result in results])
    failures = Counter(result.reason for result in results if not result.success)
    return {
        "successes": successes,
        "episodes": len(results),
        "wilson95": list(wilson95(successes, len(results))),
        "failures": dict(failures.most_common()),
        "plan_latency_ms": {
            "p50": float(np.percentile(latency, 50)),
            "p99": float(np.percentile(latency, 99)),
        },
        "seeds": [result.seed for result in results],
        "solved": [result.seed for result in results if result.success],
    }
