"""The zarr store: made as a whole or not at all, opened with care, arrays read and written."""

from __future__ import annotations

import json
import shutil
import uuid
from collections.abc import Iterable
from pathlib import Path
from typing import Any, Literal

import numpy as np
import zarr
from numpy.typing import NDArray
from zarr.core.sync import sync
from zarr.storage import LocalStore

from df_policy.data import layout
from df_policy.data.durable import PARTIAL, DurableStore
from df_policy.data.header import Header
from df_policy.data.image_codec import WebpCodec
from df_policy.data.schema import DATA, ENDS, META, Column, columns, labels
from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec

ZarrArray = zarr.Array[Any]

_NEXT_SEED = "next_seed"
_ROWS_A_CHUNK = 4096
_BLOCK_BYTES = 16 * 2**20
_LABELS_A_CHUNK_BYTES = 2**18
"""Raw; the newest chunk is written anew at each keep."""
_LARGEST_SHARD_BYTES = 16 * 2**20
"""Raw images in one file: the file with the newest images is written anew at each keep."""
_LARGEST_SHARD_FRAMES = 256


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
    layout.check_files(path)
    try:
        store = DurableStore(path, read_only=not write)
        mode: Literal["r", "r+"] = "r+" if write else "r"
        return zarr.open_group(store, mode=mode, zarr_format=3, use_consolidated=False)
    except Exception as error:  # a stranger's bytes make zarr raise anything
        raise DfPolicyError(
            f"expected a recording at {path}, got a store that cannot be read ({error!r:.300}); "
            "name another path (nothing there was changed)"
        ) from error


def arrays(
    group: zarr.Group, header: Header, path: Path, lost: dict[str, str] | None = None
) -> dict[str, ZarrArray]:
    """Every array that a recording of this header has, by its place in the store.

    Args:
        group: the store.
        header: of the store.
        path: of the store, for the messages.
        lost: takes those that cannot be read, with what is wrong, where one can do without.

    Raises:
        DfPolicyError: if one is missing, or its metadata are not a recording's.
    """
    found: dict[str, ZarrArray] = {}
    # The ends first: a recorder that goes on meanwhile makes the others longer before these.
    for column in (ENDS, *columns(header.spec), *labels(header.spec)):
        if column.since > header.version:
            continue
        try:
            found[column.path] = array(group, column, path)
        except DfPolicyError as error:
            if lost is None or not dispensable(column):
                raise
            lost[column.path] = str(error)
    return found


def dispensable(column: Column) -> bool:
    """Whether episodes are of use without this array."""
    return column.since > 1 or (column.group == META and column != ENDS)


def array(group: zarr.Group, column: Column, where: Path) -> ZarrArray:
    """One array of a store, after a look at its metadata.

    Raises:
        DfPolicyError: if it is missing, or its metadata are not a recording's.
    """
    place = group.store_path / column.path
    try:
        metadata: dict[str, Any] = json.loads((where / column.path / "zarr.json").read_bytes())
        found: ZarrArray = zarr.Array(zarr.AsyncArray.from_dict(place, metadata))
        layout.check_array(found, column, where)
    except DfPolicyError:
        raise
    except Exception as error:  # a stranger's bytes make zarr raise anything
        raise DfPolicyError(
            f"expected the array {column.path} in {where}, got {error!r:.300}; the store is only "
            "half there, use a copy or record anew"
        ) from error
    return found


