"""Closed-loop evaluation: run episodes, judge each at its end, and say how sure the rate is."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from scipy.stats import binomtest

from df_policy.costs import Pending
from df_policy.environment import Environment
from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Observation
from df_policy.geometry import Vector
from df_policy.plan import Guided, Plan, Planner
from df_policy.robot import RobotSpec

_ALIKE = 1e-6
"""Metres, and the same in rotation columns: two actions that differ by less are one."""


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

    The plan is followed by its times, as over ROS: where observations come late, by their stamps,
    the plan begins in the past, and what it had for then is left out. While the robot is held, as
    in a pause, nothing of a plan is under way, so the next one need not begin with it.

    Args:
        planner: who decides; asked once every `every` actions.
        environment: where.
        seed: of the start, and of the planner's randomness.
        watch: called after every action with the plan in force.
    """
    with _costs_in_turn(planner) as passed:
        return _play(planner, environment, seed, watch, passed)


@contextmanager
def _costs_in_turn(planner: Planner) -> Iterator[Callable[[Vector], None]]:
    """Within, costs that are over act no more; to be told where the tool is."""
    if not isinstance(planner, Guided):
        yield lambda _: None
        return
    wanted = planner.costs
    pending = Pending(wanted)
    planner.costs = pending.now

    def passed(point_m: Vector) -> None:
        if pending.passed(point_m):
            planner.costs = pending.now

    try:
        yield passed
    finally:
        planner.costs = wanted


def _play(
    planner: Planner,
    environment: Environment,
    seed: int,
    watch: Callable[[Plan], None],
    passed: Callable[[Vector], None],
) -> EpisodeResult:
    """As `run_episode`; `passed` is told where the tool is after each action."""
    planner.reset(seed)
    observation = environment.reset(seed)
    start_ns, period_ns = observation.stamp_ns, environment.spec.period_ns
    before: Observation | None = None
    sent: list[Action] = []
    still = [observation.hold()] * planner.every
    latencies = []
    plan: Plan | None = None
    first, held = 0, False
    for step in range(environment.episode_steps):
        if step % planner.every == 0:
            seen = round((observation.stamp_ns - start_ns) / period_ns)
            known = [*still, *sent[max(0, seen - planner.every) : seen]]
            executed = known[-planner.every :] if step else []
            committed = sent[seen:]
            if plan is not None and not held:
                coming = range(step - first, min(step - first + planner.commit, len(plan.actions)))
                committed += [plan.action(index) for index in coming]
            begin = time.perf_counter()
            plan = planner.plan(replace(observation, before=before), executed, committed)
            latencies.append(1e3 * (time.perf_counter() - begin))
            first = seen
        assert plan is not None
        before = observation
        asked = plan.action(min(step - first, len(plan.actions) - 1))
        observation, done = environment.step(asked)
        passed(observation.tool.position_m)
        held = not _is_carried_out(asked, done, sent[-1] if sent else still[0], environment.spec)
        sent.append(done)
        watch(plan)
    verdict = environment.judge()
    return EpisodeResult(seed, verdict.success, verdict.reason, tuple(latencies))


def _is_carried_out(asked: Action, done: Action, before: Action, spec: RobotSpec) -> bool:
    """Whether the action done is the one asked for, within the robot's limits."""
    wanted = spec.limit(asked, before, 1e-9 * spec.period_ns)
    return bool(np.allclose(done.row(), wanted.row(), rtol=0.0, atol=_ALIKE))


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


@dataclass(frozen=True)
class Comparison:
    """Two evaluations of the same seeds, pair by pair."""

    episodes: int
    only_first: int
    """Seeds that the first solved and the second did not."""
    only_second: int
    p_value: float
    """Of the hypothesis that both solve equally many, two-sided."""


def compare(first: Mapping[str, Any], second: Mapping[str, Any]) -> Comparison:
    """Compare two summaries by McNemar's exact test.

    Pairs with the same outcome tell nothing about which is better; if neither is, the others fall
    to either side like a fair coin.

    Source: McNemar 1947, Psychometrika 12, 153; the exact form is the binomial test.

    Raises:
        DfPolicyError: if the seeds are not the same.
    """
    seeds = [sorted(summary["seeds"]) for summary in (first, second)]
    if seeds[0] != seeds[1]:
        said = " and ".join(f"{len(s)} from {s[0]} to {s[-1]}" for s in seeds)
        raise DfPolicyError(
            f"expected the same seeds in both, got {said}; evaluate both with the same --seed and "
            "--episodes"
        )
    solved = [set(summary["solved"]) for summary in (first, second)]
    one, other = len(solved[0] - solved[1]), len(solved[1] - solved[0])
    p_value = float(binomtest(one, one + other).pvalue) if one + other else 1.0
    return Comparison(len(seeds[0]), one, other, p_value)
