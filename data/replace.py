"""A recording put in another's place at once, the old one kept beside it."""

from __future__ import annotations

import ctypes
import os
from pathlib import Path

from df_policy.errors import DfPolicyError

_AT_FDCWD, _RENAME_EXCHANGE = -100, 2


def put_in_place(new: Path, path: Path) -> Path:
    """Let `new` be at `path`; what was there is then where the answer says.

    At every moment one of both stands at `path`, where the file system can exchange names.

    Raises:
        DfPolicyError: if the disk refuses; then nothing is lost.
    """
    backup = backup_path(path)
    try:
        if not _exchange(new, path):
            path.rename(backup)
            new.rename(path)
            return backup
        new.rename(backup)
    except OSError as error:
        raise DfPolicyError(
            f"expected to put {new} in the place of {path}, got {error}; both are there"
        ) from error
    return backup


def backup_path(path: Path) -> Path:
    """The first free name for what stands at `path`."""
    number = 1
    while (found := path.with_name(f"{path.stem}.backup{number}{path.suffix}")).exists():
        number += 1
    return found


def _exchange(one: Path, other: Path) -> bool:
    """Exchange two names; False where the system cannot."""
    try:
        call = ctypes.CDLL(None).renameat2
    except AttributeError:
        return False
    names = (os.fsencode(one), os.fsencode(other))
    return bool(call(_AT_FDCWD, names[0], _AT_FDCWD, names[1], _RENAME_EXCHANGE) == 0)
