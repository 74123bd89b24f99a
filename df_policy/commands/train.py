"""`python -m df_policy train`: fit a policy to a recording."""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import tyro

from df_policy.config import Config, from_json, to_json
from df_policy.errors import DfPolicyError
from df_policy.files import write_text
from df_policy.presets import PRESETS, preset
from df_policy.processes import Stop, stopping

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from df_policy.data.cache import Episodes
    from df_policy.demonstrations import Demonstrations

ENCODER_SETTINGS = (
    "data",
    "config.encoder",
    "config.encoder_fit",
    "config.run.seed",
    "config.run.episodes",
    "config.run.validation",
    "config.run.precision",
)
"""What an encoder depends on."""


_SOME_IMAGES = 200


@dataclass(frozen=True)
class Arguments:
    """Fit a policy to a recording; every value of the preset can be given as an option."""

    data: tuple[Path, ...]
    """The recording, a zarr store; or several, to be learnt from together."""
    out: Path
    """The run folder: checkpoint, logs and the state that --resume continues."""
    preset: Annotated[
        str, tyro.conf.arg(help=f"Settings to start from: {', '.join(PRESETS)}.")
    ] = "fruit_swap"
    resume: bool = False
    """Continue the run in --out exactly where it stopped."""
    encoder_from: Path | None = None
    """Take the encoder of this run, on the same recording, instead of training it once more."""
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

    from df_policy.train import check

    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with Progress(*columns, refresh_per_second=2) as progress, stopping() as stop:
        data, about = _demonstrations(arguments.data, progress)
        check(data, arguments.config)  # before the folder is made, which a second try would find
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
    encoder = None if arguments.encoder_from is None else _encoder(arguments.encoder_from, wanted)
    write_text(saved, json.dumps(wanted, indent=2) + "\n")
    if encoder is not None:
        (out / "state").mkdir()
        shutil.copyfile(encoder, out / "state" / encoder.name)


def _encoder(run: Path, wanted: dict[str, Any]) -> Path:
    """The file with the trained encoder of another run that would train the very same one.

    Raises:
        DfPolicyError: if it has none yet, or would train another.
    """
    trained = run / "state" / "encoder.safetensors"
    try:
        held = _held(run / "run.json")
        differs = [part for part in ENCODER_SETTINGS if _at(held, part) != _at(wanted, part)]
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DfPolicyError(
            f"expected a run folder with a trained encoder, got {run}: {error}"
        ) from error
    if differs:
        raise DfPolicyError(
            f"expected the encoder of a run with the same {', '.join(differs)}, got {run}'s: "
            "leave --encoder-from out to train one"
        )
    if not (run / "state" / "policy.safetensors").is_file():
        raise DfPolicyError(f"expected a finished encoder in {run}, it is still being trained")
    return trained


def _held(saved: Path) -> dict[str, Any]:
    """What a run was started with; settings that it did not know are at what they are unsaid."""
    held: dict[str, Any] = json.loads(saved.read_text())
    return held | {"config": json.loads(json.dumps(to_json(from_json(held["config"]))))}


def _at(values: dict[str, Any], path: str) -> Any:
    for name in path.split("."):
        values = values[name]
    return values


def _check_same(saved: Path, wanted: dict[str, Any]) -> None:
    try:
        held = _held(saved)
        different = [
            f"{section}.{name} = {held['config'][section][name]}"
            for section, values in wanted["config"].items()
            for name, value in values.items()
            if held["config"][section][name] != value
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
    _check_apart(paths, recordings)
    data = join([recording.demonstrations() for recording in recordings])
    about: dict[str, Any] = {
        "data": " ".join(path.name for path in paths),
        "fingerprint": _fingerprint(data),
        "episodes": len(data.ends),
        "frames": len(data.action),
        "task": recordings[0].task,
        "versions": versions(),
    }
    seeds = np.concatenate([recording.seeds for recording in recordings])
    if (seeds >= 0).any():
        about["recorded_seeds"] = [int(seeds[seeds >= 0].min()), int(seeds.max())]
    return data, about


def _check_apart(paths: tuple[Path, ...], recordings: Sequence[Episodes]) -> None:
    """Raises DfPolicyError if an episode would be learnt twice, or two tasks be taken for one."""
    seen: dict[tuple[str, int], Path] = {}
    task = recordings[0].task
    for path, recording in zip(paths, recordings, strict=True):
        if not recording.task.startswith(task):
            raise DfPolicyError(
                f"expected recordings of {task} like {paths[0]}, got {recording.task} in {path}; "
                "train each task alone"
            )
        for seed in recording.seeds[recording.seeds >= 0].tolist():
            other = seen.setdefault((recording.task, seed), path)
            if other is not path:
                raise DfPolicyError(
                    f"expected each episode once, got seed {seed} in {other} and {path}, so that "
                    "held-out episodes would be known; give the recorder another --seed, or leave "
                    "one out"
                )


def _fingerprint(data: Demonstrations) -> str:
    """What tells recordings apart: all numbers, and some of the images of every camera."""
    import numpy as np

    content = hashlib.sha256(repr(data.spec).encode())
    for rows in (data.ends, data.action, data.tool_position, data.gripper):
        content.update(rows.tobytes())
    some = np.arange(0, len(data.action), max(1, len(data.action) // _SOME_IMAGES))
    for camera in sorted(data.spec.cameras):
        content.update(data.images[camera][some].tobytes())
    return content.hexdigest()[:16]


def _decoded(progress: Progress, task: TaskID, done: int, of: int) -> None:
    progress.update(task, completed=done, total=of)
