"""Writing and reading: what is kept comes back, and what is wrong is refused with a message."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import sys
import tempfile
import threading
import weakref
from copy import copy
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from tiny_world import SPEC, STEPS, frames

from df_policy.commands import data_repair
from df_policy.data import durable, storage
from df_policy.data.edit import trim, write_in_place
from df_policy.data.episode import stack
from df_policy.data.reader import EpisodeStore
from df_policy.data.schema import Column
from df_policy.data.verify import verify
from df_policy.data.writer import EpisodeWriter
from df_policy.errors import DfPolicyError
from df_policy.frames import Frame
from df_policy.geometry import Pose


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def record(path: Path, seeds: list[int], count: int = STEPS) -> None:
    with EpisodeWriter.open(path, SPEC, "tiny", "tests") as writer:
        for seed in seeds:
            write(writer, frames(seed, count))
            writer.keep(seed)


def write(writer: EpisodeWriter, episode: list[Frame]) -> None:
    for frame in episode:
        writer.append(frame)


def changed(frame: Frame, **parts: object) -> Frame:
    """With other parts, also such as the observation's types forbid."""
    observation = copy(frame.observation)
    for name, value in parts.items():
        object.__setattr__(observation, name, value)
    return replace(frame, observation=observation)


def content(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


@settings(max_examples=8)
@given(st.lists(st.tuples(st.integers(0, 2**31), st.integers(1, 30)), min_size=1, max_size=4))
def test_every_kept_episode_comes_back_as_it_was(episodes: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "a.zarr"
        with EpisodeWriter.open(path, SPEC, "tiny") as writer:
            for seed, count in episodes:
                write(writer, frames(seed, count))
                writer.keep(seed, success=seed % 2 == 0)
        store = EpisodeStore.open(path)
        assert list(store.lengths) == [count for _, count in episodes]
        for index, (seed, count) in enumerate(episodes):
            episode = store.episode(index)
            assert (episode.seed, episode.success) == (seed, seed % 2 == 0)
            expected = stack(frames(seed, count), SPEC)
            assert expected.keys() == episode.arrays.keys()
            for name, rows in expected.items():
                assert episode.arrays[name].dtype == rows.dtype
                assert np.array_equal(episode.arrays[name], rows), name


def test_a_stored_row_holds_the_frame(tmp_path: Path) -> None:
    record(tmp_path / "a.zarr", [4])
    frame = frames(4)[3]
    arrays = EpisodeStore.open(tmp_path / "a.zarr").episode(0).arrays
    assert np.array_equal(arrays["image_wrist"][3], frame.observation.images["wrist"])
    assert np.allclose(arrays["action"][3], frame.sent.row())
    assert np.allclose(arrays["action_requested"][3], frame.requested.row())
    assert np.allclose(arrays["q"][3], frame.observation.q_rad)
    assert arrays["stamp_ns"][3] == frame.observation.stamp_ns
    assert arrays["received_ns"][3] == frame.received_ns


def test_episodes_longer_than_a_file_of_images_come_back(tmp_path: Path) -> None:
    record(tmp_path / "a.zarr", [0, 1, 2], count=200)
    store = EpisodeStore.open(tmp_path / "a.zarr")
    for seed in range(3):
        assert np.array_equal(
            store.episode(seed).arrays["image_front"],
            stack(frames(seed, 200), SPEC)["image_front"],
        )


def test_any_zarr_reader_finds_the_layout(tmp_path: Path) -> None:
    record(tmp_path / "a.zarr", [0, 1])
    group = zarr.open_group(tmp_path / "a.zarr", mode="r")
    assert list(group["meta/episode_ends"][:]) == [STEPS, 2 * STEPS]
    assert group["data/action"].shape == (2 * STEPS, 10)
    assert group.attrs["task"] == "tiny"
    assert group.attrs["robot"]["joint_names"] == ["one", "two"]


def test_a_recording_goes_on_where_it_ended(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    record(path, [0, 1])
    with EpisodeWriter.open(path, SPEC, "tiny", "another", "2.0") as writer:
        assert (writer.episodes, writer.next_seed) == (2, 2)
        write(writer, frames(7))
        writer.keep(7)
    store = EpisodeStore.open(path)
    assert list(store.seeds) == [0, 1, 7]
    assert store.header.operators == ("tests", "another")
    assert store.header.code_versions == ("2.0",)
    assert np.array_equal(store.episode(1).arrays["q"], stack(frames(1), SPEC)["q"])


def test_dropped_frames_leave_no_trace_but_their_seed(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        write(writer, frames(0))
        writer.drop(5)
        write(writer, frames(1))
        writer.drop()
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        assert (writer.episodes, writer.next_seed) == (0, 6)


def test_a_reader_sees_only_what_was_kept_when_it_opened(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        write(writer, frames(0))
        writer.keep(0)
        store = EpisodeStore.open(path)
        write(writer, frames(1))
        writer.keep(1)
    assert len(store) == 1
    assert np.array_equal(store.episode(0).arrays["q"], stack(frames(0), SPEC)["q"])


def test_a_reader_may_open_a_recording_while_an_episode_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read = storage.array
    with EpisodeWriter.open(tmp_path / "a.zarr", SPEC, "tiny") as writer:
        write(writer, frames(0))
        writer.keep(0)
        total = len(EpisodeStore.open(tmp_path / "a.zarr").arrays)
        for turn in range(total):
            opened: list[str] = []

            def keep_in_between(
                group: zarr.Group, column: Column, where: Path, turn=turn, opened=opened
            ) -> storage.ZarrArray:
                found = read(group, column, where)
                opened.append(column.path)
                if len(opened) == turn + 1:
                    write(writer, frames(turn + 1))
                    writer.keep(turn + 1)
                return found

            with monkeypatch.context() as patch:
                patch.setattr(storage, "array", keep_in_between)
                store = EpisodeStore.open(tmp_path / "a.zarr")
            assert len(store) in (turn + 1, turn + 2)
            assert store.episode(turn).seed == turn


def test_frames_of_a_crashed_recording_are_cut_at_the_next_opening(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    record(path, [0])
    group = zarr.open_group(path, mode="r+")
    for name in ("q", "action"):
        rows = group[f"data/{name}"]
        rows.resize((STEPS + 5, *rows.shape[1:]))
    group["meta/seed"].resize((2,))
    (path / "data" / "q" / "c" / "left.partial").write_bytes(b"half")
    assert len(EpisodeStore.open(path)) == 1
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        assert writer.episodes == 1
    assert zarr.open_group(path, mode="r")["data/q"].shape == (STEPS, 2)
    assert not list(path.rglob("*.partial"))
    assert np.array_equal(
        EpisodeStore.open(path).episode(0).arrays["q"], stack(frames(0), SPEC)["q"]
    )


class Killed(BaseException):
    """Stands for SIGKILL: nothing reaches the disk after it."""


class Power:
    """Lets so many changes of the disk through, raises Killed at the next, and takes no more.

    The encoder's threads are not counted: what they write is complete before an episode counts.
    """

    def __init__(self, patch: pytest.MonkeyPatch, left: int) -> None:
        self.left, self.cut = left, False
        for place, name in (
            (os, "pwrite"),
            (os, "ftruncate"),
            (Path, "replace"),
            (Path, "unlink"),
            (durable, "replace_file"),
        ):
            patch.setattr(place, name, self._counted(getattr(place, name)))

    def _counted(self, change):
        def counted(*values: object, **named: object) -> object:
            if threading.current_thread().name.startswith("encode"):
                return change(*values, **named)
            if self.cut:
                return None
            self.left -= 1
            if self.left < 0:
                self.cut = True
                raise Killed
            return change(*values, **named)

        return counted


def check(path: Path, seeds: list[int], count: int) -> None:
    store = EpisodeStore.open(path)
    assert list(store.seeds) == seeds
    for index, seed in enumerate(seeds):
        expected = stack(frames(seed, count), SPEC)
        for name, rows in store.episode(index).arrays.items():
            assert np.array_equal(rows, expected[name])


@pytest.fixture
def small_files(monkeypatch: pytest.MonkeyPatch) -> None:
    """An episode has many files of images."""
    monkeypatch.setattr(storage, "_LARGEST_SHARD_FRAMES", 5)


def test_a_kill_between_two_writes_costs_at_most_the_open_episode(
    tmp_path: Path, small_files: None
) -> None:
    """What is seen is whole; what the next writer finds is that, or the episode that was safe."""
    record(tmp_path / "base.zarr", [0], count=STEPS)
    allowed, found = 0, [1]
    while True:
        path = tmp_path / f"{allowed}.zarr"
        shutil.copytree(tmp_path / "base.zarr", path)
        with contextlib.suppress(Killed), EpisodeWriter.open(path, SPEC, "tiny") as writer:
            write(writer, frames(1, STEPS))
            with pytest.MonkeyPatch.context() as patch:
                power = Power(patch, allowed)
                try:
                    writer.keep(1)
                finally:
                    writer.close()  # the system lets its lock go
        seen = len(EpisodeStore.open(path))
        check(path, [0, 1][:seen], STEPS)
        with EpisodeWriter.open(path, SPEC, "tiny") as writer:
            assert found[-1] <= writer.episodes, "a kill that came later cost more"
            assert seen <= writer.episodes
            found.append(writer.episodes)
        check(path, [0, 1][: found[-1]], STEPS)
        assert {file.name for file in path.iterdir()} == {"data", "meta", "zarr.json"}
        if not power.cut:
            break
        shutil.rmtree(path)
        # Each write of the journal, then every tenth of those that file the episode.
        allowed += 1 if allowed < 4 else 10
    assert found.count(1) <= 3, "safe with the first write, not with the last"
    assert found.count(2) >= 5


def test_an_episode_that_is_dropped_leaves_nothing(tmp_path: Path, small_files: None) -> None:
    path = tmp_path / "a.zarr"
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        write(writer, frames(0, STEPS))
        writer.keep(0)
        before = content(path)
        write(writer, frames(1, 30))
        during = {file.name for file in path.glob("*.partial")}
        writer.drop()
        assert content(path) == before
    assert {"image_front.2.partial", "image_front.3.partial"} <= during
    check(path, [0], STEPS)


def test_the_images_of_a_long_episode_are_not_held_in_memory(tmp_path: Path) -> None:
    with EpisodeWriter.open(tmp_path / "a.zarr", SPEC, "tiny") as writer:
        held = []
        for frame in frames(0, 40):
            held.append(weakref.ref(frame.observation))
            writer.append(frame)
            del frame
        writer.keep(0)
        assert not any(one() for one in held)


def test_an_episode_that_finds_no_room_in_the_arrays_is_filed_later(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    path = tmp_path / "a.zarr"

    def full(path: Path, value: bytes) -> None:
        raise OSError(28, "No space left on device")

    for later in ("same writer", "next writer"):
        with EpisodeWriter.open(path, SPEC, "tiny") as writer:
            first = writer.episodes
            with monkeypatch.context() as patch:
                patch.setattr(durable, "replace_file", full)
                write(writer, frames(first))
                with pytest.raises(DfPolicyError, match="it and all before it are safe"):
                    writer.keep(first)
                with pytest.raises(DfPolicyError, match="No space left"):
                    writer.append(frames(9)[0])
            if later == "same writer":
                write(writer, frames(first + 1))
                writer.keep(first + 1)
            else:
                assert verify(path).notes
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        assert writer.next_seed == 3
    check(path, [0, 1, 2], STEPS)


def test_a_journal_that_is_damaged_or_of_another_recording_adds_nothing(tmp_path: Path) -> None:
    path, file = tmp_path / "a.zarr", tmp_path / "a.zarr" / "kept.journal"
    with EpisodeWriter.open(path, SPEC, "tiny") as writer, pytest.MonkeyPatch.context() as patch:
        write(writer, frames(0))
        patch.setattr(durable, "replace_file", None)
        with contextlib.suppress(TypeError):
            writer.keep(0)
    whole = file.read_bytes()
    for at in (0, 9, 13, 200, len(whole) // 2, len(whole) - 1):
        for damaged in (whole[:at], whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :]):
            shutil.copytree(path, tmp_path / "b.zarr")
            (tmp_path / "b.zarr" / file.name).write_bytes(damaged)
            with EpisodeWriter.open(tmp_path / "b.zarr", SPEC, "tiny") as writer:
                assert writer.episodes == 0
            shutil.rmtree(tmp_path / "b.zarr")
    other = tmp_path / "other.zarr"
    record(other, [4, 5])
    before = content(other)
    (other / file.name).write_bytes(whole)
    with pytest.raises(DfPolicyError, match="does not belong to this recording"):
        EpisodeWriter.open(other, SPEC, "tiny")
    (other / file.name).unlink()
    assert content(other) == before


def test_an_edit_waits_for_what_repair_files(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    record(path, [0])
    with EpisodeWriter.open(path, SPEC, "tiny") as writer, pytest.MonkeyPatch.context() as patch:
        write(writer, frames(1))
        patch.setattr(durable, "replace_file", None)
        with contextlib.suppress(TypeError):
            writer.keep(1)
    with pytest.raises(DfPolicyError, match=r"repair .*a\.zarr --in-place files it"):
        write_in_place(trim(EpisodeStore.open(path), [0], 1, 0), path)
    assert data_repair.main([str(path), "--in-place"]) == 0
    check(path, [0, 1], STEPS)
    assert verify(path).notes == ()


def test_only_one_process_writes(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with EpisodeWriter.open(path, SPEC, "tiny") as first:
        with pytest.raises(DfPolicyError, match="only writer"):
            EpisodeWriter.open(path, SPEC, "tiny")
        write(first, frames(0))
        first.keep(0)
    with EpisodeWriter.open(path, SPEC, "tiny") as second:
        assert second.episodes == 1


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda f: changed(f, q_rad=np.array([np.nan, 0.0])), "finite numbers in q"),
        (lambda f: changed(f, gripper_m=float("inf")), "finite numbers in gripper"),
        (lambda f: changed(f, q_rad=np.zeros(3)), r"q of shape \(2,\), got \(3,\)"),
        (lambda f: changed(f, images={}), "expected camera 'front'"),
        (
            lambda f: changed(
                f, images=dict.fromkeys(SPEC.cameras, np.zeros((9, 9, 3), np.uint8))
            ),
            "image_front of shape",
        ),
        (
            lambda f: changed(f, images={n: np.zeros((*hw, 3)) for n, hw in SPEC.cameras.items()}),
            "as uint8",
        ),
        (
            lambda f: changed(f, stamp_ns=f.observation.stamp_ns + 60_000_000),
            "ms between frames",
        ),
        (
            lambda f: changed(
                f, tool=Pose(np.array([0.0, np.nan, 0.0]), np.array([0.0, 0.0, 0.0, 1.0]))
            ),
            "finite numbers in tool_position",
        ),
    ],
)
def test_a_bad_episode_is_refused_and_the_others_stay(tmp_path: Path, spoil, message: str) -> None:
    path = tmp_path / "a.zarr"
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        write(writer, frames(0))
        writer.keep(0)
        before = content(path)
        bad = frames(1)
        bad[5] = spoil(bad[5])
        write(writer, bad)
        with pytest.raises(DfPolicyError, match=message):
            writer.keep(1)
        assert content(path) == before
        write(writer, frames(2))
        writer.keep(2)
    assert list(EpisodeStore.open(path).seeds) == [0, 2]


def test_stamps_may_jitter_by_less_than_half_a_period(tmp_path: Path) -> None:
    late = frames(0)
    late[5] = changed(late[5], stamp_ns=late[5].observation.stamp_ns + 40_000_000)
    with EpisodeWriter.open(tmp_path / "a.zarr", SPEC, "tiny") as writer:
        write(writer, late)
        writer.keep(0)


def test_an_episode_without_frames_is_refused(tmp_path: Path) -> None:
    with (
        EpisodeWriter.open(tmp_path / "a.zarr", SPEC, "tiny") as writer,
        pytest.raises(DfPolicyError, match="expected frames"),
    ):
        writer.keep(0)


def test_a_full_disk_costs_only_the_open_episode(tmp_path: Path, monkeypatch) -> None:
    path = tmp_path / "a.zarr"
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        write(writer, frames(0))
        writer.keep(0)

        def full(handle: int, content: bytes, at: int) -> int:
            raise OSError(28, "No space left on device")

        with monkeypatch.context() as patch:
            patch.setattr(os, "pwrite", full)
            write(writer, frames(1))
            with pytest.raises(DfPolicyError, match="make room"):
                writer.keep(1)
        write(writer, frames(2))
        writer.keep(2)
    assert list(EpisodeStore.open(path).seeds) == [0, 2]


@pytest.mark.parametrize("other", ["task", "robot"])
def test_another_robot_or_task_is_refused_and_nothing_changes(tmp_path: Path, other: str) -> None:
    path = tmp_path / "a.zarr"
    record(path, [0])
    before = content(path)
    spec = replace(SPEC, joint_names=("one", "three")) if other == "robot" else SPEC
    task = "huge" if other == "task" else "tiny"
    with pytest.raises(DfPolicyError, match=r"robot.joint_names|task = 'tiny'"):
        EpisodeWriter.open(path, spec, task)
    assert content(path) == before


def no_store(path: Path) -> None:
    path.mkdir()
    (path / "photo.jpg").write_bytes(b"dear to someone")


def a_file(path: Path) -> None:
    path.write_bytes(b"a thesis")


def other_zarr(path: Path) -> None:
    zarr.create_group(path)


def an_array(path: Path) -> None:
    zarr.create_array(path, shape=(3,), dtype="int64")


def bad_json(path: Path) -> None:
    record(path, [0])
    (path / "zarr.json").write_text('{"zarr_format": 3, "node_ty')


def newer_schema(path: Path) -> None:
    record(path, [0])
    edit(path / "zarr.json", lambda node: node["attributes"].update(schema_version=99))


def no_robot(path: Path) -> None:
    record(path, [0])
    edit(path / "zarr.json", lambda node: node["attributes"].pop("robot"))


def lost_array(path: Path) -> None:
    record(path, [0])
    (path / "data" / "action" / "zarr.json").unlink()


def lost_ends(path: Path) -> None:
    record(path, [0])
    (path / "meta" / "episode_ends" / "zarr.json").unlink()


def short_array(path: Path) -> None:
    record(path, [0])
    edit(path / "data" / "dq" / "zarr.json", lambda node: node.update(shape=[3, 2]))


def wrong_width(path: Path) -> None:
    record(path, [0])
    edit(path / "data" / "q" / "zarr.json", lambda node: node.update(shape=[STEPS, 5]))


def falling_ends(path: Path) -> None:
    record(path, [0, 1])
    zarr.open_group(path, mode="r+")["meta/episode_ends"][:] = [STEPS, 2]


def edit(path: Path, change) -> None:
    node = json.loads(path.read_text())
    change(node)
    path.write_text(json.dumps(node))


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (no_store, "no zarr 3 store"),
        (a_file, "no zarr 3 store"),
        (other_zarr, "without a schema_version"),
        (an_array, "cannot be read"),
        (bad_json, "cannot be read"),
        (newer_schema, "schema version 1 to 2 .* got 99"),
        (no_robot, "attributes robot"),
        (lost_array, "the array data/action"),
        (lost_ends, "the array meta/episode_ends"),
        (short_array, "data/dq"),
        (wrong_width, "data/q"),
        (falling_ends, "growing numbers"),
    ],
)
def test_what_is_no_whole_recording_is_named_and_left_alone(
    tmp_path: Path, spoil, message: str
) -> None:
    path = tmp_path / "a.zarr"
    spoil(path)
    before = content(path) if path.is_dir() else path.read_bytes()
    with pytest.raises(DfPolicyError, match=message):
        EpisodeStore.open(path)
    with pytest.raises(DfPolicyError, match=message):
        EpisodeWriter.open(path, SPEC, "tiny")
    assert (content(path) if path.is_dir() else path.read_bytes()) == before


def test_a_missing_recording_is_named(tmp_path: Path) -> None:
    with pytest.raises(DfPolicyError, match="nothing there"):
        EpisodeStore.open(tmp_path / "b.zarr")


def test_a_bad_number_on_the_disk_is_found_on_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    record(path, [0])
    zarr.open_group(path, mode="r+")["data/q"][4] = np.nan
    with pytest.raises(DfPolicyError, match="finite numbers in q of episode 0"):
        EpisodeStore.open(path).episode(0)


def test_a_damaged_image_file_is_found_on_reading(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    record(path, [0])
    shard = path / "data" / "image_front" / "c" / "0" / "0" / "0" / "0"
    shard.write_bytes(shard.read_bytes()[:200])
    with pytest.raises(DfPolicyError, match="decode"):
        EpisodeStore.open(path).episode(0)


def test_an_episode_that_is_not_there_is_refused(tmp_path: Path) -> None:
    record(tmp_path / "a.zarr", [0])
    with pytest.raises(DfPolicyError, match="from 0 to 0"):
        EpisodeStore.open(tmp_path / "a.zarr").episode(1)
