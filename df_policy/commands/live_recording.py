"""A recording that a person drives: joins device, world, store, views, and perhaps a policy."""

from __future__ import annotations

import argparse
import signal
import sys
from collections.abc import Callable
from contextlib import ExitStack, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from df_policy.environment import Environment
    from df_policy.teleop.autopilot import Autopilot
    from df_policy.teleop.background import BackgroundSink
    from df_policy.teleop.device import Device
    from df_policy.teleop.mapping import Handling
    from df_policy.teleop.pace import Pace
    from df_policy.teleop.person import Person, Read
    from df_policy.teleop.recorder import Sink
    from df_policy.teleop.status import Status, Watcher

_LONGEST_EPISODE = 20_000
"""Frames that the store takes."""
_CATCHING_UP = "paused until the encoder has caught up"


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a recording by hand."""
    hand = parser.add_argument_group("a person drives")
    hand.add_argument(
        "--policy",
        default="",
        help="drives until the person does: a run folder or shipped weights",
    )
    hand.add_argument("--rehearse", action="store_true", help="record nothing")
    hand.add_argument(
        "--frame", choices=("base", "tool"), default="base", help="of a stick's axes"
    )
    hand.add_argument("--speed", type=float, default=0.25, help="at full deflection [m/s]")
    hand.add_argument("--turn", type=float, default=1.2, help="at full deflection [rad/s]")
    hand.add_argument(
        "--web-host",
        default="127.0.0.1",
        help="address of the page; others than this let others in",
    )
    hand.add_argument("--web-port", type=int, default=8642, help="of the page; 0 for any")
    hand.add_argument(
        "--web-name", action="append", default=[], help="a name by which browsers call the page"
    )
    hand.add_argument(
        "--aloud",
        action="store_true",
        help="the terminal beeps when something happens, twice for an episode on the disk; the "
        "page says it",
    )
    hand.add_argument(
        "--rerun", default="", metavar="FILE.rrd|live", help="show all of it in rerun, too"
    )


def run(
    options: argparse.Namespace,
    device: Device,
    environment: Environment,
    out: Path,
    mishaps: str,
    code_version: str,
) -> int:
    """Record into `out`, or rehearse; returns the exit code.

    Args:
        options: of the command line.
        device: what the person holds.
        environment: the world.
        out: the recording.
        mishaps: what befalls the person, for the recording's header.
        code_version: for the same.
    """
    from df_policy.data.writer import EpisodeWriter
    from df_policy.processes import STOP_SIGNALS, stopping
    from df_policy.teleop.background import Rehearsal

    operator = device.name + (f", beside {options.policy}" if options.policy else "") + mishaps
    with ExitStack() as stack:
        # A terminal that hangs up must not cost an episode that is being written.
        stop = stack.enter_context(stopping((*STOP_SIGNALS, signal.SIGHUP)))
        sink: Sink = Rehearsal()
        kept, seed, where = 0, options.seed, "rehearsed, none is stored"
        if not options.rehearse:
            about = (environment.spec, options.task, operator, code_version)
            sink = writer = stack.enter_context(EpisodeWriter.open(out, *about))
            kept, seed, where = writer.episodes, max(seed, writer.next_seed), f"in {out}"
        kept = record(options, device, environment, sink, kept, seed, stop.is_set)
        with suppress(OSError):  # it may have hung up
            print(f"{kept} of {options.episodes} episodes {where}", file=sys.stderr)
    return 128 + stop.number if stop.is_set() else 0


def record(
    options: argparse.Namespace,
    device: Device,
    environment: Environment,
    sink: Sink,
    kept: int,
    first_seed: int,
    stop: Callable[[], bool],
) -> int:
    """Record until there are enough episodes, the person leaves, or `stop`.

    Args:
        options: of the command line.
        device: what the person holds.
        environment: the world.
        sink: takes the episodes.
        kept: how many there are already.
        first_seed: of the next episode's start.
        stop: asked at every tick.

    Returns:
        How many there are now.
    """
    from df_policy.teleop.background import BackgroundSink
    from df_policy.teleop.mapping import Handling
    from df_policy.teleop.pace import Pace
    from df_policy.teleop.person import Person

    handling = Handling(options.frame, options.speed, options.turn)
    pace = Pace(1e-9 * environment.spec.period_ns)
    autopilot = _autopilot(options.policy, environment, handling) if options.policy else None
    with ExitStack() as stack:
        writing = BackgroundSink(sink, kept)
        stack.callback(writing.close)
        read, watchers = _attach(stack, options, device, environment)
        person = Person(
            read,
            environment.spec,
            handling,
            watchers,
            autopilot,
            about=partial(_about, options, writing, pace),
            most_steps=_LONGEST_EPISODE - 1,
            hindrance=lambda: _CATCHING_UP if writing.is_full else "",
        )
        _fill(environment, person, writing, pace, options.episodes, first_seed, stop)
    return writing.kept


def _fill(
    environment: Environment,
    person: Person,
    writing: BackgroundSink,
    pace: Pace,
    total: int,
    first_seed: int,
    stop: Callable[[], bool],
) -> None:
    from df_policy.teleop.recorder import Outcome, run_episode

    seed = first_seed
    while writing.asked < total and not stop():
        pace.restart()
        outcome = run_episode(
            environment,
            person,
            seed,
            writing,
            stop=stop,
            wait=pace.wait,
            most_steps=_LONGEST_EPISODE,
        )
        if outcome is Outcome.QUIT:
            return
        seed += outcome is not Outcome.AGAIN


def _about(
    options: argparse.Namespace, writing: BackgroundSink, pace: Pace, status: Status
) -> Status:
    """What the recording adds to the person's status."""
    return replace(
        status,
        kept=writing.kept,
        total=options.episodes,
        late=pace.late,
        waiting=writing.waiting,
        rehearsal=options.rehearse,
        aloud=options.aloud,
    )


