"""Replay buffers of diffusion_policy and UMI: zarr of format 2, as a folder or a zip file.

Source: real-stanford/diffusion_policy, diffusion_policy/common/replay_buffer.py.
"""

from __future__ import annotations

import zipfile
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import zarr
from numcodecs import Blosc
from numpy.typing import NDArray
from zarr.storage import LocalStore, ZipStore

from df_policy.data.formats import note
from df_policy.data.formats.conventions import IDENTITY, Conventions, Field
from df_policy.data.formats.source import (
    LARGEST_PIECE_BYTES,
    MOST_KEYS,
    Contents,
    Kind,
    Raw,
    Recording,
    Tick,
    Wanted,
    check_ends,
    check_size,
    damaged,
)
from df_policy.data.header import Header
from df_policy.data.label import Label
from df_policy.data.schema import NOTE_BYTES, Column, columns, image_column
from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec

LOST: tuple[str, ...] = ()

_CHUNK_BYTES = 2_000_000
_IMAGE_CODECS = ("imagecodecs_jpegxl", "imagecodecs_jpeg2k", "imagecodecs_jpeg", "imagecodecs_png")
_CODECS = ("blosc", "zstd", "lz4", "zlib", "gzip", "bz2", "lzma", "delta", "shuffle")
"""Those that only compute; `pickle`, which runs what a file says, is none of them."""


def recognises(path: Path) -> bool:
    """Whether that is a zarr of format 2, or a zip file of one."""
    if path.is_file():
        return zipfile.is_zipfile(path)
    return (path / ".zgroup").is_file()


@dataclass(frozen=True)
class ReplayBuffer:
    """An open one."""

    contents: Contents
    ends: NDArray[np.int64]
    arrays: dict[str, zarr.Array[Any]]
    meta: dict[str, NDArray[Any]]
    where: Path

    def read(self, index: int, wanted: Wanted) -> Raw:
        """One episode."""
        keys = wanted.keys
        start = int(self.ends[index - 1]) if index else 0
        stop = int(self.ends[index])
        kinds = {key: self.contents.keys[key] for key in keys}
        check_size(kinds, stop - start, f"episode {index} of {self.where}")
        with damaged(f"episode {index} of {self.where}"):
            rows = {key: np.asarray(self.arrays[key][start:stop]) for key in keys}
        success, seed = self.meta.get("success"), self.meta.get("seed")
        return Raw(
            rows,
            None if success is None else bool(success[index]),
            None if seed is None else int(seed[index]),
            remark(self.meta["note"][index]) if "note" in self.meta else "",
        )


def remark(row: NDArray[Any]) -> str:
    """A person's note on an episode, from bytes that zeros fill up."""
    return row.astype(np.uint8).tobytes().rstrip(b"\0").decode("utf-8", "replace")


@contextmanager
def open_source(path: Path) -> Iterator[ReplayBuffer]:
    """Look at a replay buffer.

    Raises:
        DfPolicyError: if it is damaged, or a codec is not among the known ones.
    """
    from imagecodecs.numcodecs import register_codecs

    register_codecs(_IMAGE_CODECS, force=True, verbose=False)
    store: Any = None
    try:
        with damaged(path):
            if path.is_file():
                _check_zip(path)
                store = ZipStore(path, mode="r")
            else:
                store = LocalStore(path, read_only=True)
            group = zarr.open_group(store, mode="r", zarr_format=2, use_consolidated=False)
            opened = _look(group, path)
        yield opened
    finally:
        if store is not None:
            store.close()


def _check_zip(path: Path) -> None:
    with zipfile.ZipFile(path) as archive:
        large = [entry for entry in archive.infolist() if entry.file_size > LARGEST_PIECE_BYTES]
    if large:
        raise DfPolicyError(
            f"expected small files in {path}, got {large[0].file_size} bytes in one"
        )


def _look(group: zarr.Group, path: Path) -> ReplayBuffer:
    ends = check_ends(np.asarray(_array(group, "meta/episode_ends", path)[:]), str(path))
    data, meta = group["data"], group["meta"]
    if not isinstance(data, zarr.Group) or not isinstance(meta, zarr.Group):
        raise DfPolicyError(f"expected the groups data and meta in {path}, got arrays")
    names = [name for name, _ in zip(sorted(data.array_keys()), range(MOST_KEYS), strict=False)]
    arrays = {name: _array(group, f"data/{name}", path) for name in names}
    for name, array in arrays.items():
        if not array.shape or array.shape[0] != ends[-1]:
            raise DfPolicyError(
                f"expected {ends[-1]} rows of data/{name} in {path}, got {array.shape}; "
                "the last episode is half there, use a copy"
            )
    verdicts = {}
    for name in ("success", "seed"):
        if name in meta:
            rows = np.asarray(_array(group, f"meta/{name}", path)[: len(ends)])
            if rows.shape != ends.shape or rows.dtype.kind not in "biu":
                raise DfPolicyError(f"expected a {name} for each episode of {path}, got others")
            verdicts[name] = rows
    if "note" in meta:
        notes = _array(group, "meta/note", path)
        if notes.shape != (len(ends), NOTE_BYTES) or notes.dtype != np.uint8:
            raise DfPolicyError(f"expected a note for each episode of {path}, got {notes.shape}")
        verdicts["note"] = np.asarray(notes[:])
    keys = {name: Kind(a.shape[1:], a.dtype.name) for name, a in arrays.items()}
    header, told = None, Conventions()
    if note.KEY in group.attrs:
        header, told = note.read_note(group.attrs[note.KEY], str(path))
    rate = None if header is None else header.spec.action_rate_hz
    task = None if header is None else header.task
    contents = Contents(len(ends), keys, told, header, rate, task)
    return ReplayBuffer(contents, ends, arrays, verdicts, path)


