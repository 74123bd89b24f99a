#!/usr/bin/env python3
"""Record demonstrations: `python teleop/record.py --device scripted --out recordings/a.zarr`."""

from __future__ import annotations

import argparse
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Generator, Sequence
from contextlib import closing
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

if __name__ == "__main__" and not __package__:
    # Run as a file of a checkout, where folder X is df_policy.X: search its root, and not this
    # folder, or its modules would be there twice.
    sys.path[0] = str(Path(__file__).resolve().parents[1])

from df_policy.processes import STOP_SIGNALS, leave_at_once, stopping

if __name__ == "__main__":
    # Before the slow imports: they may be interrupted too.
    for _number in STOP_SIGNALS:
        signal.signal(_number, leave_at_once)

from df_policy import __version__
from df_policy.commands import live_recording, topic_recording
from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from df_policy.data.writer import EpisodeWriter
    from df_policy.environment import Environment, Operator
    from df_policy.teleop.device import Device
    from df_policy.teleop.progress import RecordingProgress
    from df_policy.teleop.workers import Recorded

DEVICES = (
    "scripted, keyboard, gamepad, spacemouse, web, leader; over ROS 2, topics: somebody else, and "
    "guided: an arm that is led by hand"
)
FIRST_SEED = 1_000_000
MOST_DROPS_IN_A_ROW = 50
"""So many failures one after the other are no accident: something is broken."""


def tasks() -> dict[str, Callable[[], Environment]]:
    """Every task by its name, and how its world is made."""
    from df_policy.sim.tasks import make, names

    return {name: partial(make, name) for name in names()}


def devices() -> dict[str, Device]:
    """Every device by its name."""
    from df_policy.commands.hand_devices import hand_devices
    from df_policy.teleop.device import Device

    script = "a script that solves the simulated task"
    others = {name: Device(name, about) for name, about in topic_recording.SUMMARIES.items()}
    scripted = Device("scripted", script, _scripted, parallel=True)
    return {"scripted": scripted, **hand_devices(), **others}


def _scripted(environment: Environment) -> Operator:
    from df_policy.sim.environment import TaskEnvironment
    from df_policy.sim.scripted import ScriptedOperator

    if not isinstance(environment, TaskEnvironment):
        raise DfPolicyError(
            f"expected a simulated task for the device scripted, got {environment.spec.name}"
        )
    return ScriptedOperator(environment)


def build_world(
    task: str, device: str, perturb: str = "", share: float = 1.0
) -> tuple[Environment, Operator]:
    """A world and who drives it, made in the process that will use them."""
    environment, drives = tasks()[task](), devices()[device].build
    if drives is None:
        raise DfPolicyError(f"expected a device that drives by itself, got {device}")
    return disturbed(environment, perturb, share), drives(environment)


def disturbed(environment: Environment, perturb: str, share: float) -> Environment:
    """The world, with the mishaps that were asked for."""
    if not perturb:
        return environment
    from df_policy.sim.disturbances import parse
    from df_policy.sim.disturbed import Disturbed

    return Disturbed(environment, parse(perturb), share)


