"""Random recordings for the round trips through other formats."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from hypothesis import strategies as st

from df_policy.data import storage
from df_policy.data.episode import Episode
from df_policy.data.header import Header
from df_policy.data.schema import columns
from df_policy.data.writer import EpisodeWriter
from df_policy.geometry import rotation_6d
from df_policy.robot import RobotSpec

SPEC = RobotSpec("tiny", ("two", "one"), {"front": (6, 8), "wrist": (4, 4)}, action_rate_hz=10.0)
LARGE = replace(SPEC, cameras={"front": (64, 80)})


NOTES = ("", "slipped once", "zweimal über den Rand")


def episode(spec: RobotSpec, frames: int, seed: int) -> Episode:
    """One whose numbers are all random, and whose rotations are rotations."""
    rng = np.random.default_rng(seed)
    stamp = np.arange(frames) * spec.period_ns + rng.integers(0, 10_000_000, frames)
    stamp[0] = 0

    def quat() -> np.ndarray:
        made = rng.normal(size=(frames, 4))
        made /= np.linalg.norm(made, axis=1, keepdims=True)
        return made * np.where(made[:, 3:] < 0, -1.0, 1.0)

    def action() -> np.ndarray:
        place, opening = rng.normal(size=(frames, 3)), rng.uniform(0, 0.08, (frames, 1))
        return np.concatenate([place, rotation_6d(quat()), opening], axis=1)

    arrays = {}
    for column in columns(spec):
        if column.is_image:
            pixels = rng.integers(0, 256, (frames, *column.row_shape))
            arrays[column.name] = pixels
        elif column.name.startswith("image_"):
            arrays[column.name] = stamp - rng.integers(0, 50_000_000, frames)
        elif column.dtype == "uint8":
            arrays[column.name] = rng.integers(0, 3, (frames, *column.row_shape))
        elif column.since > 1:
            # Times that float64 would round, and the unknown ones.
            rows = rng.integers(-1, 1_700_000_000_000_000_123, (frames, *column.row_shape))
            arrays[column.name] = np.sort(rows, axis=0)
        else:
            arrays[column.name] = rng.normal(size=(frames, *column.row_shape))
    arrays["tool_quat_xyzw"] = quat()
    arrays["gripper"] = rng.uniform(0, 0.08, (frames, 1))
    arrays["action"], arrays["action_requested"] = action(), action()
    arrays["stamp_ns"] = stamp
    arrays["received_ns"] = 1_700_000_000_000_000_123 + stamp + rng.integers(0, 9_000_000, frames)
    typed = {c.name: np.asarray(arrays[c.name], c.dtype) for c in columns(spec)}
    return Episode(typed, int(rng.integers(-1, 2**40)), bool(rng.integers(2)), NOTES[seed % 3])


@dataclass(frozen=True)
class InMemory:
    """A recording that is on no disk."""

    episodes: list[Episode]
    spec: RobotSpec = SPEC

    @property
    def header(self) -> Header:
        return Header(self.spec, "sort the fruit", ("a", "b"), ("1.0",))

    @property
    def frames(self) -> int:
        return sum(len(one.arrays["stamp_ns"]) for one in self.episodes)

    def __len__(self) -> int:
        return len(self.episodes)

    def episode(self, index: int) -> Episode:
        return self.episodes[index]


def record(path: Path, episodes: list[Episode], spec: RobotSpec = SPEC) -> None:
    """A recording of them."""
    storage.create(path, InMemory(episodes, spec).header)
    with EpisodeWriter.open(path, spec, "sort the fruit") as writer:
        for one in episodes:
            writer.keep_episode(one)


EPISODES = st.lists(st.tuples(st.integers(1, 12), st.integers(0, 2**31)), min_size=1, max_size=3)
"""Frames and seed of each: made into episodes outside of the strategy, where types are checked by
drawing at random, which hypothesis forbids inside."""
