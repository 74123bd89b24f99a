"""Devices and tasks by name."""

from __future__ import annotations

from argparse import Namespace
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import TypeVar

from df_policy.environment import Environment, Operator
from df_policy.errors import DfPolicyError, nearest
from df_policy.robot import RobotSpec
from df_policy.teleop.reading import InputDevice

T = TypeVar("T")


@dataclass(frozen=True)
class Device:
    """Something that drives the robot during a recording."""

    name: str
    summary: str
    """One line for the help."""
    build: Callable[[Environment], Operator] | None = None
    """The operator that drives this world by itself, where no person does."""
    parallel: bool = False
    """Whether several may drive at once, each in its own world; no person can."""
    connect: Callable[[Namespace, RobotSpec], InputDevice] | None = None
    """What a person holds, by the command line's options, for a robot; it is opened later."""
    needs_keys: bool = False
    """Whether a terminal's keys must do for its episode buttons."""


def find(kind: str, name: str, known: Mapping[str, T]) -> T:
    """What `known` holds under `name`.

    Args:
        kind: what is looked for, for the message.
        name: as the user wrote it.
        known: all of that kind.

    Raises:
        DfPolicyError: if there is none; the message has the nearest name.
    """
    if name in known:
        return known[name]
    hint = nearest(name, known) or "; choose one of these"
    raise DfPolicyError(f"expected a {kind} of {', '.join(known)}, got {name!r}{hint}")
