"""Episodes of ALOHA and ACT: a folder with an HDF5 file for each episode.

Their actions are joint targets; ours are targets of the tool, ten numbers a row, which a network
that reads `action` without asking what it means learns just as well.

Source: tonyzhaozh/aloha, aloha_scripts/record_episodes.py.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np

from df_policy.data.formats import hdf5, note
from df_policy.data.formats.conventions import Conventions, Field
from df_policy.data.formats.replay_buffer import plain_conventions
from df_policy.data.formats.source import (
    LARGEST_PIECE_BYTES,
    MOST_EPISODES,
    Contents,
    Kind,
    Raw,
    Recording,
    Tick,
    Wanted,
    check_size,
    damaged,
)
from df_policy.data.schema import NO_SEED, columns, image_column
from df_policy.errors import DfPolicyError

LOST = ("actions are targets of the tool and no joint targets: replay scripts do not fit",)

_IMAGES = "observations/images/"
_QPOS = "observations/qpos"
_EPISODE = re.compile(r"episode_(\d{1,9})\.(hdf5|h5)")


def _files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    found = [(int(m[1]), p) for p in path.iterdir() if (m := _EPISODE.fullmatch(p.name))]
    return [place for _, place in sorted(found)]


def recognises(path: Path) -> bool:
    """Whether it is such a folder, or one of its files."""
    files = _files(path)
    if not files or not hdf5.is_hdf5(files[0]):
        return False
    with hdf5.opened(files[0]) as file:
        return isinstance(file.get("observations", getlink=True), h5py.HardLink)


@dataclass(frozen=True)
class Episodes:
    """The files of a folder."""

    contents: Contents
    files: list[Path]
    compressed: bool

    def read(self, index: int, wanted: Wanted) -> Raw:
        """One episode."""
        keys = wanted.keys
        path = self.files[index]
        with hdf5.opened(path) as file, damaged(path):
            found = hdf5.arrays(file)
            here = _kinds(file, found)
            for key in keys:
                if here.get(key) != self.contents.keys[key]:
                    raise DfPolicyError(
                        f"expected {self.contents.keys[key]} as {key} in {path}, got "
                        f"{here.get(key, 'nothing')}; leave this episode out"
                    )
            frames = max(found[key].shape[0] for key in keys)
            check_size({key: here[key] for key in keys}, frames, str(path))
            rows = {key: self._rows(found[key], key, path) for key in keys}
            success, seed = file.attrs.get("success"), file.attrs.get("seed")
            return Raw(
                rows,
                None if success is None else bool(success),
                None if seed is None else int(seed),
                hdf5.text(file.attrs, "note") or "",
            )

    def _rows(self, array: Any, key: str, path: Path) -> Any:
        if not (self.compressed and key.startswith(_IMAGES)):
            return np.asarray(array[()])
        height, width, _ = self.contents.keys[key].shape
        return hdf5.decode(np.asarray(array[()]), (height, width), f"{key} of {path}")


def _kinds(file: Any, found: dict[str, Any]) -> dict[str, Kind]:
    """Of what a reader gets: compressed images count as decoded."""
    known = hdf5.kinds(found)
    if not bool(file.attrs.get("compress", False)):
        return known
    for key, array in found.items():
        if not key.startswith(_IMAGES):
            continue
        if array.ndim != 2 or array.dtype != np.uint8 or not len(array):
            raise DfPolicyError(f"expected rows of compressed images in {key}, got {array.shape}")
        if array.shape[0] * array.shape[1] > LARGEST_PIECE_BYTES:
            raise DfPolicyError(f"expected smaller compressed images in {key}, got {array.shape}")
        first = np.asarray(array[0]).tobytes()
        known[key] = Kind((*hdf5.image_size(first, f"image 0 of {key}"), 3), "uint8")
    return known


@contextmanager
def open_source(path: Path) -> Iterator[Episodes]:
    """Look at a folder of episodes.

    Raises:
        DfPolicyError: if it is damaged or empty.
    """
    files = _files(path)
    if not 1 <= len(files) <= MOST_EPISODES:
        raise DfPolicyError(f"expected files episode_<number>.hdf5 in {path}, got {len(files)}")
    with hdf5.opened(files[0]) as file, damaged(files[0]):
        keys = _kinds(file, hdf5.arrays(file))
        compressed = bool(file.attrs.get("compress", False))
        header, told = None, Conventions()
        if (said := hdf5.text(file.attrs, note.KEY)) is not None:
            header, told = note.read_note(said, str(files[0]))
    rate = None if header is None else header.spec.action_rate_hz
    task = None if header is None else header.task
    yield Episodes(Contents(len(files), keys, told, header, rate, task), files, compressed)


def write(recording: Recording, target: Path, tick: Tick) -> None:
    """A folder that ACT's training reads, with its widths set to ours."""
    spec = recording.header.spec
    joints = len(spec.joint_names)
    names = {column.name: f"observations/{column.name}" for column in columns(spec)}
    names |= {"action": "action", "action_requested": "action_requested"}
    names |= {"dq": "observations/qvel"}
    names |= {image_column(camera): f"{_IMAGES}{camera}" for camera in spec.cameras}
    told = plain_conventions(recording.header, names)
    parts = {
        "q": Field(_QPOS, "rad", 0, joints),
        "gripper": Field(_QPOS, "m", joints, joints + 1),
    }
    said = note.write_note(recording.header, replace(told, fields={**told.fields, **parts}))
    target.mkdir()
    for index in range(len(recording)):
        episode = recording.episode(index)
        with h5py.File(target / f"episode_{index}.hdf5", "w") as file:
            rows = dict(episode.arrays)
            qpos = np.concatenate([rows.pop("q"), rows.pop("gripper")], axis=1)
            hdf5.put(file, _QPOS, qpos)
            for name, values in rows.items():
                hdf5.put(file, names[name], values)
            file.attrs["sim"] = False
            file.attrs["success"] = episode.success
            file.attrs["note"] = episode.note
            if episode.seed != NO_SEED:
                file.attrs["seed"] = episode.seed
            file.attrs[note.KEY] = said
        tick()
