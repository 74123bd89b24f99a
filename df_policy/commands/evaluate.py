"""`python -m df_policy evaluate`: how often a policy solves the task in simulation."""

from __future__ import annotations

import argparse
import dataclasses
import json
import multiprocessing
import os
import signal
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor, as_completed
from concurrent.futures.process import BrokenProcessPool
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    import numpy as np

    from df_policy.evaluate import EpisodeResult
    from df_policy.policy import Policy
    from df_policy.robot import RobotSpec
    from df_policy.sim.environment import TaskEnvironment

FILM_STRIDE = 2
"""Every second action is drawn: the film runs at double speed and is made in half the time."""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy evaluate",
        description="Run a policy against MuJoCo, without ROS; each episode is judged at its end.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    options.add_argument("checkpoint", help="a run folder, or the name of shipped weights")
    options.add_argument(
        "--task",
        default=argparse.SUPPRESS,
        help="what to solve (default: what the policy was trained for)",
    )
    options.add_argument("--episodes", type=_positive, default=100)
    options.add_argument(
        "--seed", type=_natural, default=0, help="of the first episode; then +1 each"
    )
    options.add_argument("--workers", type=_positive, default=min(2, os.cpu_count() or 1))
    options.add_argument("--json", type=Path, help="write the figures to this file")
    options.add_argument(
        "--film", type=Path, help="MP4 of the first episodes (default: beside the --json file)"
    )
    options.add_argument("--film-episodes", type=_natural, default=2, help="0 for no film")
    options.add_argument("--steps", type=_positive, help="denoising steps a token")
    options.add_argument("--samples", type=_positive, help="plans drawn for one decision")
    options.add_argument("--horizon", type=_positive, help="tokens planned ahead")
    options.add_argument(
        "--matrix", choices=("pyramid", "autoregressive", "full_sequence"), help="denoising order"
    )
    options.add_argument("--eta", type=float, help="DDIM's share of fresh noise, 0 to 1")
    options.add_argument("--device", default="cpu", help="where the policy runs")
    return options


def _positive(text: str) -> int:
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected at least 0, got {value}")
    return value


@dataclass(frozen=True)
class Played:
    """One episode, and what the film needs of it."""

    result: EpisodeResult
    snapshots: list[np.ndarray]
    paths: list[np.ndarray]
    """The planned tool positions at each snapshot, (h, 3)."""


class _Stage:
    """One process' environment and policy, made once."""

    environment: TaskEnvironment
    policy: Policy
    refusal: DfPolicyError | None = None
    """Why there are none; an initialiser that raises would end the pool without saying."""


def _prepare(options: argparse.Namespace) -> None:
    import torch

    from df_policy.checkpoint import check_robot
    from df_policy.sim.tasks import make

    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent ends its workers
    torch.set_num_threads(1)
    try:
        _Stage.policy = load_policy(options)
        _Stage.environment = make(task_of(options, _Stage.policy))
        check_robot(_Stage.policy.spec, _Stage.environment.spec)
    except DfPolicyError as error:
        _Stage.refusal = error


def task_of(options: argparse.Namespace, policy: Policy) -> str:
    """The task's name: as given, or as trained; old checkpoints knew one task only.

    Raises:
        DfPolicyError: if there is no such task.
    """
    from df_policy.sim.tasks import find

    return find(getattr(options, "task", policy.about.get("task", "fruit_swap"))).name


def load_policy(options: argparse.Namespace) -> Policy:
    """The policy that the options name, with their sampler.

    Raises:
        DfPolicyError: if there is no such checkpoint.
    """
    from df_policy import checkpoint
    from df_policy.device import pick
    from df_policy.policy import Policy

    device = pick(options.device)
    trained = checkpoint.load(options.checkpoint, device)
    names = ("steps", "samples", "horizon", "matrix", "eta")
    given = {name: getattr(options, name) for name in names if getattr(options, name) is not None}
    sampler = dataclasses.replace(trained.config.sampler, **given)
    return Policy(trained, sampler, device)


def _play(seed: int, film: bool) -> Played:
    from df_policy.evaluate import run_episode

    if _Stage.refusal is not None:
        raise _Stage.refusal
    snapshots: list[np.ndarray] = []
    paths: list[np.ndarray] = []

    def watch(plan: Any) -> None:
        if film:
            snapshots.append(_Stage.environment.world.snapshot())
            paths.append(plan.actions[:, :3])

    result = run_episode(_Stage.policy, _Stage.environment, seed, watch)
    return Played(result, snapshots, paths)


