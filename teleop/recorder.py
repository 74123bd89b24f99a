"""The loop that every device records with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Protocol, runtime_checkable

from df_policy.clock import steady_clock
from df_policy.environment import AttentiveOperator, Command, Environment, Event, Operator
from df_policy.frames import (
    JOINTS,
    TOOL,
    UNKNOWN,
    Arrival,
    Frame,
    Observation,
    camera_stream,
)


class Outcome(Enum):
    """What became of an episode."""

    KEPT = "kept"
    DROPPED = "dropped"
    AGAIN = "again"
    """Dropped, to be recorded anew from the same start."""
    QUIT = "quit"


@runtime_checkable
class Sink(Protocol):
    """Where an episode's frames go."""

    def append(self, frame: Frame) -> None:
        """Take the next frame of the open episode."""
        ...

    def keep(self, seed: int, success: bool, note: str = "") -> None:
        """The open episode is complete and wanted."""
        ...

    def drop(self, seed: int | None = None) -> None:
        """Forget the open episode; a seed that is given counts as tried."""
        ...


def never() -> bool:
    """Nobody asks to stop."""
    return False


def at_once() -> None:
    """Time in a simulation needs no waiting."""


_ENDS = {
    Event.DROP: Outcome.DROPPED,
    Event.RERECORD: Outcome.AGAIN,
    Event.QUIT: Outcome.QUIT,
}


def run_episode(
    environment: Environment,
    operator: Operator,
    seed: int,
    sink: Sink,
    *,
    now_ns: Callable[[], int] | None = None,
    stop: Callable[[], bool] = never,
    wait: Callable[[], None] = at_once,
    most_steps: int | None = None,
) -> Outcome:
    """Record one episode.

    It ends after a number of steps, or when the operator says so: the action that comes with KEEP
    is still carried out and recorded, the one with DROP, RERECORD or QUIT is not. Without a word
    of the operator the task's verdict decides. While it wants a PAUSE, the world stands still.

    Recorded stamps count from the episode's first observation, so that they do not depend on what
    the world did before.

    Args:
        environment: the world.
        operator: who drives it.
        seed: of the start.
        sink: takes the frames.
        now_ns: wall clock that never goes back; else the system's as it was at the start.
        stop: asked before each action; True ends it like QUIT.
        wait: for the next tick, where a person drives.
        most_steps: else the environment's number of steps.
    """
    try:
        clock = now_ns or steady_clock()
        last = _drive(environment, operator, seed, sink, clock, stop, wait, most_steps)
        outcome, success = _judged(last, environment)
    except BaseException:
        sink.drop()
        raise
    if outcome is Outcome.KEPT:
        sink.keep(seed, success, last.note)
    else:
        sink.drop(seed if outcome is Outcome.DROPPED else None)
    return outcome


def _judged(last: Command, environment: Environment) -> tuple[Outcome, bool]:
    """What becomes of an episode that ended with this command, and whether it is a success."""
    if last.event is not None and last.event is not Event.KEEP:
        return _ENDS[last.event], False
    success = environment.judge().success if last.success is None else last.success
    kept = success or last.event is Event.KEEP
    return Outcome.KEPT if kept else Outcome.DROPPED, success


def _drive(
    environment: Environment,
    operator: Operator,
    seed: int,
    sink: Sink,
    now_ns: Callable[[], int],
    stop: Callable[[], bool],
    wait: Callable[[], None],
    most_steps: int | None,
) -> Command:
    """The command that ended the episode, or the last one when time was up."""
    observation = environment.reset(seed)
    received_ns = now_ns()
    start_ns = observation.stamp_ns
    operator.start(observation, seed)
    command = Command(observation.hold())
    attentive = operator if isinstance(operator, AttentiveOperator) else None
    left = environment.episode_steps if most_steps is None else most_steps
    while left > 0:
        if stop():
            return replace(command, event=Event.QUIT)
        command = operator.act(observation)
        if command.event is Event.PAUSE:
            wait()
            continue
        if command.event not in (None, Event.KEEP):
            return command
        seen, sent = environment.step(command.action)
        wait()
        before = _since(start_ns, _arrived(observation, received_ns))
        sink.append(Frame(before, command.action, sent, received_ns, command.control))
        if attentive is not None:
            attentive.sent(sent)
        observation, received_ns, left = seen, now_ns(), left - 1
        if command.event is Event.KEEP:
            return command
    return command


def _arrived(observation: Observation, received_ns: int) -> Observation:
    """With an arrival for each stream: what a world hands over in one piece came as one."""
    if observation.arrivals:
        return observation
    stamps = {camera_stream(name): ns for name, ns in observation.image_stamps_ns.items()}
    stamps |= {JOINTS: observation.stamp_ns, TOOL: observation.stamp_ns}
    arrivals = {name: Arrival(stamp, received_ns, 0) for name, stamp in stamps.items()}
    return replace(observation, arrivals=arrivals)


def _since(start_ns: int, observation: Observation) -> Observation:
    images = {name: stamp - start_ns for name, stamp in observation.image_stamps_ns.items()}
    arrivals = {
        name: one if one.stamp_ns == UNKNOWN else replace(one, stamp_ns=one.stamp_ns - start_ns)
        for name, one in observation.arrivals.items()
    }
    stamp_ns = observation.stamp_ns - start_ns
    return replace(observation, stamp_ns=stamp_ns, image_stamps_ns=images, arrivals=arrivals)
