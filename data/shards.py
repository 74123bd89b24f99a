"""Encoded images moved from file to file as they are: zarr's shards, without decoding.

A shard holds its images one after the other, then the index: offset and length of each as uint64,
little-endian, both all ones where there is none, and the CRC-32C of the index.

Source: zarr v3 codec `sharding_indexed`, version 1.0,
https://zarr-specs.readthedocs.io/en/latest/v3/codecs/sharding-indexed/index.html
"""

from __future__ import annotations

import os
from pathlib import Path

import google_crc32c
import numpy as np

from df_policy.errors import DfPolicyError

_NONE = 2**64 - 1
_CHECKSUM_BYTES = 4

Encoded = bytes | None
"""One image; None for one of nothing but zeros."""


def read(file: Path, count: int, raw_bytes: int) -> list[Encoded]:
    """The images of one shard.

    Args:
        file: the shard; if it is missing, all its images are zeros.
        count: images that it has room for.
        raw_bytes: of all of them decoded; a file that is much larger is none of ours.

    Raises:
        DfPolicyError: if it cannot be read.
    """
    index_bytes = 16 * count + _CHECKSUM_BYTES
    try:
        if not file.exists():
            return [None] * count
        if file.stat().st_size > 2 * raw_bytes + index_bytes + 2**20:
            raise _damaged(file, f"more than {raw_bytes} bytes")
        content = file.read_bytes()
    except OSError as error:
        raise _damaged(file, str(error)) from error
    index, noted = content[-index_bytes:-_CHECKSUM_BYTES], content[-_CHECKSUM_BYTES:]
    if len(content) < index_bytes or google_crc32c.value(index).to_bytes(4, "little") != noted:
        raise _damaged(file, "an index that does not match its checksum")
    images: list[Encoded] = []
    for offset, length in np.frombuffer(index, "<u8").reshape(count, 2).tolist():
        if offset == length == _NONE:
            images.append(None)
        elif offset + length > len(content) - index_bytes:
            raise _damaged(file, "an index that points beyond the file")
        else:
            images.append(content[offset : offset + length])
    return images


def write(images: list[Encoded], count: int) -> bytes:
    """The content of a shard with room for `count` images."""
    lengths = [None if image is None else len(image) for image in images]
    return b"".join([*filter(None, images), _index(lengths, count)])


class Growing:
    """A shard that is written image by image.

    Args:
        file: made, or made empty.
        count: images that it has room for.
    """

    def __init__(self, file: Path, count: int) -> None:
        self._file, self._count = file.open("wb", buffering=0), count
        self._lengths: list[int | None] = []
        self.waiting_bytes = 0
        """Written, and perhaps not on the disk yet."""

    def add(self, image: Encoded) -> None:
        """Append one image."""
        self._lengths.append(None if image is None else len(image))
        self._write(image or b"")

    def sync(self) -> None:
        """Wait for the disk."""
        os.fsync(self._file.fileno())
        self.waiting_bytes = 0

    def finish(self) -> None:
        """Complete the file, and have it on the disk."""
        self._write(_index(self._lengths, self._count))
        self.sync()
        self.close()

    def close(self) -> None:
        """Write no more."""
        self._file.close()

    def _write(self, content: bytes) -> None:
        left = memoryview(content)
        while left:
            left = left[self._file.write(left) :]
        self.waiting_bytes += len(content)


def _index(lengths: list[int | None], count: int) -> bytes:
    index = np.full((count, 2), _NONE, dtype="<u8")
    at = 0
    for number, length in enumerate(lengths):
        if length is not None:
            index[number] = at, length
            at += length
    raw = index.tobytes()
    noted: int = google_crc32c.value(raw)
    return raw + noted.to_bytes(4, "little")


def _damaged(file: Path, got: str) -> DfPolicyError:
    return DfPolicyError(f"expected a file of images at {file}, got {got}; it is damaged")
