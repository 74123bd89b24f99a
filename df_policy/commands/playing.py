"""Closed-loop episodes in worker processes, each with its own policy and its own world."""

from __future__ import annotations

import argparse
import dataclasses
import multiprocessing
import signal
from collections.abc import Iterator, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from typing import Any

import numpy as np

from df_policy import costs
from df_policy.commands.films import Take
from df_policy.errors import DfPolicyError
from df_policy.evaluate import EpisodeResult, run_episode
from df_policy.policy import Policy
from df_policy.sim.disturbances import parse
from df_policy.sim.disturbed import Disturbed
from df_policy.sim.environment import TaskEnvironment
from df_policy.sim.tasks import find, make


@dataclass(frozen=True)
class Played:
    """One episode, and what the film needs of it."""

    condition: str
    """Names of the disturbances, as `--perturb` takes them."""
    result: EpisodeResult
    since_s: dict[str, float]
    """Disturbance -> when it acted first, for those that did."""
    take: Take | None


class _Stage:
    """One process' environment and policy, made once."""

    environment: TaskEnvironment
    policy: Policy
    refusal: DfPolicyError | None = None
    """Why there are none; an initialiser that raises would end the pool without saying."""


def task_of(options: argparse.Namespace, policy: Policy) -> str:
    """The task's name: as given, or as trained; old checkpoints knew one task only.

    Raises:
        DfPolicyError: if there is no such task.
    """
    return find(getattr(options, "task", policy.about.get("task", "fruit_swap"))).name


def load_policy(options: argparse.Namespace) -> Policy:
    """The policy that the options name, with their sampler.

    Raises:
        DfPolicyError: if there is no such checkpoint.
    """
    from df_policy import checkpoint
    from df_policy.device import pick

    device = pick(options.device)
    trained = checkpoint.load(options.checkpoint, device)
    plain = ("steps", "samples", "choice", "horizon", "every", "commit", "matrix", "eta", "trust")
    names = (*plain, "histories", "history_weights")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    sampler = dataclasses.replace(trained.config.sampler, **given)
    dataclasses.replace(trained.config, sampler=sampler)  # refuses what does not fit the network
    policy = Policy(trained, sampler, device)
    policy.costs = costs.parse(options.costs or "")
    return policy


def play(options: argparse.Namespace, conditions: Sequence[str]) -> Iterator[Played]:
    """All episodes of all conditions, as they are done; conditions begin one after the other.

    Raises:
        DfPolicyError: if a worker dies, or refuses the checkpoint.
    """
    context = multiprocessing.get_context("spawn")
    workers = min(options.workers, options.episodes * len(conditions))
    pool = ProcessPoolExecutor(workers, context, _prepare, (options,))
    try:
        filmed = options.film_episodes if options.film else 0
        jobs = [
            pool.submit(_play, condition, options.seed + number, number < filmed)
            for condition in conditions
            for number in range(options.episodes)
        ]
        for job in as_completed(jobs):
            yield job.result()
    except BrokenProcessPool as error:
        raise DfPolicyError(
            "an evaluation worker died; its message is above. Out of memory? Try --workers 1"
        ) from error
    finally:
        for process in list((pool._processes or {}).values()):
            process.terminate()
        pool.shutdown(cancel_futures=True)


def _prepare(options: argparse.Namespace) -> None:
    import torch

    from df_policy.checkpoint import check_robot

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    torch.set_num_threads(1)
    try:
        _Stage.policy = load_policy(options)
        _Stage.environment = make(task_of(options, _Stage.policy))
        check_robot(_Stage.policy.spec, _Stage.environment.spec)
    except DfPolicyError as error:
        _Stage.refusal = error


def _play(condition: str, seed: int, film: bool) -> Played:
    if _Stage.refusal is not None:
        raise _Stage.refusal
    world = _Stage.environment.world
    environment = Disturbed(_Stage.environment, parse(condition))
    snapshots: list[np.ndarray] = []
    ways: list[np.ndarray] = []

    def watch(plan: Any) -> None:
        if film:
            snapshots.append(world.snapshot())
            ways.append(plan.actions[:, :3])

    result = run_episode(_Stage.policy, environment, seed, watch)
    since_s = environment.since_s
    seconds = np.arange(1, len(snapshots) + 1) / environment.spec.action_rate_hz
    take = Take(seed, result.reason, seconds.tolist(), snapshots, ways, since_s) if film else None
    return Played(condition, result, since_s, take)
