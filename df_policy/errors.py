"""The one exception that a user can cause; the command line prints it without a traceback."""

from __future__ import annotations

import difflib
from collections.abc import Iterable

_NEAR = 0.6
"""Share of letters in common from which a name is worth a hint; difflib's own."""


class DfPolicyError(Exception):
    """The user can mend it: the message says what was expected, what came, what to do."""


def nearest(name: str, names: Iterable[str]) -> str:
    """The end of a message about an unknown name: `; did you mean 'x'?`, or nothing.

    Args:
        name: as the user wrote it.
        names: all that would have been right.
    """
    near = difflib.get_close_matches(name, list(names), n=1, cutoff=_NEAR)
    return f"; did you mean {near[0]!r}?" if near else ""


def need(holds: bool, expected: str, got: object) -> None:
    """Nothing, if a setting is what it must be.

    Raises:
        DfPolicyError: if not.
    """
    if not holds:
        raise DfPolicyError(f"expected {expected}, got {got}")