def parser() -> Options:
    """The command line."""
    cores = len(os.sched_getaffinity(0))
    made = Options(
        prog="record",
        description="Record demonstrations. Run it again with the same --out to go on: every "
        "episode that was kept stays, whatever ended the recording.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    made.add_argument("--device", default="scripted", help=f"who drives: {DEVICES}")
    made.add_argument("--task", default="fruit_swap", help="what to do, for example fruit_cycle")
    made.add_argument(
        "--episodes", type=int, default=240, help="episodes in the recording when it is complete"
    )
    made.add_argument(
        "--out",
        type=Path,
        default=argparse.SUPPRESS,
        help="the recording (default: recordings/TASK.zarr)",
    )
    made.add_argument(
        "--seed",
        type=int,
        default=FIRST_SEED,
        help="first seed of a new recording; evaluations count from 0, so stay away from there",
    )
    made.add_argument(
        "--perturb",
        default="",
        help="disturbances that the operator has to deal with, for example fruit_moved; all that "
        "`python -m df_policy evaluate x --perturb list` shows",
    )
    made.add_argument(
        "--perturb-share",
        type=float,
        default=1.0,
        help="share of the episodes in which each of --perturb happens",
    )
    made.add_argument(
        "--workers",
        type=int,
        default=min(2, cores),
        help="processes that drive at once, for devices that need no person; what is recorded "
        "does not depend on it",
    )
    live_recording.add_options(made)
    topic_recording.add_options(made)
    return made


def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit code."""
    options = parser().parse_args(argv)
    try:
        return _record(options)
    except DfPolicyError as error:
        print(f"record: {error}", file=sys.stderr)  # noqa: T201 - a command line
        return 1


def _record(options: argparse.Namespace) -> int:
    # One thread for each process is fastest where there are as many processes as cores.
    os.environ.setdefault("OMP_NUM_THREADS", "1")
    from df_policy.data.writer import EpisodeWriter
    from df_policy.teleop.device import find
    from df_policy.teleop.progress import RecordingProgress

    device = find("device", options.device, devices())
    if device.name in topic_recording.SUMMARIES:
        return topic_recording.run(options, _out(options))
    make = find("task", options.task, tasks())
    out = _out(options)
    for name in ("episodes", "workers"):
        if getattr(options, name) < 1:
            raise DfPolicyError(f"expected --{name} of at least 1, got {getattr(options, name)}")
    share = options.perturb_share
    if not 0.0 < share <= 1.0:
        raise DfPolicyError(f"expected --perturb-share above 0 and at most 1, got {share}")
    if share != 1.0 and not options.perturb:
        raise DfPolicyError("expected --perturb with --perturb-share, got none; name what happens")
    if options.seed < 0:
        raise DfPolicyError(f"expected --seed of at least 0, got {options.seed}")
    if options.perturb:
        from df_policy.sim.disturbances import DELAY, parse

        # A wrong one is refused before anything is made.
        mishaps = parse(options.perturb)
        if any(one.name.startswith(DELAY) for one in mishaps):
            raise DfPolicyError(
                "expected disturbances that leave a recording's stamps whole, got a delay"
            )
        if any(one.longer for one in mishaps):
            raise DfPolicyError(
                "expected disturbances that leave episodes as long as they are, got pauses or "
                "waits_after: the trainer puts pauses in by itself (--policy-fit.pauses)"
            )
    if device.connect is not None:
        from df_policy.commands.live_recording import run

        world = disturbed(make(), options.perturb, options.perturb_share)
        with closing(world):
            return run(options, device, world, out, _mishaps(options), code_version())
    environment = make()
    spec = environment.spec
    environment.close()
    operator = device.name + _mishaps(options)
    where = (out, spec, options.task, operator, code_version())
    with stopping() as stop, EpisodeWriter.open(*where) as writer:
        _check_alike(writer.operators, operator, out)
        show = RecordingProgress(options.episodes, writer.episodes, spec.action_rate_hz)
        with show:
            _fill(writer, _episodes(options, device, writer, stop.is_set), options.episodes, show)
        show.summary(out, stopped=stop.is_set())
    return 128 + stop.number if stop.is_set() else 0


def _out(options: argparse.Namespace) -> Path:
    return Path(getattr(options, "out", f"recordings/{options.task}.zarr"))


def _mishaps(options: argparse.Namespace) -> str:
    """What befalls whoever drives, for the recording's header."""
    if not options.perturb:
        return ""
    return f", disturbed by {options.perturb} with share {options.perturb_share:g}"


def _check_alike(operators: tuple[str, ...], operator: str, out: Path) -> None:
    """Raises DfPolicyError if a recording would go on with other mishaps."""
    others = [other for other in operators if other != operator]
    if others:
        raise DfPolicyError(
            f"{out} was recorded by {others[0]!r}, this is {operator!r}: go on with the same "
            "--device, --perturb and --perturb-share, or choose another --out"
        )


def _episodes(
    options: argparse.Namespace, device: Device, writer: EpisodeWriter, stop: Callable[[], bool]
) -> Generator[Recorded, None, None]:
    from df_policy.teleop.workers import here, in_processes

    mishaps = (options.perturb, options.perturb_share)
    build = partial(build_world, options.task, device.name, *mishaps)
    first_seed = max(options.seed, writer.next_seed)
    workers = min(options.workers, max(1, options.episodes - writer.episodes))
    if workers == 1 or not device.parallel:
        return here(build, first_seed, stop)
    return in_processes(build, first_seed, stop, workers)


def _fill(
    writer: EpisodeWriter,
    episodes: Generator[Recorded, None, None],
    total: int,
    show: RecordingProgress,
) -> None:
    """Store episodes until there are `total`, or no more come."""
    from df_policy.teleop.recorder import Outcome

    drops = 0
    with closing(episodes) as source:
        while writer.episodes < total and (episode := next(source, None)) is not None:
            if episode.outcome is Outcome.QUIT:
                return
            if episode.outcome is Outcome.DROPPED:
                writer.drop(episode.seed)
                drops += 1
                show.dropped()
            else:
                for frame in episode.frames:
                    writer.append(frame)
                writer.keep(episode.seed, episode.success)
                drops = 0
                show.kept(len(episode.frames))
            if drops >= MOST_DROPS_IN_A_ROW:
                raise DfPolicyError(
                    f"expected an episode to keep, got {drops} failures one after the other "
                    f"(seeds up to {episode.seed}); check the task and the device"
                )


def code_version() -> str:
    """This package's version, with the commit where it runs from a checkout."""
    root = Path(__file__).resolve().parents[1]
    command = ["git", "-C", str(root), "describe", "--always", "--dirty"]
    if not (root / ".git").exists():
        return __version__
    try:
        answer = subprocess.run(command, capture_output=True, text=True, timeout=5, check=True)
    except (OSError, subprocess.SubprocessError):
        return __version__
    return f"{__version__}+{answer.stdout.strip()}"


if __name__ == "__main__":
    raise SystemExit(main())
