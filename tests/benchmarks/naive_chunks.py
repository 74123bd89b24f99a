#!/usr/bin/env python3
"""Success under a delay: the policy, and a runner that plays whole chunks as if there were none.

    python tests/benchmarks/naive_chunks.py --delay 300 --episodes 100 --seed 10000 --workers 2

The naive runner is what most stacks do: take the newest observation for the present, play the plan
made of it from its first action to the last of a chunk, then look again. The weights are the same.
The policy goes by the stamps, as `python -m df_policy evaluate --perturb delay:300` does.
"""

from __future__ import annotations

import argparse
import functools
import multiprocessing
from collections import Counter
from concurrent.futures import ProcessPoolExecutor
from dataclasses import replace
from typing import Any

import torch
from rich.console import Console

from df_policy.evaluate import run_episode, wilson95
from df_policy.frames import Action, Observation
from df_policy.policy import Policy
from df_policy.sim.disturbances import parse
from df_policy.sim.disturbed import Disturbed
from df_policy.sim.environment import TaskEnvironment
from df_policy.sim.tasks import find


class Unstamped:
    """A robot whose observations are taken for the present, however late they are."""

    def __init__(self, inner: Disturbed) -> None:
        self._inner = inner
        self.spec, self.episode_steps, self.judge = inner.spec, inner.episode_steps, inner.judge

    def reset(self, seed: int) -> Observation:
        seen = self._inner.reset(seed)
        self._now_ns = seen.stamp_ns
        return seen

    def step(self, action: Action) -> tuple[Observation, Action]:
        seen, sent = self._inner.step(action)
        self._now_ns += self.spec.period_ns
        stamps_ns = dict.fromkeys(seen.image_stamps_ns, self._now_ns)
        return replace(seen, stamp_ns=self._now_ns, image_stamps_ns=stamps_ns), sent


@functools.cache
def stage(name: str, delay_ms: float, naive: bool) -> tuple[Policy, Any]:
    """A policy and where it plays, made once in a process."""
    torch.set_num_threads(1)
    policy = Policy.load(name)
    late = Disturbed(TaskEnvironment(find("fruit_swap")), parse(f"delay:{delay_ms:g}"))
    if not naive:
        return policy, late
    sampler = replace(policy.sampler, every=policy.chunk, commit=0)
    return Policy.load(name, sampler=sampler), Unstamped(late)


def play(job: tuple[str, float, bool, int]) -> tuple[bool, str]:
    """One episode: whether it was solved, and how it ended."""
    *where, seed = job
    result = run_episode(*stage(*where), seed)
    return result.success, result.reason


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--checkpoint", default="fruit_swap")
    options.add_argument("--delay", type=float, default=300.0, help="ms")
    options.add_argument("--episodes", type=int, default=100)
    options.add_argument("--seed", type=int, default=10000)
    options.add_argument("--workers", type=int, default=2)
    options.add_argument("--naive-only", action="store_true")
    chosen = options.parse_args()
    seeds = range(chosen.seed, chosen.seed + chosen.episodes)
    context = multiprocessing.get_context("spawn")
    with ProcessPoolExecutor(chosen.workers, context) as pool:
        for naive in (True,) if chosen.naive_only else (True, False):
            jobs = [(chosen.checkpoint, chosen.delay, naive, seed) for seed in seeds]
            played = list(pool.map(play, jobs))
            solved = sum(success for success, _ in played)
            low, high = wilson95(solved, len(played))
            ends = Counter(reason for success, reason in played if not success)
            who = "chunks played blindly" if naive else "plans that know when"
            Console().print(
                f"{who}: {solved} of {len(played)} ({100 * low:.1f} to {100 * high:.1f} %), "
                + ", ".join(f"{count} {reason}" for reason, count in ends.most_common())
            )


if __name__ == "__main__":
    main()
