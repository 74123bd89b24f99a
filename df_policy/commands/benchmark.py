"""`python -m df_policy benchmark`: all figures and plots of a task, from recordings on."""

from __future__ import annotations

import argparse
import os
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from df_policy.commands.options import Options
from df_policy.commands.part import run_part
from df_policy.commands.studies import (
    BENCHMARKS,
    Point,
    Recording,
    Run,
    Study,
    points_of,
    recordings_of,
    runs_of,
)
from df_policy.errors import DfPolicyError, nearest

FIRST_SEED = 10_000
"""Neither recorded, nor seen by the evaluations during training, nor used to choose settings."""

_EPISODE_S, _START_S = 1.6, 10.0
"""Seconds for an episode played, and for a process to start."""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy benchmark",
        description="Record, train and evaluate all that a task's figures and plots need. What is "
        "finished is not done again: the same command goes on where it stopped.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    options.add_argument("task", choices=sorted(BENCHMARKS), help="what to measure")
    options.add_argument(
        "--out",
        type=Path,
        default=argparse.SUPPRESS,
        help="the folder for everything (default: runs/benchmark_TASK)",
    )
    options.add_argument("--only", metavar="STUDY", action="append", help="may be given again")
    options.add_argument("--list", action="store_true", help="show the studies and what is left")
    options.add_argument("--episodes", type=int, default=100, help="of each evaluation")
    options.add_argument("--seed", type=int, default=FIRST_SEED, help="of their first episodes")
    options.add_argument("--workers", type=int, default=min(2, os.cpu_count() or 1))
    return options


@dataclass(frozen=True)
class Job:
    """One part of a benchmark."""

    name: str
    seconds: float
    """About how long it takes."""
    is_done: Callable[[], bool]
    run: Callable[[], None]


class Benchmark:
    """Where the parts of one benchmark lie, and which of them are there."""

    def __init__(self, options: argparse.Namespace) -> None:
        """Touches nothing yet."""
        self.task: str = options.task
        self.out: Path = getattr(options, "out", Path("runs") / f"benchmark_{options.task}")
        self.seed, self.episodes = int(options.seed), int(options.episodes)
        self._workers = int(options.workers)

    def recording(self, recording: Recording) -> Path:
        """Of demonstrations."""
        return self.out / f"{recording.name}.zarr"

    def folder(self, run: Run) -> Path:
        """Of a training."""
        return self.out / "runs" / run.name

    def checkpoint(self, point: Point) -> Path:
        """The folder of what an evaluation measures."""
        folder = self.folder(point.run)
        return folder / "checkpoints" / f"step_{point.step}" if point.step else folder

    def figures(self, point: Point) -> Path:
        """The file that an evaluation leaves."""
        return self.out / "evaluations" / f"{point.key}.json"

    def jobs(self, studies: Sequence[Study]) -> Iterator[Job]:
        """All parts of these studies, in an order in which they can be done."""
        for recording in recordings_of(runs_of(studies)):
            yield self._recording(recording)
        for run in runs_of(studies):
            yield self._training(run)
        for point in points_of(studies):
            yield self._evaluation(point)

    def is_evaluated(self, point: Point) -> bool:
        """Whether the figures are there, of this checkpoint and these episodes."""
        from df_policy.commands.results import conditions_of, fingerprint, read

        file = self.figures(point)
        if not file.is_file() or not self._is_trained(point.run):
            return False
        held = read(file)
        return (
            held.get("weights") == fingerprint(str(self.checkpoint(point)))
            and (held.get("first_seed"), held.get("episodes")) == (self.seed, self.episodes)
            and set(conditions_of(held)) == set(conditions_at(point))
        )

    def _recording(self, recording: Recording) -> Job:
        path = self.recording(recording)

        def is_done() -> bool:
            from df_policy.data.reader import EpisodeStore

            try:
                return len(EpisodeStore.open(path)) >= recording.episodes
            except DfPolicyError:
                return False

        def record() -> None:
            task = recording.task or self.task
            command = ["df_policy.teleop.record", "--device=scripted", f"--task={task}"]
            words = [f"--episodes={recording.episodes}", f"--out={path}", *recording.options]
            run_part(recording.name, command, words)

        return Job(recording.name, recording.episode_s * recording.episodes, is_done, record)

    def _training(self, run: Run) -> Job:
        def train() -> None:
            out = self.folder(run)
            words = [f"--preset={run.preset}", f"--out={out}", *run.options]
            if run.encoder_from:
                words.append(f"--encoder-from={out.parent / run.encoder_from}")
            if (out / "run.json").exists():
                words.append("--resume")
            data = [str(self.recording(recording)) for recording in run.recordings]
            options = ["--data", *data, "--run.evaluate-every=0", *words]
            run_part(f"training {run.name}", ["df_policy", "train"], options)

        return Job(f"training {run.name}", 60 * run.minutes, lambda: self._is_trained(run), train)

    def _is_trained(self, run: Run) -> bool:
        from df_policy import checkpoint

        try:
            found = checkpoint.load(str(self.folder(run)))
        except DfPolicyError:
            return False
        return bool(found.about.get("step") == found.config.policy_fit.steps)

    def _evaluation(self, point: Point) -> Job:
        def evaluate() -> None:
            words = [f"--task={self.task}", f"--seed={self.seed}", f"--episodes={self.episodes}"]
            words += [f"--json={self.figures(point)}", f"--workers={self._workers}"]
            words += ["--film-episodes=0", *point.options]
            command = ["df_policy", "evaluate", str(self.checkpoint(point))]
            run_part(f"evaluating {point.key}", command, words)

        from df_policy.sim.disturbances import parse

        lengths = sum(1 + sum(one.longer for one in parse(name)) for name in conditions_at(point))
        seconds = _START_S + _EPISODE_S * lengths * self.episodes / self._workers
        return Job(f"evaluating {point.key}", seconds, lambda: self.is_evaluated(point), evaluate)


