"""A new file or folder that appears when it is complete, or not at all."""

from __future__ import annotations

import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from df_policy.errors import DfPolicyError


@contextmanager
def landing(target: Path) -> Iterator[Path]:
    """A path beside `target` to write to; it is moved there when all went well.

    Raises:
        DfPolicyError: if something stands at `target`, or the disk refuses.
    """
    if target.exists() or target.is_symlink():
        raise DfPolicyError(f"expected nothing at {target}, got something; name another path")
    holder = target.with_name(f".{uuid.uuid4().hex}.partial")
    try:
        holder.mkdir(parents=True)
        yield holder / target.name
        _flush(holder / target.name)
        (holder / target.name).rename(target)
    except OSError as error:
        raise DfPolicyError(
            f"expected to write {target}, got {error.strerror or error}; make room on the disk or "
            "name a place that can be written"
        ) from error
    finally:
        shutil.rmtree(holder, ignore_errors=True)


def _flush(path: Path) -> None:
    """Let everything below `path` be on the disk."""
    for place in [path, *path.rglob("*")] if path.is_dir() else [path]:
        handle = os.open(place, os.O_RDONLY)
        try:
            os.fsync(handle)
        finally:
            os.close(handle)
