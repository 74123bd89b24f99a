"""Files that are whole at every moment, and one writer at a time."""

from __future__ import annotations

import fcntl
import os
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from zarr.core.buffer import Buffer
from zarr.storage import LocalStore

from df_policy.errors import DfPolicyError

PARTIAL = ".partial"
"""End of the names of what is not finished."""


class DurableStore(LocalStore):
    """A local store whose every file is on the disk before it takes the old one's place.

    A kill, or the loss of power, at any moment leaves each file as it was before or after.
    """

    async def set(self, key: str, value: Buffer) -> None:
        """Replace one file."""
        replace_file(self.root / key, value.to_bytes())


def replace_file(path: Path, content: bytes) -> None:
    """Let `content` stand at `path`: all of it or none, and on the disk when this returns."""
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def sync_folder(path: Path) -> None:
    """Let the names in a folder be on the disk."""
    handle = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def is_partial(file: Path) -> bool:
    """Whether a writer had not finished it."""
    return file.name.endswith(PARTIAL)


def remove_partials(path: Path) -> None:
    """Delete what a killed writer had not finished."""
    for left in path.rglob(f"*{PARTIAL}"):
        left.unlink(missing_ok=True)


@contextmanager
def exclusive(path: Path) -> Iterator[None]:
    """Hold the store's lock; the system frees it when this process ends in whatever way.

    Raises:
        DfPolicyError: if another process writes there.
    """
    handle = os.open(path, os.O_RDONLY)
    try:
        try:
            fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise DfPolicyError(
                f"expected to be the only writer of {path}, got another recording that runs; "
                "end it or record into another path"
            ) from error
        except OSError as error:
            raise DfPolicyError(
                f"expected a file system with locks at {path}, got {error}; "
                "record onto a local disk"
            ) from error
        if os.fstat(handle).st_ino != path.stat().st_ino:
            raise DfPolicyError(f"expected {path} to stay, got another in its place; try again")
        yield
    finally:
        os.close(handle)
