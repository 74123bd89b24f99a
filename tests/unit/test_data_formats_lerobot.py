"""LeRobot datasets beside the round trip: videos, version 2.1, rows and frames that do not fit."""

from __future__ import annotations

import json
import os
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strange_episodes import SPEC, InMemory, episode

from df_policy.data.formats import lerobot
from df_policy.data.formats.imported import Imported
from df_policy.errors import DfPolicyError

pq = pytest.importorskip("pyarrow.parquet")

VIDEO = replace(SPEC, cameras={"front": (64, 80)})


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def brightening(frames: int, seed: int, first: int) -> object:
    """Each frame is 4 brighter than the one before: its number can be read off it."""
    made = episode(VIDEO, frames, seed)
    for index in range(frames):
        made.arrays["image_front"][index] = 20 + 4 * (first + index)
    return made


def opened(path: Path) -> Imported:
    with lerobot.open_source(path) as source:
        return Imported(source, source.contents.conventions, source.contents.header, None)


@pytest.fixture(scope="module")
def videos(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("videos") / "set"
    source = InMemory([brightening(7, 0, 0), brightening(12, 1, 7), brightening(1, 2, 19)], VIDEO)
    lerobot.write(source, path, lambda: None, video=True)
    return path


def test_no_frame_of_a_video_is_taken_for_another(videos: Path) -> None:
    back, first = opened(videos), 0
    for index, frames in enumerate((7, 12, 1)):
        images = back.episode(index).arrays["image_front"].astype(float)
        assert images.shape == (frames, 64, 80, 3)
        expected = 20 + 4 * (first + np.arange(frames))
        assert np.abs(images.mean(axis=(1, 2, 3)) - expected).max() < 1.5
        first += frames


def as_version_2(path: Path) -> None:
    """The same dataset in the layout of version 2.1, which has a file for each episode."""
    info = json.loads((path / "meta" / "info.json").read_text())
    table = pq.read_table(path / "data/chunk-000/file-000.parquet")
    episodes = pq.read_table(path / "meta/episodes/chunk-000/file-000.parquet").to_pylist()
    lines = []
    for row in episodes:
        index = row["episode_index"]
        mine = table.slice(row["dataset_from_index"], row["length"])
        pq.write_table(mine, path / f"data/chunk-000/episode_{index:06d}.parquet")
        lines.append({key: row[key] for key in ("episode_index", "tasks", "length")})
    text = "\n".join(json.dumps(line) for line in lines)
    (path / "meta" / "episodes.jsonl").write_text(text + "\n")
    info |= {
        "codebase_version": "v2.1",
        "data_path": "data/chunk-{episode_chunk:03d}/episode_{episode_index:06d}.parquet",
        "video_path": "videos/chunk-{episode_chunk:03d}/{video_key}/{episode_index:06d}.mp4",
    }
    (path / "meta" / "info.json").write_text(json.dumps(info))
    (path / "data/chunk-000/file-000.parquet").unlink()


def test_version_2_is_read(tmp_path: Path) -> None:
    source = InMemory([episode(SPEC, 4, 0), episode(SPEC, 6, 1)])
    lerobot.write(source, tmp_path / "set", lambda: None)
    as_version_2(tmp_path / "set")
    back = opened(tmp_path / "set")
    for index, expected in enumerate(source.episodes):
        for name, rows in expected.arrays.items():
            assert np.array_equal(back.episode(index).arrays[name], rows), name


def test_a_video_with_a_frame_too_few_is_refused(videos: Path, tmp_path: Path) -> None:
    import shutil

    shutil.copytree(videos, tmp_path / "set")
    path = tmp_path / "set/meta/episodes/chunk-000/file-000.parquet"
    table = pq.read_table(path)
    column = table.schema.get_field_index("videos/observation.images.front/from_timestamp")
    starts = table.column(column).to_pylist()
    moved = table.set_column(column, table.field(column), [[s + 0.9 for s in starts]])
    pq.write_table(moved, path)
    with pytest.raises(DfPolicyError, match=r"2\.0000 s for row 4, got none"):
        opened(tmp_path / "set").episode(1)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t.slice(0, 3), "expected 4 rows of episode 0"),
        (lambda t: t.drop_columns(["stamp_ns"]), "the columns stamp_ns"),
        (
            lambda t: t.set_column(
                t.schema.get_field_index("frame_index"), "frame_index", [[0, 1, 3, 2]]
            ),
            "expected frame_index 2 in row 2",
        ),
    ],
)
def test_rows_that_do_not_fit_are_refused(tmp_path: Path, change, message: str) -> None:
    lerobot.write(InMemory([episode(SPEC, 4, 0)]), tmp_path / "set", lambda: None)
    path = tmp_path / "set/data/chunk-000/file-000.parquet"
    pq.write_table(change(pq.read_table(path)), path)
    with pytest.raises(DfPolicyError, match=message):
        opened(tmp_path / "set").episode(0)


def test_a_rate_that_is_no_whole_number_is_refused(tmp_path: Path) -> None:
    spec = replace(SPEC, action_rate_hz=12.5)
    with pytest.raises(DfPolicyError, match=r"got 12\.5"):
        lerobot.write(InMemory([episode(spec, 2, 0)], spec), tmp_path / "set", lambda: None)


def test_images_too_small_for_a_video_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DfPolicyError, match="--images png"):
        lerobot.write(InMemory([episode(SPEC, 2, 0)]), tmp_path / "set", lambda: None, video=True)
