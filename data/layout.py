"""A store's files and metadata as this package writes them; a stranger's may be anything.

What zarr is told by a file it believes: a chunk of a terabyte, a link to another folder, a shape
without end. So all this is looked at before the first array is read, and nothing else is believed.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterator
from math import ceil, prod
from pathlib import Path
from typing import Any

import zarr

from df_policy.data.schema import Column
from df_policy.errors import DfPolicyError

LARGEST_CHUNK_BYTES = 4 * 2**20
"""Raw numbers in one chunk."""
LARGEST_SHARD_FRAMES = 4096

_LARGEST_METADATA_BYTES = 16 * 2**20
_DEEPEST = 8
"""Folders within a store: data/image_front/c/0/0/0/0."""

_NUMBER_CODECS = {"bytes", "zstd", "crc32c"}
_SHARD_KEYS = {
    "codecs": ["df_policy.webp"],
    "index_codecs": ["bytes", "crc32c"],
}


def files(path: Path) -> Iterator[tuple[Path, int]]:
    """Every file below `path` with its size in bytes.

    Raises:
        DfPolicyError: at a link, a device or pipe, a folder that is too deep, or huge metadata.
    """
    folders = [(path, 0)]
    while folders:
        folder, depth = folders.pop()
        with os.scandir(folder) as entries:
            for entry in entries:
                place = Path(entry.path)
                try:
                    found = entry.stat(follow_symlinks=False)
                except FileNotFoundError:
                    continue  # a writer has put it into its place since
                if stat.S_ISDIR(found.st_mode) and depth < _DEEPEST:
                    folders.append((place, depth + 1))
                    continue
                _check_file(place, found, path)
                yield place, found.st_size


def _check_file(place: Path, found: os.stat_result, path: Path) -> None:
    inside = place.relative_to(path)
    if not stat.S_ISREG(found.st_mode):
        kind = "a link" if stat.S_ISLNK(found.st_mode) else "no file of data"
        raise DfPolicyError(
            f"expected plain files in {path}, got {kind} at {inside}; a recording has none, take "
            "it out or use a copy"
        )
    if place.name == "zarr.json" and found.st_size > _LARGEST_METADATA_BYTES:
        raise DfPolicyError(
            f"expected metadata of at most {_LARGEST_METADATA_BYTES >> 20} MiB in {path}, got "
            f"{found.st_size >> 20} in {inside}; the store is damaged, use a copy"
        )


def check_files(path: Path) -> None:
    """Nothing, if all that lies below `path` are plain files and folders.

    Raises:
        DfPolicyError: if not, or if a folder cannot be looked into.
    """
    try:
        for _ in files(path):
            pass
    except OSError as error:
        raise DfPolicyError(
            f"expected to look through {path}, got {error}; check who may read it"
        ) from error


def check_array(stored: zarr.Array[Any], column: Column, where: Path) -> None:
    """Nothing, if the metadata are such as a recording's column has.

    Args:
        stored: the array; only its metadata are read.
        column: what it should be.
        where: the store, for the message.

    Raises:
        DfPolicyError: naming the first difference.
    """
    if stored.shape[1:] != column.row_shape or stored.dtype != column.dtype:
        wanted = f"(rows, {', '.join(map(str, column.row_shape))}) {column.dtype}"
        raise _damaged(column, where, wanted, f"{stored.shape} {stored.dtype}")
    metadata = stored.metadata.to_dict()
    if metadata.get("chunk_key_encoding") != {
        "name": "default",
        "configuration": {"separator": "/"},
    }:
        raise _damaged(column, where, "default names of chunks", metadata["chunk_key_encoding"])
    if stored.fill_value != column.fill:
        raise _damaged(column, where, f"the fill value {column.fill}", stored.fill_value)
    if column.is_image:
        _check_shards(stored, metadata, column, where)
        return
    _check_chunks(stored, metadata, column, where)


def _check_chunks(
    stored: zarr.Array[Any], metadata: dict[str, Any], column: Column, where: Path
) -> None:
    codecs = _names(metadata["codecs"])
    if stored.shards is not None or codecs[:1] != ["bytes"] or not {*codecs} <= _NUMBER_CODECS:
        raise _damaged(column, where, f"codecs of {sorted(_NUMBER_CODECS)}", codecs)
    size = prod(stored.chunks) * stored.dtype.itemsize
    if stored.chunks[1:] != column.row_shape or size > LARGEST_CHUNK_BYTES:
        wanted = f"whole rows in chunks of at most {LARGEST_CHUNK_BYTES >> 20} MiB"
        raise _damaged(column, where, wanted, stored.chunks)


def _check_shards(
    stored: zarr.Array[Any], metadata: dict[str, Any], column: Column, where: Path
) -> None:
    codecs = _names(metadata["codecs"])
    if codecs != ["sharding_indexed"]:
        raise _damaged(column, where, "the codec sharding_indexed", codecs)
    inner: dict[str, Any] = metadata["codecs"][0]["configuration"]
    found = {name: _names(inner[name]) for name in _SHARD_KEYS}
    if found != _SHARD_KEYS or str(inner["index_location"]) not in (
        "end",
        "ShardingCodecIndexLocation.end",
    ):
        raise _damaged(column, where, f"{_SHARD_KEYS} and the index at the end", inner)
    shards = stored.shards or (0,)
    if stored.chunks != (1, *column.row_shape) or shards[1:] != column.row_shape:
        raise _damaged(column, where, "whole images, one in a chunk", f"{stored.chunks} {shards}")
    if not 1 <= shards[0] <= LARGEST_SHARD_FRAMES:
        raise _damaged(column, where, f"1 to {LARGEST_SHARD_FRAMES} images in a file", shards[0])


def check_length(stored: zarr.Array[Any], column: Column, length: int, where: Path) -> None:
    """Nothing, if the array has `length` rows or more.

    Raises:
        DfPolicyError: if not.
    """
    if stored.shape[0] < length:
        raise _damaged(column, where, f"{length} rows or more", stored.shape[0])


def check_stored(stored: zarr.Array[Any], column: Column, length: int, where: Path) -> None:
    """Nothing, if a file is there for each chunk of the first `length` rows.

    This is for arrays that never hold a chunk of nothing but zeros; their files say how long the
    others may be.

    Raises:
        DfPolicyError: if one is missing.
    """
    wanted = ceil(length / (stored.shards or stored.chunks)[0])
    folder = where / column.path / "c"
    found = sum(1 for _ in folder.iterdir()) if folder.is_dir() else 0
    if found < wanted:
        raise _damaged(column, where, f"{wanted} files for {length} rows", found)


def missing_files(
    stored: zarr.Array[Any], column: Column, start: int, stop: int, where: Path
) -> list[Path]:
    """Files that rows `start` to `stop` should be in and that are not there.

    Of what was never anything but zeros there is no file either, which is rare.
    """
    rows = (stored.shards or stored.chunks)[0]
    numbers = range(start // rows, ceil(stop / rows))
    wanted = (chunk_file(column, number, where) for number in numbers)
    return [file for file in wanted if not file.is_file()]


def chunk_file(column: Column, number: int, where: Path) -> Path:
    """The file of the chunk, or of the shard, `number`."""
    zeros = ("0",) * len(column.row_shape)
    return where.joinpath(*column.path.split("/"), "c", str(number), *zeros)


def _names(codecs: Any) -> list[str]:
    return [str(codec["name"]) for codec in codecs]


def _damaged(column: Column, where: Path, expected: object, got: object) -> DfPolicyError:
    return DfPolicyError(
        f"expected {column.path} of {where} as {expected}, got {str(got)[:200]}; "
        "the store is damaged, use a copy"
    )
