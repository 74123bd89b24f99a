"""Writing files so that a reader, or a crash, never meets half of one."""

from __future__ import annotations

import os
import uuid
from collections.abc import Callable
from pathlib import Path

from df_policy.errors import DfPolicyError


def write_atomically(path: Path, write: Callable[[Path], object]) -> None:
    """Let `write` make a file beside `path`, which then takes its place as a whole.

    Args:
        path: the file; its folder is made.
        write: given the path to write to, which has the suffix of `path`.

    Raises:
        DfPolicyError: if the disk refuses; what stood at `path` stays.
    """
    partial = path.with_name(f".{uuid.uuid4().hex}.partial.{path.name}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        try:
            write(partial)
            with partial.open("rb") as written:
                os.fsync(written.fileno())
            partial.replace(path)
        except BaseException:
            partial.unlink(missing_ok=True)
            raise
    except OSError as error:
        raise DfPolicyError(
            f"expected to write {path}, got {error.strerror or error}; make room on the disk or "
            "choose a place that can be written"
        ) from error


def write_text(path: Path, text: str) -> None:
    """Replace `path` by `text` in UTF-8, as `write_atomically` does.

    Raises:
        DfPolicyError: if the disk refuses; what stood at `path` stays.
    """
    write_atomically(path, lambda partial: partial.write_text(text, encoding="utf-8"))


def check_writable(path: Path) -> None:
    """Nothing, if a file can be written at `path`; what stands there stays.

    Raises:
        DfPolicyError: if it cannot: better before long work than after it.
    """
    if path.is_dir():
        raise DfPolicyError(f"expected a file to write, got the folder {path}; name a file in it")
    probe = path.with_name(f".{uuid.uuid4().hex}.probe")
    write_text(probe, "")
    probe.unlink()