def _attach(
    stack: ExitStack, options: argparse.Namespace, device: Device, environment: Environment
) -> tuple[Read, list[Watcher]]:
    """What reads the person, and what shows the recording; all of it ends with `stack`."""
    from df_policy.teleop.dashboard import Dashboard
    from df_policy.teleop.keyboard import HELP, Keyboard
    from df_policy.teleop.listener import Listener, together
    from df_policy.teleop.web import WebPage

    if device.connect is None:
        raise DfPolicyError(f"expected a device that a person holds, got {device.name}")
    hand = device.connect(options, environment.spec)
    listeners = [stack.enter_context(Listener(hand))]
    keyboard = hand if isinstance(hand, Keyboard) else Keyboard(moves=False)
    if hand is not keyboard and (device.needs_keys or sys.stdin.isatty()):
        listeners.append(stack.enter_context(Listener(keyboard)))
    hints = HELP if keyboard in (one.device for one in listeners) else ""
    watchers: list[Watcher] = []
    if isinstance(hand, WebPage):
        print(f"open {hand.address}", file=sys.stderr, flush=True)
        if hand.warning:
            print(f"record: {hand.warning}", file=sys.stderr)
        watchers.append(hand)
    if options.rerun:
        from df_policy.teleop.rerun_view import RerunView

        watchers.append(stack.enter_context(RerunView(options.rerun)))
    typed = partial(getattr, keyboard, "note")
    watchers.append(stack.enter_context(Dashboard(hints, typed)))
    return together(listeners), watchers


def _autopilot(name: str, environment: Environment, handling: Handling) -> Autopilot:
    import torch

    from df_policy.checkpoint import check_robot
    from df_policy.policy import Policy
    from df_policy.teleop.autopilot import Autopilot

    torch.set_num_threads(1)  # the recording needs the other core
    policy = Policy.load(name)
    check_robot(policy.spec, environment.spec)
    policy.warm_up()
    return Autopilot(policy, handling)
