"""A kept episode is safe with one write: it waits here until each array has its rows.

The store's arrays are some forty files, and a disk takes milliseconds to make each durable. So all
that is kept of an episode but its images, which are on the disk by then, is first written here in
one piece. Whoever opens the recording for writing after a crash files what is found.
"""

from __future__ import annotations

import json
import os
import struct
import zlib
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from math import prod
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data.durable import sync_folder
from df_policy.errors import DfPolicyError

NAME = "kept.journal"

_START = struct.Struct("<IQI")
"""Bytes of the JSON that says what follows, bytes of both together, and their CRC-32."""
_MOST_BYTES = 2**30
_KINDS = ("<f4", "<i8", "|u1", "|b1")
"""Of numbers, as numpy writes them."""


@dataclass(frozen=True)
class Kept:
    """An episode that is kept, without its images."""

    first: int
    """Number of its first frame in the recording."""
    number: int
    """Of the episode."""
    rows: Mapping[str, NDArray[Any]]
    """An array's place in the store -> the rows that it gets."""

    @property
    def end(self) -> int:
        """Number of the frame after its last."""
        return self.first + len(self.rows["data/stamp_ns"])


class Journal:
    """The file of one recording that is open for writing.

    Between two uses it is closed: a disk may be taken away while nothing is kept.
    """

    def __init__(self, path: Path) -> None:
        self._path = path

    def write(self, kept: Kept) -> None:
        """The episode is safe when this returns.

        Raises:
            OSError: if the disk refuses; then it holds nothing.
        """
        rows = {name: _plain(one) for name, one in kept.rows.items()}
        parts = [[name, one.dtype.str, list(one.shape)] for name, one in rows.items()]
        head = json.dumps({"first": kept.first, "number": kept.number, "rows": parts}).encode()
        content = b"".join([head, *(one.tobytes() for one in rows.values())])
        start = _START.pack(len(head), len(content), zlib.crc32(content, len(head)))
        whole = memoryview(start + content)
        with _handle(self._path) as handle:
            try:
                at = 0
                while at < len(whole):
                    at += os.pwrite(handle, whole[at:], at)
                os.fsync(handle)
            except OSError:
                os.ftruncate(handle, 0)
                raise

    def read(self) -> Kept | None:
        """The episode that waits; None if none does, or its writing was cut short.

        Raises:
            DfPolicyError: if it is none that a recorder wrote.
        """
        with _handle(self._path) as handle:
            start = os.pread(handle, _START.size, 0)
            if len(start) < _START.size:
                return None
            split, length, noted = _START.unpack(start)
            if length > min(_MOST_BYTES, os.fstat(handle).st_size):
                return None
            content = os.pread(handle, length, _START.size)
        if len(content) < length or zlib.crc32(content, split) != noted:
            return None
        try:
            return _kept(json.loads(content[:split]), content[split:])
        except (KeyError, TypeError, ValueError, RecursionError) as error:
            raise self.strange(repr(error)[:200]) from error

    def clear(self) -> None:
        """Nothing waits any more."""
        with _handle(self._path) as handle:
            os.ftruncate(handle, 0)

    def strange(self, got: str) -> DfPolicyError:
        """What is said of a file that does not fit its recording."""
        return DfPolicyError(
            f"expected a kept episode in {self._path}, got {got}; it does not belong to this "
            "recording: take that file away"
        )


@contextmanager
def opened(path: Path) -> Iterator[Journal]:
    """The journal of the recording at `path`, whose lock is held; it goes when it is empty.

    Raises:
        DfPolicyError: if nothing can be written there.
    """
    file = path / NAME
    try:
        with _handle(file):
            sync_folder(path)
    except OSError as error:
        raise DfPolicyError(
            f"expected to write into {path}, got {error}; check who may write there"
        ) from error
    yield Journal(file)
    if not waits(path):
        with suppress(OSError):  # an empty one does no harm
            file.unlink(missing_ok=True)


@contextmanager
def _handle(file: Path) -> Iterator[int]:
    handle = os.open(file, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o666)
    try:
        yield handle
    finally:
        os.close(handle)


def waits(path: Path) -> bool:
    """Whether a recorder has kept an episode that is not in the arrays yet."""
    file = path / NAME
    return file.is_file() and file.stat().st_size > 0


def _plain(rows: NDArray[Any]) -> NDArray[Any]:
    return np.ascontiguousarray(rows, np.asarray(rows).dtype.newbyteorder("<"))


def _kept(head: dict[str, Any], content: bytes) -> Kept:
    """What `write` put there; raises if it was somebody else."""
    rows, at = {}, 0
    for name, kind, shape in head["rows"]:
        if kind not in _KINDS or any(type(n) is not int or n < 0 for n in shape):
            raise ValueError(f"{name} as {kind} {shape}")
        size = prod(shape) * np.dtype(kind).itemsize
        rows[str(name)] = np.frombuffer(content[at : at + size], kind).reshape(shape)
        at += size
    return Kept(int(head["first"]), int(head["number"]), rows)
