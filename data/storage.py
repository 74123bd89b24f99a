"""The zarr store's files: durable writes, one writer at a time, made as a whole or not at all."""

from __future__ import annotations

import fcntl
import os
import shutil
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from zarr.core.buffer import Buffer
from zarr.errors import ContainsArrayError, GroupNotFoundError, MetadataValidationError
from zarr.storage import LocalStore

from df_policy.data.image_codec import WebpCodec
from df_policy.data.schema import (
    EPISODE_ENDS,
    SEED,
    SUCCESS,
    Column,
    Header,
    columns,
)
from df_policy.errors import DfPolicyError

ZarrArray = zarr.Array[Any]

_PARTIAL = ".partial"
_ROWS_A_CHUNK = 4096
_LARGEST_SHARD_BYTES = 16 * 2**20
"""Raw images in one file: the file with the newest images is written anew at each keep."""
_LARGEST_SHARD_FRAMES = 256


class DurableStore(LocalStore):
    """A local store whose every file is on the disk before it takes the old one's place.

    A kill, or the loss of power, at any moment leaves each file as it was before or after.
    """

    async def set(self, key: str, value: Buffer) -> None:
        """Replace one file."""
        _replace(self.root / key, value.to_bytes())


def _replace(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    partial = path.with_name(f"{path.name}.{uuid.uuid4().hex}{_PARTIAL}")
    try:
        with partial.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError:
        partial.unlink(missing_ok=True)
        raise


def open_group(path: Path, *, write: bool) -> zarr.Group:
    """The store at `path`.

    Raises:
        DfPolicyError: if there is none, or it is something else.
    """
    if not path.exists():
        raise DfPolicyError(f"expected a recording at {path}, got nothing there; check the path")
    if not path.is_dir() or not (path / "zarr.json").is_file():
        raise DfPolicyError(
            f"expected a recording at {path}, got something that is no zarr 3 store; "
            "name another path (nothing there was changed)"
        )
    try:
        store = DurableStore(path, read_only=not write)
        return zarr.open_group(store, mode="r+" if write else "r", zarr_format=3)
    except (
        ContainsArrayError,
        GroupNotFoundError,
        MetadataValidationError,
        OSError,
        KeyError,
        TypeError,
        ValueError,
    ) as error:
        raise DfPolicyError(
            f"expected a recording at {path}, got a store that cannot be read ({error}); "
            "name another path (nothing there was changed)"
        ) from error


def array(group: zarr.Group, name: str, where: Path) -> ZarrArray:
    """One array of a store.

    Raises:
        DfPolicyError: if it is missing or its metadata cannot be read.
    """
    try:
        found = group[name]
    except (KeyError, TypeError, ValueError, MetadataValidationError) as error:
        raise DfPolicyError(
            f"expected the array {name} in {where}, got {error!r}; the store is only half "
            "there, use a copy or record anew"
        ) from error
    if not isinstance(found, zarr.Array):
        raise DfPolicyError(f"expected the array {name} in {where}, got a group; use a copy")
    return found


def create(path: Path, header: Header) -> None:
    """Make an empty recording: all of it, or nothing.

    Raises:
        DfPolicyError: if something else stands at `path`, or nothing can be made there.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}{_PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        root = zarr.create_group(LocalStore(partial), zarr_format=3)
        for column in columns(header.spec):
            _create_column(root, column)
        for name, dtype in ((EPISODE_ENDS, "int64"), (SEED, "int64"), (SUCCESS, "bool")):
            root.create_array(name, shape=(0,), dtype=dtype, chunks=(_ROWS_A_CHUNK,))
        root.attrs.put(header.attributes())
        partial.rename(path)
    except OSError as error:
        raise DfPolicyError(
            f"expected to make a recording at {path}, got {error}; name another path"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _create_column(root: zarr.Group, column: Column) -> None:
    shape = (0, *column.row_shape)
    if not column.is_image:
        chunks = (_ROWS_A_CHUNK, *column.row_shape)
        root.create_array(column.path, shape=shape, dtype=column.dtype, chunks=chunks)
        return
    fitting = _LARGEST_SHARD_BYTES // int(np.prod(column.row_shape))
    root.create_array(
        column.path,
        shape=shape,
        dtype=column.dtype,
        chunks=(1, *column.row_shape),
        shards=(max(1, min(_LARGEST_SHARD_FRAMES, fitting)), *column.row_shape),
        serializer=WebpCodec(),
        compressors=None,
    )


def append_last(target: ZarrArray, value: int) -> None:
    """Add one number to an array so that readers see all of it or nothing.

    The number is written first, beyond the array's end; the new length, one file that is replaced
    as a whole, makes it visible.
    """
    length = target.shape[0] + 1
    longer: Any = target.metadata.update_shape((length,))
    ahead: ZarrArray = zarr.Array(zarr.AsyncArray(longer, target.store_path))
    ahead[length - 1] = value
    target.resize((length,))


def remove_partials(path: Path) -> None:
    """Delete what a killed writer had not finished."""
    for left in path.rglob(f"*{_PARTIAL}"):
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
        yield
    finally:
        os.close(handle)
