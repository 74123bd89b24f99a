"""How well a node is, as `/diagnostics` tells it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum


class Level(IntEnum):
    """The levels of diagnostic_msgs/msg/DiagnosticStatus, of which the worst is told."""

    OK = 0
    WARN = 1
    """Not as it should be; it goes on by itself."""
    ERROR = 2
    """A person must do something."""
    STALE = 3
    """Something that was heard is silent now."""


@dataclass(frozen=True)
class Health:
    """A level and the reason for it."""

    level: Level = Level.OK
    reason: str = ""


def health(*, error: str = "", stale: str = "", warning: str = "") -> Health:
    """The worst that is wrong; what is empty is well.

    Args:
        error: what needs a person; goes before all others.
        stale: what is silent now, and was heard before.
        warning: what goes on by itself.
    """
    said = ((Level.ERROR, error), (Level.STALE, stale), (Level.WARN, warning))
    return next((Health(level, reason) for level, reason in said if reason), Health())
