"""From a camera that stalls, drops and jitters to the store: every image under its own stamp."""

from __future__ import annotations

import os
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from tiny_world import SPEC

from df_policy.align import JointReading, RobotStreams
from df_policy.data.reader import EpisodeStore
from df_policy.data.verify import verify
from df_policy.data.writer import EpisodeWriter
from df_policy.frames import Action, Frame
from df_policy.geometry import Pose

PERIOD_NS = 33_333_333
"""Of the cameras; ticks come every 100 ms."""
TICKS = 10
SAMPLES = 3 * TICKS
WALL_NS = 10**18


@pytest.fixture(autouse=True, scope="module")
def quick() -> Iterator[None]:
    """No test here cuts the power."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda handle: None)
        yield


def streams_of(stamps: dict[str, dict[int, int]], brighter: int = 0) -> RobotStreams:
    """Streams with these samples: camera -> number -> stamp; each image is of its number."""
    period = 1e-9 * PERIOD_NS
    periods = {"image_front": period, "image_wrist": period, "joints": 0.1, "tool": 0.1}
    streams = RobotStreams(SPEC.cameras, 9.0, 0.15, periods)
    for camera, known in stamps.items():
        for number, stamp in known.items():
            image = np.full((*SPEC.cameras[camera], 3), number + brighter, np.uint8)
            streams.images[camera].add(stamp, image, WALL_NS + stamp + 2_000_000)
    for tick in range(TICKS + 1):
        stamp = tick * SPEC.period_ns
        streams.joints.add(stamp, JointReading(np.zeros(2), np.zeros(2), 0.05), WALL_NS + stamp)
        streams.tool.add(stamp, Pose.of([0.4, 0, 0.2], [1, 0, 0, 0]), WALL_NS + stamp)
    return streams


@settings(max_examples=15)
@given(
    dropped=st.sets(st.integers(1, SAMPLES - 1)),
    jitter=st.lists(st.integers(-6_000_000, 6_000_000), min_size=SAMPLES, max_size=SAMPLES),
    stall=st.tuples(st.integers(1, SAMPLES), st.integers(0, 12)),
)
def test_stamps_and_counts_are_those_injected(dropped, jitter, stall) -> None:
    lost = dropped | set(range(stall[0], min(sum(stall), SAMPLES)))
    at = {k: k * PERIOD_NS + (jitter[k] if k else 0) for k in range(SAMPLES)}
    front = {k: stamp for k, stamp in at.items() if k not in lost}
    wrist = {k: k * PERIOD_NS for k in range(SAMPLES)}
    episodes = [streams_of({"front": front, "wrist": wrist}, brighter) for brighter in (0, 100)]
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zarr"
        with EpisodeWriter.open(path, SPEC, "tiny") as writer:
            for seed, streams in enumerate(episodes):
                before = None
                for tick in range(TICKS):
                    now = tick * SPEC.period_ns
                    seen = streams.observe(now, before)
                    hold = Action(seen.tool, seen.gripper_m)
                    writer.append(Frame(seen, hold, hold, WALL_NS + now))
                    before = now
                writer.keep(seed)
        proof, store = verify(path), EpisodeStore.open(path)
        arrays, after, about = store.episode(0).arrays, store.episode(1).arrays, store.about
    assert (proof.findings, proof.notes) == ((), ())
    for name, rows in arrays.items():
        is_image = name in ("image_front", "image_wrist")
        assert np.array_equal(after[name], rows + 100 if is_image else rows), name
    assert np.array_equal(*about["dropped"])
    assert np.array_equal(*about["late"])
    ticks = arrays["stamp_ns"]
    seen_front = [max(k for k in front if front[k] <= tick) for tick in ticks]
    for camera, known, numbers in (
        ("front", front, seen_front),
        ("wrist", wrist, None),
    ):
        shown = arrays[f"image_{camera}"][:, 0, 0, 0]
        stamps = arrays[f"image_{camera}_stamp_ns"]
        assert [known[int(number)] for number in shown] == stamps.tolist()
        assert numbers is None or shown.tolist() == numbers
    came = arrays["arrivals"][:, 0]
    assert came[:, 0].tolist() == [front[k] for k in seen_front]
    assert came[:, 1].tolist() == [WALL_NS + front[k] + 2_000_000 for k in seen_front]
    # What was lost before the last sample that a tick saw; before the first tick nobody knows.
    assert about["dropped"][0].tolist() == [sum(1 for k in lost if k < seen_front[-1]), 0, 0, 0]
    stale = sum(a == b for a, b in zip(seen_front[1:], seen_front, strict=False))
    assert about["late"][0].tolist() == [0, stale, 0, 0, 0]