def block_rows(column: Column) -> int:
    """Rows that are well read together."""
    row_bytes = int(np.prod(column.row_shape)) * np.dtype(column.dtype).itemsize
    return max(1, min(_ROWS_A_CHUNK, _BLOCK_BYTES // row_bytes))


def read(
    stored: ZarrArray, column: Column, where: Path, start: int = 0, stop: int | None = None
) -> NDArray[Any]:
    """Rows `start` to `stop`, decoded.

    Raises:
        DfPolicyError: if they cannot be.
    """
    try:
        return np.asarray(stored[start:stop])
    except Exception as error:  # a stranger's bytes make codecs raise anything
        raise DfPolicyError(
            f"expected to decode rows {start} to {stop} of {column.path} in {where}, got "
            f"{error!r:.300}; the store is damaged, use a copy"
        ) from error


def create(path: Path, header: Header) -> None:
    """Make an empty recording: all of it, or nothing.

    Raises:
        DfPolicyError: if something else stands at `path`, or nothing can be made there.
    """
    partial = path.with_name(f".{path.name}.{uuid.uuid4().hex}{PARTIAL}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        root = zarr.create_group(LocalStore(partial), zarr_format=3)
        for column in (*columns(header.spec), *labels(header.spec), ENDS):
            _create_column(root, column)
        root.attrs.put(header.attributes())
        partial.rename(path)
    except OSError as error:
        raise DfPolicyError(
            f"expected to make a recording at {path}, got {error}; name another path"
        ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _create_column(root: zarr.Group, column: Column, length: int = 0) -> None:
    shape = (length, *column.row_shape)
    common: dict[str, Any] = {
        "shape": shape,
        "dtype": column.dtype,
        "fill_value": column.fill,
        "attributes": {"names": list(column.names)} if column.names else None,
        "overwrite": True,
    }
    row_bytes = int(np.prod(column.row_shape)) * np.dtype(column.dtype).itemsize
    if not column.is_image:
        fitting = _LABELS_A_CHUNK_BYTES // row_bytes if column.group == META else _ROWS_A_CHUNK
        chunks = (max(1, min(_ROWS_A_CHUNK, fitting)), *column.row_shape)
        root.create_array(column.path, chunks=chunks, **common)
        return
    root.create_array(
        column.path,
        chunks=(1, *column.row_shape),
        shards=(shard_frames(column), *column.row_shape),
        serializer=WebpCodec(),
        compressors=None,
        **common,
    )


def shard_frames(column: Column) -> int:
    """Images of this size in one file."""
    fitting = _LARGEST_SHARD_BYTES // int(np.prod(column.row_shape))
    return max(1, min(_LARGEST_SHARD_FRAMES, fitting))


def add_columns(path: Path, spec: RobotSpec, version: int, frames: int, episodes: int) -> None:
    """Give a recording the arrays that came after its schema version, with nothing in them.

    The version in the attributes, written later, makes them count.
    """
    root = open_group(path, write=True)
    lengths = {DATA: frames, META: episodes}
    for column in (*columns(spec), *labels(spec)):
        if column.since > version:
            _create_column(root, column, lengths[column.group])


def put(rows: Iterable[tuple[ZarrArray, int, NDArray[Any]]]) -> None:
    """Write rows into arrays from a number on, and let nothing stand after them."""

    async def write() -> None:
        for target, start, values in rows:
            inner = target.async_array
            await inner.resize((start + len(values), *inner.shape[1:]))
            await inner.setitem(slice(start, None), values)

    # In one go: handing each call to zarr's own thread takes longer than the writing.
    sync(write())


def shorten(target: ZarrArray, length: int) -> None:
    """Cut what lies past `length` rows."""
    if target.shape[0] > length:
        target.resize((length, *target.shape[1:]))


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


def next_seed(path: Path) -> int:
    """One more than the highest seed that was dropped.

    Raises:
        DfPolicyError: if it is no number.
    """
    try:
        found = json.loads((path / META / "zarr.json").read_bytes())["attributes"].get(
            _NEXT_SEED, 0
        )
    except (AttributeError, KeyError, OSError, RecursionError, TypeError, ValueError) as error:
        raise DfPolicyError(
            f"expected the group meta in {path}, got {error!r:.200}; the store is damaged"
        ) from error
    if type(found) is not int or not 0 <= found < 2**63:
        raise DfPolicyError(
            f"expected a seed as {_NEXT_SEED} of meta in {path}, got {str(found)[:80]}; "
            "the store is damaged, use a copy"
        )
    return found


def put_next_seed(group: zarr.Group, seed: int) -> None:
    """Remember the seed from which to go on."""
    group.require_group(META).attrs.update({_NEXT_SEED: seed})