def _array(group: zarr.Group, name: str, path: Path) -> zarr.Array[Any]:
    found = group[name]
    if not isinstance(found, zarr.Array):
        raise DfPolicyError(f"expected the array {name} in {path}, got a group; use a copy")
    described: Any = found.metadata
    codecs = [described.compressor, *(described.filters or ())]
    strange = [c.codec_id for c in codecs if c is not None and c.codec_id not in _known()]
    if strange or found.dtype.kind not in "biuf":
        raise DfPolicyError(
            f"expected numbers in {name} of {path}, compressed by {', '.join(_known())}, got "
            f"{found.dtype} by {', '.join(strange) or 'one of them'}; it is not read"
        )
    if int(np.prod(found.chunks, dtype=np.float64)) * found.dtype.itemsize > LARGEST_PIECE_BYTES:
        raise DfPolicyError(f"expected smaller chunks in {name} of {path}, got {found.chunks}")
    return found


def _known() -> tuple[str, ...]:
    return (*_CODECS, *_IMAGE_CODECS)


def write(recording: Recording, target: Path, tick: Tick) -> None:
    """A buffer whose keys are our names of columns; a zip file where `target` ends in .zip."""
    spec = recording.header.spec
    names = {column.name: column.name for column in columns(spec)}
    told = plain_conventions(recording.header, names)
    write_buffer(recording, target, tick, columns(spec), told, lambda arrays: dict(arrays))


def plain_conventions(header: Header, names: dict[str, str]) -> Conventions:
    """Those of our own columns, found under other names."""
    kinds = {
        "q": ("q", "rad"),
        "dq": ("dq", "rad"),
        "tool_position": ("tool_position", "m"),
        "tool_rotation": ("tool_quat_xyzw", "quat_xyzw"),
        "gripper": ("gripper", "m"),
        "action": ("action", "row"),
        "action_requested": ("action_requested", "row"),
        "stamp": ("stamp_ns", "ns"),
        "received": ("received_ns", "ns"),
    }
    kinds |= {f"image_{c}_stamp": (f"image_{c}_stamp_ns", "ns") for c in header.spec.cameras}
    kinds |= {f"column:{name}": (name, "row") for name in own_columns(header.spec)}
    return Conventions(
        {field: Field(names[column], kind) for field, (column, kind) in kinds.items()},
        {camera: names[image_column(camera)] for camera in header.spec.cameras},
        base=IDENTITY,
        colour="rgb",
    )


def own_columns(spec: RobotSpec) -> tuple[str, ...]:
    """Columns that no other format knows of, which are carried as they stand."""
    return tuple(column.name for column in columns(spec) if column.since > 1)


def write_buffer(
    recording: Recording,
    target: Path,
    tick: Tick,
    layout: Collection[Column],
    told: Conventions,
    rows_of: Any,
) -> None:
    """Make a replay buffer.

    Args:
        recording: what to write.
        target: a folder, or a zip file where it ends in .zip.
        tick: called after each episode.
        layout: the arrays below `data`.
        told: for the note.
        rows_of: makes an episode's rows of these arrays from ours.
    """
    zipped = target.suffix == ".zip"
    folder = target.with_name(f"{target.name}.folder") if zipped else target
    group = zarr.create_group(LocalStore(folder), zarr_format=2)
    for column in layout:
        row_bytes = max(1, int(np.prod(column.row_shape)) * np.dtype(column.dtype).itemsize)
        group.create_array(
            column.path,
            shape=(recording.frames, *column.row_shape),
            chunks=(
                max(1, min(recording.frames, _CHUNK_BYTES // max(1, row_bytes))),
                *column.row_shape,
            ),
            dtype=column.dtype,
            compressors=Blosc(cname="lz4", clevel=5, shuffle=Blosc.NOSHUFFLE),
        )
    ends, about = [], []
    end = 0
    for index in range(len(recording)):
        episode = recording.episode(index)
        start, end = end, end + len(episode.arrays["stamp_ns"])
        for name, rows in rows_of(episode.arrays).items():
            group[f"data/{name}"][start:end] = rows  # type: ignore[index]
        ends.append(end)
        about.append(Label(episode.seed, episode.success, episode.note).rows())
        tick()
    whole = {name: np.stack([rows[name] for rows in about]) for name in about[0]}
    whole["episode_ends"] = np.array(ends)
    for name, values in whole.items():
        made = group.create_array(
            f"meta/{name}", shape=values.shape, dtype=values.dtype, compressors=None
        )
        made[:] = values
    group.attrs[note.KEY] = note.write_note(recording.header, told)
    if zipped:
        _pack(folder, target)


def _pack(folder: Path, target: Path) -> None:
    """One file, stored and not deflated, as zarr reads it."""
    with zipfile.ZipFile(target, "w", zipfile.ZIP_STORED) as archive:
        for file in sorted(folder.rglob("*")):
            if file.is_file():
                archive.write(file, file.relative_to(folder).as_posix())
                file.unlink()
