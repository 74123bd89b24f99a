"""What training reads: a recording decoded once into a memory-mapped copy."""

from __future__ import annotations

import hashlib
import json
import os
import shutil
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from jaxtyping import Float32, Int64
from numpy.typing import NDArray

from df_policy.data import episode
from df_policy.data.reader import EpisodeStore
from df_policy.data.schema import columns, image_column
from df_policy.demonstrations import Demonstrations
from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec

Progress = Callable[[int, int], None]
"""Told how many frames of how many are decoded."""

_CACHE_VARIABLE = "DF_POLICY_CACHE"
_FINGERPRINT_COLUMNS = ("stamp_ns", "received_ns", "action")


@dataclass(frozen=True)
class Episodes:
    """A whole recording, decoded; the images stay on the disk until they are looked at."""

    images: Mapping[str, NDArray[np.uint8]]
    """Camera name -> (N, H, W, 3) RGB, memory-mapped, read-only."""
    tool_position: Float32[np.ndarray, "frames 3"]
    """Metres, in the robot's base frame."""
    tool_quat_xyzw: Float32[np.ndarray, "frames 4"]
    gripper: Float32[np.ndarray, "frames 1"]
    """Opening [m]."""
    action: Float32[np.ndarray, "frames 10"]
    """The one that was sent."""
    stamp_ns: Int64[np.ndarray, "frames"]
    ends: Int64[np.ndarray, "episodes"]
    seeds: Int64[np.ndarray, "episodes"]
    """-1 where the start was not drawn from a seed."""
    spec: RobotSpec
    task: str

    def __len__(self) -> int:
        """Episodes."""
        return len(self.ends)

    @property
    def lengths(self) -> Int64[np.ndarray, "episodes"]:
        """Frames of each episode."""
        return np.diff(self.ends, prepend=0)

    def demonstrations(self) -> Demonstrations:
        """The same arrays as the core's training takes them."""
        return Demonstrations(
            spec=self.spec,
            images=self.images,
            tool_position=self.tool_position,
            tool_quat_xyzw=self.tool_quat_xyzw,
            gripper=self.gripper,
            action=self.action,
            starts=self.ends - self.lengths,
            ends=self.ends,
        )


def load_cache(
    store_path: str | Path,
    cache_root: str | Path | None = None,
    progress: Progress | None = None,
) -> Episodes:
    """The recording at `store_path`, decoded at the first call and whenever it has changed.

    Args:
        store_path: the recording.
        cache_root: where decoded images go; else `$DF_POLICY_CACHE`, else `~/.cache/df_policy`.
        progress: called while images are decoded.

    Raises:
        DfPolicyError: if the recording is missing, empty, damaged, or the disk is full.
    """
    store = EpisodeStore.open(store_path)
    if len(store) == 0:
        raise DfPolicyError(
            f"expected episodes in {store.path}, got none; record some with teleop/record.py"
        )
    images = {image_column(camera) for camera in store.spec.cameras}
    names = [column.name for column in columns(store.spec) if column.name not in images]
    arrays = {name: store.rows(name, 0, store.frames) for name in names}
    for index, (end, length) in enumerate(zip(store.ends, store.lengths, strict=True)):
        rows = {name: array[end - length : end] for name, array in arrays.items()}
        episode.check(rows, store.spec, f"episode {index} of {store.path}")
        store.prove(index, rows)
        store.prove_label(index)
    place = _place(store, arrays, cache_root)
    if not place.is_dir():
        _build(store, place, progress)
    return Episodes(
        images={
            camera: np.load(place / f"{image_column(camera)}.npy", mmap_mode="r")
            for camera in store.spec.cameras
        },
        tool_position=arrays["tool_position"],
        tool_quat_xyzw=arrays["tool_quat_xyzw"],
        gripper=arrays["gripper"],
        action=arrays["action"],
        stamp_ns=arrays["stamp_ns"],
        ends=store.ends,
        seeds=store.seeds,
        spec=store.spec,
        task=store.header.task,
    )


def _place(store: EpisodeStore, arrays: episode.Arrays, root: str | Path | None) -> Path:
    """`<root>/decoded/<name>-<path>/<content>`: a folder that changes with the recording."""
    chosen = root or os.environ.get(_CACHE_VARIABLE) or Path.home() / ".cache" / "df_policy"
    path = store.path.resolve()
    content = hashlib.sha256(json.dumps(store.header.attributes(), sort_keys=True).encode())
    for rows in (store.ends, store.seeds, *(arrays[name] for name in _FINGERPRINT_COLUMNS)):
        content.update(np.ascontiguousarray(rows).tobytes())
    where = hashlib.sha256(str(path).encode()).hexdigest()[:8]
    return Path(chosen) / "decoded" / f"{path.stem}-{where}" / content.hexdigest()[:16]


def _build(store: EpisodeStore, place: Path, progress: Progress | None) -> None:
    """Decode all images into `place`, which appears when it is complete."""
    partial = place.with_name(f"{place.name}.{uuid.uuid4().hex}.partial")
    try:
        partial.mkdir(parents=True)
        size = store.frames * sum(3 * h * w for h, w in store.spec.cameras.values())
        free = shutil.disk_usage(partial).free
        if size > free:
            raise DfPolicyError(
                f"expected {size / 1e6:.0f} MB free for decoded images in {place.parent}, got "
                f"{free / 1e6:.0f}; make room or set {_CACHE_VARIABLE} to a folder elsewhere"
            )
        _decode(store, partial, progress)
        for stale in place.parent.iterdir():
            if not stale.name.endswith(".partial") and stale != place:
                shutil.rmtree(stale, ignore_errors=True)
        if not place.is_dir():
            partial.rename(place)
    except OSError as error:
        # Another process that decodes the same recording may have been faster.
        if not place.is_dir():
            raise DfPolicyError(
                f"expected to write decoded images to {place}, got {error}; set "
                f"{_CACHE_VARIABLE} to a folder that can be written"
            ) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


def _decode(store: EpisodeStore, folder: Path, progress: Progress | None) -> None:
    cameras = store.spec.cameras
    total = store.frames * len(cameras)
    for number, (camera, (height, width)) in enumerate(cameras.items()):
        name = image_column(camera)
        shape = (store.frames, height, width, 3)
        target: Any = np.lib.format.open_memmap(
            folder / f"{name}.npy", mode="w+", dtype=np.uint8, shape=shape
        )
        for index in range(len(store)):
            for start, rows in store.blocks(name, index):
                target[start : start + len(rows)] = rows
                if progress is not None:
                    progress(number * store.frames + start + len(rows), total)
        target.flush()
