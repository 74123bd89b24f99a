"""Small recordings of the tiny world, and what makes an old one of them."""

from __future__ import annotations

import json
import shutil
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from tiny_world import SPEC, STEPS, frames

from df_policy.data.schema import columns, labels
from df_policy.data.writer import EpisodeWriter
from df_policy.frames import Arrival, Frame, streams


def arrived(frame: Frame, **changes: Arrival) -> Frame:
    """The frame as if every stream had come in time, but for the changes."""
    stamp = frame.observation.stamp_ns
    ways = streams(SPEC.cameras)
    came = {name: Arrival(stamp, stamp + 10**18, 0) for name in ways} | changes
    return replace(frame, observation=replace(frame.observation, arrivals=came))


def record(path: Path, seeds: Sequence[int], count: int = STEPS, task: str = "tiny") -> Path:
    """One episode for each seed, with a note."""
    with EpisodeWriter.open(path, SPEC, task, "tests") as writer:
        for seed in seeds:
            for frame in frames(seed, count):
                writer.append(arrived(frame))
            writer.keep(seed, success=seed % 2 == 0, note=f"note {seed}")
    return path


def make_old(path: Path) -> Path:
    """The same recording as schema version 1 had it."""
    for column in (*columns(SPEC), *labels(SPEC)):
        if column.since > 1:
            shutil.rmtree(path / column.path)
    root = path / "zarr.json"
    node = json.loads(root.read_text())
    node["attributes"]["schema_version"] = 1
    del node["attributes"]["header_checksum"]
    root.write_text(json.dumps(node))
    return path
