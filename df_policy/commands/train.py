"""`python -m df_policy train`: fit a policy to a recording."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from df_policy.config import Config, RunConfig, preset, to_json
from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from rich.progress import Progress

UNSEEN_SEED = 500_000
"""Episodes of the evaluations during training start here: neither recorded nor tested ones."""


@dataclass(frozen=True)
class Arguments:
    """Fit a policy to a recording; every value of the preset can be given as an option."""

    data: Path
    """The recording, a zarr store."""
    out: Path
    """The run folder: checkpoint, logs and the state that --resume continues."""
    preset: str = "fruit_swap"
    """Settings to start from: fruit_swap, fruit_swap_memoryless or tiny."""
    resume: bool = False
    """Continue the run in --out exactly where it stopped."""
    wandb: str = ""
    """Also log to this Weights & Biases project (needs the wandb extra)."""
    config: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)


def parse(argv: list[str]) -> Arguments:
    """The arguments, on top of the preset that they name.

    Raises:
        DfPolicyError: if there is no such preset.
        SystemExit: for an unknown option (the nearest is shown) or a value of the wrong type.
    """
    name = "fruit_swap"
    for here, following in zip(argv, [*argv[1:], ""], strict=True):
        if here == "--preset":
            name = following
        elif here.startswith("--preset="):
            name = here.partition("=")[2]
    missing: Any = tyro.MISSING
    start = Arguments(data=missing, out=missing, preset=name, config=preset(name))
    return tyro.cli(
        Arguments,
        args=argv,
        default=start,
        prog="python -m df_policy train",
        description="Fit a policy to a recording; every value of the preset can be given.",
        config=(tyro.conf.AvoidSubcommands,),
    )


def main(argv: list[str]) -> int:
    """Train; SIGINT and SIGTERM save the state first, and say how to go on."""
    from df_policy.data.reader import EpisodeStore

    arguments = parse(argv)
    config = arguments.config
    EpisodeStore.open(arguments.data)  # refuse it before anything is made
    prepare(arguments)
    hooks_stop = threading.Event()
    before = [signal.signal(s, lambda *_: hooks_stop.set()) for s in STOP_SIGNALS]
    try:
        return run(arguments, config, hooks_stop)
    finally:
        for number, handler in zip(STOP_SIGNALS, before, strict=True):
            signal.signal(number, handler)


STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


def prepare(arguments: Arguments) -> None:
    """Make the run folder, or check that it holds this very run.

    Raises:
        DfPolicyError: if the folder holds a run and `--resume` is not given, or the other way
            round, or the run in it has other settings.
    """
    out, saved = arguments.out, arguments.out / "run.json"
    wanted = {"data": str(arguments.data.resolve()), "config": to_json(arguments.config)}
    wanted = json.loads(json.dumps(wanted))
    if arguments.resume:
        if not saved.is_file():
            raise DfPolicyError(f"{out} holds no run to resume: expected {saved}")
        held = json.loads(saved.read_text())
        if held["config"] != wanted["config"]:
            raise DfPolicyError(
                f"{out} was started with other settings; give the same options as in {saved}"
            )
        return
    if out.exists() and any(out.iterdir()):
        raise DfPolicyError(
            f"{out} is not empty and nothing is overwritten: add --resume to continue the run "
            "there, or choose another --out"
        )
    out.mkdir(parents=True, exist_ok=True)
    saved.write_text(json.dumps(wanted, indent=2) + "\n")


def run(arguments: Arguments, config: Config, stop: threading.Event) -> int:
    """Load the recording, train, and log."""
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    from df_policy.train import Hooks, StoppedError, Training

    begin = time.monotonic()
    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, refresh_per_second=2) as progress:
        data, about = _demonstrations(arguments.data, progress)
        log = _Log(arguments, progress, _ClosedLoop(arguments.out, config.run))
        hooks = Hooks(on_step=log.step, on_checkpoint=log.checkpoint, stop=stop)
        try:
            Training(data, config, arguments.out, about, hooks).run()
        except StoppedError:
            progress.console.print(
                f"stopped, nothing lost: the same command with --resume continues {arguments.out}"
            )
            return 130
        finally:
            log.close(wait=not stop.is_set())
    minutes = (time.monotonic() - begin) / 60
    print(f"trained in {minutes:.1f} min: python -m df_policy evaluate {arguments.out}")
    return 0


def _demonstrations(path: Path, progress: Progress) -> tuple[Any, dict[str, Any]]:
    from df_policy.data.cache import load_cache
    from df_policy.provenance import versions

    task = progress.add_task("decode", total=1, note="")
    episodes = load_cache(
        path, progress=lambda done, of: progress.update(task, completed=done, total=of)
    )
    progress.update(task, completed=1, total=1, note=f"{len(episodes.ends)} episodes")
    about = {
        "data": path.name,
        "episodes": len(episodes.ends),
        "frames": len(episodes.action),
        "recorded_seeds": [int(episodes.seeds.min()), int(episodes.seeds.max())],
        "task": episodes.task,
        "versions": versions(),
    }
    return episodes.demonstrations(), about


class _ClosedLoop:
    """Evaluates the newest checkpoint in a process of its own while training goes on."""

    def __init__(self, out: Path, config: RunConfig) -> None:
        self._out, self._config = out, config
        self._process: subprocess.Popen[bytes] | None = None
        self._step = 0

    def start(self, step: int) -> None:
        """Begin, unless it is not time or one is still running."""
        every = self._config.evaluate_every
        if every == 0 or step % every or self._process is not None:
            return
        folder = self._out / "evaluations"
        folder.mkdir(exist_ok=True)
        self._step = step
        command = [sys.executable, "-m", "df_policy", "evaluate", str(self._out), "--workers=1"]
        command += [f"--episodes={self._config.evaluate_episodes}", f"--seed={UNSEEN_SEED}"]
        command += ["--film-episodes=0"]
        command += [f"--json={self._file(step)}"]
        with (folder / "log.txt").open("ab") as log:
            self._process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=log, stderr=log, start_new_session=True
            )

    def _file(self, step: int) -> Path:
        return self._out / "evaluations" / f"step_{step}.json"

    def result(self, wait: bool = False) -> tuple[int, dict[str, Any]] | None:
        """The step and figures of an evaluation that is done, once."""
        if self._process is None or (not wait and self._process.poll() is None):
            return None
        code, self._process = self._process.wait(), None
        if code or not self._file(self._step).is_file():
            return None
        return self._step, json.loads(self._file(self._step).read_text())

    def stop(self) -> None:
        """End one that is running."""
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            self._process = None


class _Log:
    """Progress bar, TensorBoard, and the evaluations."""

    def __init__(self, arguments: Arguments, progress: Progress, closed_loop: _ClosedLoop) -> None:
        from torch.utils.tensorboard import SummaryWriter

        if arguments.wandb:
            self._start_wandb(arguments)
        self._progress, self._closed_loop = progress, closed_loop
        self._writer = SummaryWriter(str(arguments.out / "logs"))
        self._tasks: dict[str, Any] = {}

    @staticmethod
    def _start_wandb(arguments: Arguments) -> None:
        try:
            import wandb
        except ImportError as error:
            raise DfPolicyError(
                "--wandb needs the package wandb: pip install 'df_policy[wandb]'"
            ) from error
        wandb.init(
            project=arguments.wandb, config=to_json(arguments.config), sync_tensorboard=True
        )

    def _scalars(self, group: str, values: dict[str, float], step: int) -> None:
        for name, value in values.items():
            self._writer.add_scalar(f"{group}/{name}", value, step)

    def step(self, stage: str, step: int, steps: int, losses: dict[str, float]) -> None:
        """One step was made."""
        if stage not in self._tasks:
            self._tasks[stage] = self._progress.add_task(stage, total=steps, note="")
        if step % 20 == 0 or step == steps:
            note = f"loss {losses['loss']:.4f}"
            self._progress.update(self._tasks[stage], completed=step, note=note)
            self._scalars(stage, losses, step)
            self._collect(self._closed_loop.result())

    def checkpoint(self, step: int, figures: dict[str, float]) -> None:
        """A checkpoint was written."""
        self._scalars("held_out", figures, step)
        shown = ", ".join(f"{name} {value:.2f}" for name, value in figures.items())
        self._progress.console.print(f"step {step}: held-out {shown}")
        self._closed_loop.start(step)

    def _collect(self, done: tuple[int, dict[str, Any]] | None) -> None:
        if done is None:
            return
        step, figures = done
        rate = figures["successes"] / figures["episodes"]
        self._scalars("closed_loop", {"success": rate}, step)
        failed = figures["failures"] or ""
        self._progress.console.print(
            f"step {step}: solved {figures['successes']} of {figures['episodes']} {failed}"
        )

    def close(self, wait: bool) -> None:
        """Flush all logs; `wait` for an evaluation under way, else end it."""
        if wait:
            self._collect(self._closed_loop.result(wait=True))
        self._closed_loop.stop()
        self._writer.close()
