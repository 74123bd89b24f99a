"""The decoded copy follows the recording."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from tiny_world import SPEC, STEPS, frames

from df_policy.data import cache as data_cache
from df_policy.data.cache import load_cache
from df_policy.data.episode import stack
from df_policy.data.writer import EpisodeWriter
from df_policy.errors import DfPolicyError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def record(path: Path, seeds: list[int]) -> None:
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        for seed in seeds:
            for frame in frames(seed):
                writer.append(frame)
            writer.keep(seed)


def test_the_copy_holds_what_was_recorded(tmp_path: Path) -> None:
    record(tmp_path / "a.zarr", [3, 5])
    reports: list[tuple[int, int]] = []
    loaded = load_cache(tmp_path / "a.zarr", tmp_path / "cache", lambda *n: reports.append(n))
    assert reports[-1] == (4 * STEPS, 4 * STEPS)
    assert reports == sorted(reports)
    assert list(loaded.ends) == [STEPS, 2 * STEPS]
    assert list(loaded.seeds) == [3, 5]
    second = stack(frames(5), SPEC)
    for name in ("tool_position", "tool_quat_xyzw", "gripper", "action", "stamp_ns"):
        assert np.array_equal(getattr(loaded, name)[STEPS:], second[name])
    for camera in SPEC.cameras:
        assert np.array_equal(loaded.images[camera][STEPS:], second[f"image_{camera}"])
        assert not loaded.images[camera].flags.writeable


def test_a_second_look_decodes_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    record(tmp_path / "a.zarr", [0])
    load_cache(tmp_path / "a.zarr", tmp_path / "cache")
    monkeypatch.setattr(data_cache, "_decode", None)
    load_cache(tmp_path / "a.zarr", tmp_path / "cache")


def test_the_copy_is_made_anew_when_the_recording_grows(tmp_path: Path) -> None:
    path, cache = tmp_path / "a.zarr", tmp_path / "cache"
    record(path, [0])
    old = load_cache(path, cache)
    record(path, [1])
    new = load_cache(path, cache)
    assert (len(old), len(new)) == (1, 2)
    assert len(old.images["front"]) == STEPS  # still readable
    assert np.array_equal(new.images["front"][STEPS:], stack(frames(1), SPEC)["image_front"])
    assert len(list(cache.glob("decoded/*/*"))) == 1  # the old one is gone from the disk


def test_another_recording_of_the_same_lengths_is_not_taken_for_it(tmp_path: Path) -> None:
    for name, seed in (("one", 0), ("two", 1)):
        record(tmp_path / name / "a.zarr", [seed])
    one, two = (load_cache(tmp_path / n / "a.zarr", tmp_path / "cache") for n in ("one", "two"))
    assert not np.array_equal(one.images["front"], two.images["front"])


def test_a_copy_that_was_not_finished_is_not_used(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    record(tmp_path / "a.zarr", [0])

    def interrupted(done: int, total: int) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        load_cache(tmp_path / "a.zarr", tmp_path / "cache", interrupted)
    assert not list((tmp_path / "cache").glob("decoded/*/*"))
    assert len(load_cache(tmp_path / "a.zarr", tmp_path / "cache")) == 1


def test_the_cache_folder_comes_from_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("DF_POLICY_CACHE", str(tmp_path / "elsewhere"))
    record(tmp_path / "a.zarr", [0])
    load_cache(tmp_path / "a.zarr")
    assert (tmp_path / "elsewhere" / "decoded").is_dir()


def test_an_empty_recording_cannot_be_trained_on(tmp_path: Path) -> None:
    record(tmp_path / "a.zarr", [])
    with pytest.raises(DfPolicyError, match="record some"):
        load_cache(tmp_path / "a.zarr", tmp_path / "cache")


def test_a_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    record(tmp_path / "a.zarr", [0])
    (tmp_path / "cache").write_text("a file")
    with pytest.raises(DfPolicyError, match="DF_POLICY_CACHE"):
        load_cache(tmp_path / "a.zarr", tmp_path / "cache")


def test_training_gets_the_same_arrays(tmp_path: Path) -> None:
    record(tmp_path / "a.zarr", [0, 1])
    loaded = load_cache(tmp_path / "a.zarr", tmp_path / "cache")
    given_to_training = loaded.demonstrations()
    assert given_to_training.images["front"] is loaded.images["front"]
    assert list(given_to_training.starts) == [0, STEPS]
