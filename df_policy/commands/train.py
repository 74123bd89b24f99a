"""`python -m df_policy train`: fit a policy to a recording."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from contextlib import suppress
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
    from rich.progress import Progress

    from df_policy.demonstrations import Demonstrations
    from df_policy.sharing import Share
    from df_policy.train import Training

ENCODER_SETTINGS = (
    "data",
    "config.encoder",
    "config.encoder_fit",
    "config.run.seed",
    "config.run.episodes",
    "config.run.validation",
    "config.run.mirror",
    "config.run.precision",
)
"""What an encoder depends on."""


@dataclass(frozen=True)
class Arguments:
    """Fit a policy to a recording; every value of the preset can be given as an option."""

    data: tuple[str, ...]
    """The recording, a zarr store, or several, to be learnt from together: paths, or addresses
    such as s3://bucket/task.zarr."""
    out: Path
    """The run folder: checkpoint, logs and the state that --resume continues."""
    weights: tuple[float, ...] = ()
    """What share of the sequences is drawn from each recording, in any unit; else by length."""
    preset: Annotated[
        str, tyro.conf.arg(help=f"Settings to start from: {', '.join(PRESETS)}.")
    ] = "fruit_swap"
    resume: bool = False
    """Continue the run in --out exactly where it stopped, with its own settings."""
    encoder_from: Path | None = None
    """Take the encoder of this run, on the same recording, instead of training it once more."""
    wandb: str = ""
    """Also log to this Weights & Biases project (needs the wandb extra)."""
    config: Annotated[Config, tyro.conf.arg(name="")] = field(default_factory=Config)


def parse(argv: list[str]) -> Arguments:
    """The arguments, on top of the preset that they name, or of the run that they resume.

    Raises:
        DfPolicyError: if there is no such preset or run, or a value is out of its range.
        SystemExit: for an unknown option (the nearest is shown) or a value of the wrong type.
    """
    early = argparse.ArgumentParser(add_help=False, allow_abbrev=False)
    early.add_argument("--preset", default="")
    early.add_argument("--resume", action="store_true")
    early.add_argument("--out", type=Path)
    known = early.parse_known_args(argv)[0]
    name = known.preset or "fruit_swap"
    resumes = known.resume and not known.preset and known.out is not None
    config = preset(name)
    if resumes:
        config = from_json(_resumed(known.out / "run.json")["config"])
    return tyro.cli(
        partial(Arguments, preset=name, config=config),
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

    from df_policy.commands.train_data import demonstrations
    from df_policy.sharing import joined
    from df_policy.train import check

    columns = (
        TextColumn("{task.description:<14}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeRemainingColumn(),
        TextColumn("{task.fields[note]}"),
    )
    with (
        joined(arguments.config.run.device) as share,
        Progress(*columns, refresh_per_second=2, disable=not share.first) as progress,
        stopping() as stop,
    ):
        data, about = share.in_turn(
            lambda: demonstrations(arguments.data, arguments.weights, progress)
        )
        check(data, arguments.config)  # before the folder is made, which a second try would find
        if share.first:
            prepare(arguments, about["fingerprint"])
        share.wait()
        code = run(arguments, data, about, progress, stop, share)
    if code == 0 and share.first:
        print(f"evaluate it: python -m df_policy evaluate {arguments.out}")
    return code


def run(
    arguments: Arguments,
    data: Demonstrations,
    about: dict[str, Any],
    progress: Progress,
    stop: Stop,
    share: Share,
) -> int:
    """Train and log; the exit code is 0, or 128 and the signal that ended it."""
    from df_policy.commands.train_log import TrainLog
    from df_policy.train import Hooks, StoppedError, Training

    begin, out = time.monotonic(), arguments.out
    if not share.first:
        return _beside(Training(data, arguments.config, out, about, Hooks(stop=stop, share=share)))
    log = TrainLog(out, arguments.config, arguments.wandb, progress)
    hooks = Hooks(log.step, log.checkpoint, stop, share)
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


def _beside(training: Training) -> int:
    """Compute a share of what the first process trains and tells of."""
    from df_policy.train import StoppedError

    with suppress(StoppedError):
        training.run()
    return 0


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


def _resumed(saved: Path) -> dict[str, Any]:
    """What the run of this file was started with.

    Raises:
        DfPolicyError: if it cannot be read.
    """
    try:
        return _held(saved)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise DfPolicyError(
            f"{saved.parent} holds no run to resume: {saved} cannot be read ({error})"
        ) from error


def _check_same(saved: Path, wanted: dict[str, Any]) -> None:
    held = _resumed(saved)
    different = [
        f"{section}.{name} = {held['config'][section][name]}"
        for section, values in wanted["config"].items()
        for name, value in values.items()
        if held["config"][section][name] != value
    ]
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