def conditions_at(point: Point) -> tuple[str, ...]:
    """The conditions that an evaluation plays."""
    from df_policy.sim.disturbances import SUITES

    suites = [option.partition("=")[2] for option in point.options if "--suite=" in option]
    return SUITES[suites[0]] if suites else ("clean",)


def chosen(task: str, only: Sequence[str] | None) -> tuple[Study, ...]:
    """The studies of these names, or all of the task.

    Raises:
        DfPolicyError: if there is no such study; the nearest is shown.
    """
    known = {study.name: study for study in BENCHMARKS[task]}
    for name in only or ():
        if name not in known:
            hint = nearest(name, known) or f"; expected one of: {', '.join(known)}"
            raise DfPolicyError(f"unknown study {name!r}{hint}")
    return tuple(known[name] for name in known if not only or name in only)


def spoken(seconds: float) -> str:
    """A duration for a person: `2 h 05 min`."""
    minutes = max(1, round(seconds / 60))
    return f"{minutes // 60} h {minutes % 60:02d} min" if minutes >= 60 else f"{minutes} min"


def main(argv: list[str]) -> int:
    """Do what is left; exit code 0 when all is there."""
    options = parser().parse_args(argv)
    for name, least in (("episodes", 1), ("workers", 1), ("seed", 0)):
        if getattr(options, name) < least:
            raise DfPolicyError(
                f"expected --{name} of at least {least}, got {getattr(options, name)}"
            )
    benchmark = Benchmark(options)
    studies = chosen(benchmark.task, options.only)
    left = [job for job in benchmark.jobs(studies) if not job.is_done()]
    if options.list:
        _list(benchmark, studies)
        return 0
    _work(left)
    from df_policy.commands.benchmark_report import write

    for path in write(benchmark, chosen(benchmark.task, None)):
        print(path)
    return 0


def _work(jobs: Sequence[Job]) -> None:
    """Do the jobs, with an estimate that learns from those that are over."""
    expected_s, took_s = 0.0, 0.0
    for number, job in enumerate(jobs):
        pace = took_s / expected_s if expected_s else 1.0
        rest_s = pace * sum(one.seconds for one in jobs[number:])
        print(f"[{number + 1}/{len(jobs)}] about {spoken(rest_s)} left", flush=True)
        begin = time.monotonic()
        job.run()
        took_s, expected_s = took_s + time.monotonic() - begin, expected_s + job.seconds
        if not job.is_done():
            raise DfPolicyError(f"{job.name} is over, but what it should have left is not there")


def _list(benchmark: Benchmark, studies: Sequence[Study]) -> None:
    from rich.console import Console
    from rich.table import Table

    shown = Table(title=f"{benchmark.task} in {benchmark.out}")
    for column in ("study", "what it shows", "parts left", "about"):
        shown.add_column(column)
    for study in studies:
        left = [job for job in benchmark.jobs([study]) if not job.is_done()]
        about = spoken(sum(job.seconds for job in left)) if left else "done"
        shown.add_row(study.name, study.about, str(len(left)), about)
    every = {job.name: job for job in benchmark.jobs(studies) if not job.is_done()}
    console = Console()
    console.print(shown)
    seconds = sum(job.seconds for job in every.values())
    console.print(f"{len(every)} parts left in all, about {spoken(seconds)}" if every else "done")
