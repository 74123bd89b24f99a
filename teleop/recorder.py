"""The loop that every device records with."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from typing import Protocol, runtime_checkable

from df_policy.environment import Environment, Event, Operator
from df_policy.frames import Frame, Observation


class Outcome(Enum):
    """What became of an episode."""

    KEPT = "kept"
    DROPPED = "dropped"
    QUIT = "quit"


@runtime_checkable
class Sink(Protocol):
    """Where an episode's frames go."""

    def append(self, frame: Frame) -> None:
        """Take the next frame of the open episode."""
        ...

    def keep(self, seed: int, success: bool) -> None:
        """The open episode is complete and wanted."""
        ...

    def drop(self, seed: int | None = None) -> None:
        """Forget the open episode; a seed that is given counts as tried."""
        ...


def never() -> bool:
    """Nobody asks to stop."""
    return False


def run_episode(
    environment: Environment,
    operator: Operator,
    seed: int,
    sink: Sink,
    *,
    now_ns: Callable[[], int] = time.time_ns,
    stop: Callable[[], bool] = never,
) -> Outcome:
    """Record one episode.

    It ends after the environment's number of steps, or when the operator says so: the action that
    comes with KEEP is still carried out and recorded, the one with DROP or QUIT is not. Without a
    word of the operator the task's verdict decides.

    Recorded stamps count from the episode's first observation, so that they do not depend on what
    the world did before.

    Args:
        environment: the world.
        operator: who drives it.
        seed: of the start.
        sink: takes the frames.
        now_ns: wall clock.
        stop: asked before each action; True ends it like QUIT.
    """
    try:
        outcome = _drive(environment, operator, seed, sink, now_ns, stop)
        success = outcome is not Outcome.QUIT and environment.judge().success
    except BaseException:
        sink.drop()
        raise
    if outcome is None:
        outcome = Outcome.KEPT if success else Outcome.DROPPED
    if outcome is Outcome.KEPT:
        sink.keep(seed, success)
    else:
        sink.drop(None if outcome is Outcome.QUIT else seed)
    return outcome


def _drive(
    environment: Environment,
    operator: Operator,
    seed: int,
    sink: Sink,
    now_ns: Callable[[], int],
    stop: Callable[[], bool],
) -> Outcome | None:
    observation = environment.reset(seed)
    received_ns = now_ns()
    start_ns = observation.stamp_ns
    operator.start(observation, seed)
    for _ in range(environment.episode_steps):
        if stop():
            return Outcome.QUIT
        command = operator.act(observation)
        if command.event is Event.QUIT:
            return Outcome.QUIT
        if command.event is Event.DROP:
            return Outcome.DROPPED
        seen, sent = environment.step(command.action)
        sink.append(Frame(_since(start_ns, observation), command.action, sent, received_ns))
        observation, received_ns = seen, now_ns()
        if command.event is Event.KEEP:
            return Outcome.KEPT
    return None


def _since(start_ns: int, observation: Observation) -> Observation:
    images = {name: stamp - start_ns for name, stamp in observation.image_stamps_ns.items()}
    return replace(observation, stamp_ns=observation.stamp_ns - start_ns, image_stamps_ns=images)