def play(options: argparse.Namespace) -> Iterator[Played]:
    """All episodes, as they are done.

    Raises:
        DfPolicyError: if a worker dies, or refuses the checkpoint.
    """
    context = multiprocessing.get_context("spawn")
    workers = min(options.workers, options.episodes)
    pool = ProcessPoolExecutor(workers, context, _prepare, (options,))
    try:
        filmed = options.film_episodes if options.film else 0
        seeds = range(options.seed, options.seed + options.episodes)
        jobs = [pool.submit(_play, seed, number < filmed) for number, seed in enumerate(seeds)]
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


def main(argv: list[str]) -> int:
    """Evaluate; exit code 0 when all episodes ran, whatever their result."""
    options = parser().parse_args(argv)
    if options.film is None and options.json is not None:
        options.film = options.json.with_suffix(".mp4")
    if options.film_episodes == 0:
        options.film = None
    from rich.console import Console
    from rich.progress import Progress

    from df_policy.evaluate import summary
    from df_policy.files import check_writable

    for target in (options.json, options.film):
        if target is not None:
            check_writable(target)  # now, not after the last episode
    policy = load_policy(options)  # a wrong one is refused here, before any worker starts
    name = task_of(options, policy)
    console = Console()
    _warn_of_seen_seeds(options, policy.about, console)
    played: list[Played] = []
    with Progress(console=console, transient=True) as progress:
        task = progress.add_task("episodes", total=options.episodes)
        for one in play(options):
            played.append(one)
            solved = sum(p.result.success for p in played)
            progress.update(task, advance=1, description=f"solved {solved}/{len(played)}")
    played.sort(key=lambda p: p.result.seed)
    figures = summary([p.result for p in played])
    console.print(table(options.checkpoint, figures))
    if options.json is not None:
        _write(options, policy, figures)
    if options.film is not None:
        _film(played[: options.film_episodes], options.film, policy.spec, name)
        console.print(f"film: {options.film}")
    return 0


def _write(options: argparse.Namespace, policy: Policy, figures: dict[str, Any]) -> None:
    from df_policy.config import to_json
    from df_policy.files import write_text
    from df_policy.provenance import versions

    record = figures | {
        "checkpoint": options.checkpoint,
        "task": task_of(options, policy),
        "trained": policy.about,
        "config": to_json(policy.config) | {"sampler": dataclasses.asdict(policy.sampler)},
        "device": options.device,
        "precision": str(policy.precision).removeprefix("torch."),
        "versions": versions(),
    }
    write_text(options.json, json.dumps(record, indent=2) + "\n")


def _warn_of_seen_seeds(options: argparse.Namespace, about: dict[str, Any], console: Any) -> None:
    first, last = about.get("recorded_seeds", (-1, -1))
    if first >= 0 and options.seed <= last and first < options.seed + options.episodes:
        console.print(
            f"[yellow]the policy was trained on seeds {first} to {last}, which overlap these: "
            "the result says nothing about unseen starts; choose another --seed"
        )


def table(name: str, figures: dict[str, Any]) -> Any:
    """The figures as a person reads them."""
    from rich.table import Table

    low, high = figures["wilson95"]
    shown = Table(title=f"{name}", show_header=False)
    rate = figures["successes"] / figures["episodes"]
    shown.add_row(
        "solved", f"{figures['successes']} of {figures['episodes']} ({100 * rate:.0f} %)"
    )
    shown.add_row("95 % Wilson interval", f"{100 * low:.1f} to {100 * high:.1f} %")
    for reason, count in figures["failures"].items():
        shown.add_row(f"  failed: {reason}", str(count))
    latency = figures["plan_latency_ms"]
    shown.add_row("planning p50 / p99", f"{latency['p50']:.1f} / {latency['p99']:.1f} ms")
    return shown


def _film(played: list[Played], path: Path, spec: RobotSpec, task: str) -> None:
    from df_policy.sim.film import render_film

    snapshots, paths, captions = [], [], []
    for one in played:
        for step in range(0, len(one.snapshots), FILM_STRIDE):
            snapshots.append(one.snapshots[step])
            paths.append(one.paths[step])
            captions.append(
                f"seed {one.result.seed}   {step / spec.action_rate_hz:4.1f} s   "
                f"ends: {one.result.reason}"
            )
    render_film(snapshots, paths, path, captions=captions, task=task)
