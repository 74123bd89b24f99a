"""Small JSON files in which a step of `calibrate` leaves what it found, for a driver to read."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, TypeVar

from df_policy.errors import DfPolicyError
from df_policy.files import write_text

T = TypeVar("T")
_LARGEST_BYTES = 10_000


def write_result(path: Path, found: Mapping[str, Any]) -> None:
    """What a step found, as JSON.

    Raises:
        DfPolicyError: if the disk refuses.
    """
    write_text(path, json.dumps(found, indent=1) + "\n")


def read_result(path: Path, step: str, make: Callable[[Any], T]) -> T:
    """What a step wrote.

    Args:
        path: the file.
        step: of `calibrate`, which writes it.
        make: makes it of the file's values.

    Raises:
        DfPolicyError: if there is no such file, or `make` fails.
    """
    try:
        if path.stat().st_size > _LARGEST_BYTES:
            raise ValueError("it is too large")
        return make(json.loads(path.read_text("utf-8")))
    except (OSError, KeyError, TypeError, ValueError) as error:
        raise DfPolicyError(
            f"expected a {step} in {path}, got {error!r}; make one with "
            f"`python -m df_policy calibrate {step}`"
        ) from error
