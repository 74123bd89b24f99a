"""`python -m df_policy train`: fit a policy to a recording."""

from __future__ import annotations

import argparse
import hashlib
import json
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from df_policy.config import Config, preset, to_json
from df_policy.errors import DfPolicyError
from df_policy.files import write_text

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from df_policy.demonstrations import Demonstrations

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@dataclass(frozen=True)
class Arguments:
    """Fit a policy to a recording; every value of the preset can be given as an option."""

    data: tuple[Path, ...]
    """The recording, a zarr store; or several, to be learnt from together."""
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
        DfPolicyError: if there is no such preset, or a value is out of its range.
        SystemExit: for an unknown option (the nearest is shown) or a value of the wrong type.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--preset", default="fruit_swap")
    name = early.parse_known_args(argv)[0].preset
    return tyro.cli(
        partial(Arguments, preset=name, config=preset(name)),
        args=argv,
        prog="python -m df_policy train",
        description="Fit a policy to a recording; every value of the preset can be given.",
        config=(tyro.conf.AvoidSubcommands,),
    )


class Stop(threading.Event):
    """Set by the first signal that asks to end; `number` is that signal."""

    number = 0


@contextmanager
def stopping() -> Iterator[Stop]:
    """Within, SIGINT and SIGTERM ask to end after the step under way."""
    stop = Stop()

    def ask(number: int, _frame: object) -> None:
        stop.number = stop.number or number
        stop.set()

    before = [signal.signal(number, ask) for number in STOP_SIGNALS]
    try:
        yield stop
    finally:
        for number, handler in zip(STOP_SIGNALS, before, strict=True):
            signal.signal(number, handler)


def main(argv: list[str]) -> int:
    """Train; SIGINT and SIGTERM save the state first, and say how to go on."""
    arguments = parse(argv)
    from rich.progress import (
        BarColumn,
        MofNCompleteColumn,
        Progress,
        TextColumn,
        TimeRemainingColumn,
    )

    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, refresh_per_second=2) as progress, stopping() as stop:
        data, about = _demonstrations(arguments.data, progress)
        prepare(arguments, about["fingerprint"])
        code = run(arguments, data, about, progress, stop)
    if code == 0:
        print(f"evaluate it: python -m df_policy evaluate {arguments.out}")
    return code


def run(
    arguments: Arguments,
    data: Demonstrations,
    about: dict[str, Any],
    progress: Progress,
    stop: Stop,
) -> int:
    """Train and log; the exit code is 0, or 128 and the signal that ended it."""
    from df_policy.commands.train_log import TrainLog
    from df_policy.train import Hooks, StoppedError, Training

    begin, out = time.monotonic(), arguments.out
    log = TrainLog(out, arguments.config, arguments.wandb, progress)
    hooks = Hooks(on_step=log.step, on_checkpoint=log.checkpoint, stop=stop)
    try:
        Training(data, arguments.config, out, about, hooks).run()
        minutes = (time.monotonic() - begin) / 60
        progress.console.print(f"trained in {minutes:.1f} min")
        log.last_evaluation(stop)
    except StoppedError:
        progress.console.print(
            f"stopped, nothing lost: the same command with --resume continues {out}"
        )
        return 128 + stop.number
    finally:
        log.close()
    return 128 + stop.number if stop.is_set() else 0


def prepare(arguments: Arguments, fingerprint: str) -> None:
    """Make the run folder, or check that it holds this very run.

    Raises:
        DfPolicyError: if the folder holds a run and `--resume` is not given, or the other way
            round, or the run in it has other settings or other data, or it cannot be written.
    """
    out, saved = arguments.out, arguments.out / "run.json"
    wanted = json.loads(json.dumps({"data": fingerprint, "config": to_json(arguments.config)}))
    if arguments.resume:
        _check_same(saved, wanted)
        return
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise DfPolicyError(
            f"{out} is there already and nothing is overwritten: add --resume to continue the "
            "run in it, or choose another --out"
        )
    write_text(saved, json.dumps(wanted, indent=2) + "\n")


def _check_same(saved: Path, wanted: dict[str, Any]) -> None:
    try:
        held = json.loads(saved.read_text())
        different = [
            f"{section}.{name} = {held['config'][section].get(name)}"
            for section, values in wanted["config"].items()
            for name, value in values.items()
            if held["config"][section].get(name) != value
        ]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DfPolicyError(
            f"{saved.parent} holds no run to resume: {saved} cannot be read ({error})"
        ) from error
    if different:
        raise DfPolicyError(
            f"{saved.parent} was started with other settings; give the same: "
            + ", ".join(different)
        )
    if held["data"] != wanted["data"]:
        raise DfPolicyError(
            f"{saved.parent} was started on another recording, or this one has grown since: "
            "resume with the same one, or start a new run in another --out"
        )


def _demonstrations(
    paths: tuple[Path, ...], progress: Progress
) -> tuple[Demonstrations, dict[str, Any]]:
    import numpy as np

    from df_policy.data.cache import load_cache
    from df_policy.demonstrations import join
    from df_policy.provenance import versions

    recordings = []
    for path in paths:
        task = progress.add_task("decode", total=1, note="")
        show = partial(_decoded, progress, task)
        recordings.append(load_cache(path, progress=show))
        episodes = len(recordings[-1].ends)
        progress.update(task, completed=1, total=1, note=f"{episodes} episodes of {path.name}")
    data = join([recording.demonstrations() for recording in recordings])
    content = hashlib.sha256(data.ends.tobytes() + data.action.tobytes())
    about: dict[str, Any] = {
        "data": " ".join(path.name for path in paths),
        "fingerprint": content.hexdigest()[:16],
        "episodes": len(data.ends),
        "frames": len(data.action),
        "task": recordings[0].task,
        "versions": versions(),
    }
    seeds = np.concatenate([recording.seeds for recording in recordings])
    if (seeds >= 0).any():
        about["recorded_seeds"] = [int(seeds[seeds >= 0].min()), int(seeds.max())]
    return data, about


def _decoded(progress: Progress, task: TaskID, done: int, of: int) -> None:
    progress.update(task, completed=done, total=of)
