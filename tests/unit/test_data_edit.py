"""Editing: what is asked for changes, nothing else does, and images are never encoded anew."""

from __future__ import annotations

import os
import sys
import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import zarr
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from small_store import arrived, make_old, record
from tiny_world import SPEC, frames

from df_policy.data import edit, image_codec, shards
from df_policy.data.compose import compose, whole
from df_policy.data.episode import stack
from df_policy.data.reader import EpisodeStore
from df_policy.data.replace import backup_path, put_in_place
from df_policy.data.verify import verify
from df_policy.data.writer import EpisodeWriter
from df_policy.errors import DfPolicyError

FRAMES = 130
"""Two episodes are longer than one file of images."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> EpisodeStore:
    path = tmp_path_factory.mktemp("whole") / "a.zarr"
    return EpisodeStore.open(record(path, [0, 1, 2, 3, 4], FRAMES))


def check(path: Path, wanted: list[tuple[int, int, int]]) -> EpisodeStore:
    """The recording holds these (seed, first frame, frame after the last), proven."""
    proof = verify(path)
    assert (proof.findings, proof.notes, proof.unproven) == ((), (), 0)
    found = EpisodeStore.open(path)
    assert list(found.seeds) == [seed for seed, _, _ in wanted]
    for index, (seed, start, stop) in enumerate(wanted):
        expected = stack([arrived(frame) for frame in frames(seed, FRAMES)], SPEC)
        origin = expected["stamp_ns"][start]
        for name, rows in found.episode(index).arrays.items():
            part = expected[name][start:stop].copy()
            if name.endswith("stamp_ns"):
                part -= origin
            elif name == "arrivals":
                part[:, :, 0] -= origin
            assert np.array_equal(rows, part), name
    return found


def all_of(*seeds: int) -> list[tuple[int, int, int]]:
    return [(seed, 0, FRAMES) for seed in seeds]


def test_deleted_episodes_are_gone_and_the_others_as_they_were(store, tmp_path: Path) -> None:
    plan = edit.delete(store, [1, 3])
    assert len(plan.says) == 2
    edit.write(plan, tmp_path / "b.zarr")
    found = check(tmp_path / "b.zarr", all_of(0, 2, 4))
    assert [found.label(index).note for index in range(3)] == ["note 0", "note 2", "note 4"]
    assert found.next_seed == 5


def test_two_halves_make_the_whole_again(store, tmp_path: Path) -> None:
    for name, plan in zip(("a", "b"), edit.split(store, 2), strict=True):
        edit.write(plan, tmp_path / name)
    check(tmp_path / "a", all_of(0, 1))
    halves = [EpisodeStore.open(tmp_path / name) for name in ("a", "b")]
    edit.write(edit.merge(halves), tmp_path / "c")
    check(tmp_path / "c", all_of(0, 1, 2, 3, 4))


@settings(max_examples=6)
@given(
    parts=st.lists(
        st.tuples(st.integers(0, 4), st.integers(0, FRAMES - 1), st.integers(1, FRAMES)),
        min_size=1,
        max_size=5,
    ),
    share=st.booleans(),
)
def test_any_parts_in_any_order_come_out_as_they_were(store, parts, share) -> None:
    pieces, wanted = [], []
    for number, start, length in parts:
        stop = min(start + length, FRAMES)
        pieces.append(replace(whole(store)[number], start=start, stop=stop))
        wanted.append((number, start, stop))
    with tempfile.TemporaryDirectory() as folder:
        compose(Path(folder) / "b.zarr", store.header, pieces, share=share)
        check(Path(folder) / "b.zarr", wanted)


def encoded(path: Path, camera: str, count: int) -> list[shards.Encoded]:
    found: list[shards.Encoded] = []
    for number in range(-(-count // 256)):
        file = path / "data" / f"image_{camera}" / "c" / str(number) / "0" / "0" / "0"
        found += shards.read(file, 256, 2**20)
    return found[:count]


def test_images_are_moved_and_never_encoded(store, tmp_path: Path, monkeypatch) -> None:
    monkeypatch.setattr(image_codec.imagecodecs, "webp_encode", None)
    plan = edit.delete(store, [0])
    edit.write(plan, tmp_path / "b.zarr")
    for camera in SPEC.cameras:
        assert (
            encoded(tmp_path / "b.zarr", camera, 4 * FRAMES)
            == (encoded(store.path, camera, 5 * FRAMES)[FRAMES:])
        )


def test_a_black_image_that_has_no_bytes_stays_black(tmp_path: Path) -> None:
    made = [arrived(frame) for frame in frames(0, 5)]
    black = np.zeros((6, 8, 3), np.uint8)
    seen = made[3].observation
    made[3] = replace(made[3], observation=replace(seen, images={**seen.images, "front": black}))
    with EpisodeWriter.open(tmp_path / "a.zarr", SPEC, "tiny") as writer:
        for frame in made:
            writer.append(frame)
        writer.keep(0)
    edit.write(edit.merge([EpisodeStore.open(tmp_path / "a.zarr")]), tmp_path / "b.zarr")
    assert verify(tmp_path / "b.zarr").findings == ()
    images = EpisodeStore.open(tmp_path / "b.zarr").episode(0).arrays["image_front"]
    assert np.array_equal(images, stack(made, SPEC)["image_front"])


def test_trimming_moves_the_stamps_to_the_new_start(store, tmp_path: Path) -> None:
    edit.write(edit.trim(store, [1, 2], 7, 3), tmp_path / "b.zarr")
    wanted = all_of(0, 1, 2, 3, 4)
    wanted[1:3] = [(1, 7, FRAMES - 3), (2, 7, FRAMES - 3)]
    check(tmp_path / "b.zarr", wanted)


def test_a_label_is_changed_in_place_and_the_old_store_stays(tmp_path: Path) -> None:
    path = record(tmp_path / "a.zarr", [0, 1, 2], FRAMES)
    plan = edit.relabel(
        EpisodeStore.open(path),
        [1],
        lambda label: replace(label, success=True, note="better"),
        "new",
    )
    assert len(plan.says) == 2
    backup = edit.write_in_place(plan, path)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.backup1.zarr", "a.zarr"]
    found = check(path, all_of(0, 1, 2))
    assert found.header.task == "new"
    assert [found.label(i).note for i in range(3)] == ["note 0", "better", "note 2"]
    assert list(found.success) == [True, True, True]
    old = check(backup, all_of(0, 1, 2))
    assert list(old.success) == [True, False, True]
    first = Path("data", "image_front", "c", "0", "0", "0", "0")
    assert (path / first).stat().st_ino == (backup / first).stat().st_ino  # no bytes were copied


def test_recording_on_after_an_edit_leaves_the_backup_as_it_is(tmp_path: Path) -> None:
    path = record(tmp_path / "a.zarr", [0, 1], FRAMES)
    backup = edit.write_in_place(edit.delete(EpisodeStore.open(path), [0]), path)
    record(path, [7], FRAMES)
    check(path, all_of(1, 7))
    check(backup, all_of(0, 1))


def test_without_checksums_there_are_none_afterwards(tmp_path: Path) -> None:
    """An edit does not sign what nobody has proven."""
    path = make_old(record(tmp_path / "a.zarr", [0, 1]))
    edit.write(edit.trim(EpisodeStore.open(path), [1], 2, 0), tmp_path / "b.zarr")
    proof = verify(tmp_path / "b.zarr")
    assert (proof.findings, proof.unproven) == ((), 2)


def test_a_damaged_episode_is_not_signed(tmp_path: Path) -> None:
    path = record(tmp_path / "a.zarr", [0, 1])
    images = zarr.open_group(path, mode="r+")["data/image_front"]
    images[2] = images[3]
    with pytest.raises(DfPolicyError, match="the checksum"):
        edit.write(edit.trim(EpisodeStore.open(path), [0], 5, 0), tmp_path / "b.zarr")
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_a_recording_that_runs_is_left_alone(tmp_path: Path) -> None:
    path = record(tmp_path / "a.zarr", [0, 1])
    plan = edit.delete(EpisodeStore.open(path), [0])
    with (
        EpisodeWriter.open(path, SPEC, "tiny"),
        pytest.raises(DfPolicyError, match="only writer"),
    ):
        edit.write_in_place(plan, path)
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]


def test_other_robots_and_tasks_are_not_merged(store, tmp_path: Path) -> None:
    other = EpisodeStore.open(record(tmp_path / "b.zarr", [0], task="other"))
    with pytest.raises(DfPolicyError, match="task = 'tiny'"):
        edit.merge([store, other])
    with pytest.raises(DfPolicyError, match="each recording once"):
        edit.merge([store, store])


def test_what_is_there_is_not_overwritten(store, tmp_path: Path) -> None:
    (tmp_path / "b.zarr").write_text("dear to someone")
    with pytest.raises(DfPolicyError, match="expected nothing at"):
        edit.write(edit.delete(store, [0]), tmp_path / "b.zarr")
    assert (tmp_path / "b.zarr").read_text() == "dear to someone"


@pytest.mark.parametrize("text", ["", "x", "3-1", "5", "-1", "1,,2", "1-9999999999"])
def test_senseless_episodes_are_refused(text: str) -> None:
    with pytest.raises(DfPolicyError, match="expected episodes"):
        edit.episode_numbers(text, 5)


@given(st.lists(st.tuples(st.integers(0, 20), st.integers(0, 9)), min_size=1, max_size=5))
def test_episodes_are_named_by_numbers_and_ranges(ranges) -> None:
    text = ",".join(f"{a}-{a + n}" if n else str(a) for a, n in ranges)
    wanted = {k for a, n in ranges for k in range(a, a + n + 1)}
    assert edit.episode_numbers(text, 40) == sorted(wanted)


@pytest.mark.parametrize(
    "make",
    [
        lambda s: edit.delete(s, range(5)),
        lambda s: edit.split(s, 0),
        lambda s: edit.split(s, 5),
        lambda s: edit.trim(s, [0], 100, 30),
        lambda s: edit.trim(s, [0], 0, 0),
        lambda s: edit.trim(s, [0], -1, 5),
    ],
)
def test_what_would_leave_nothing_is_refused(store, make) -> None:
    with pytest.raises(DfPolicyError, match="expected"):
        make(store)


@pytest.mark.parametrize("exchange", [True, False])
def test_one_takes_the_place_of_another(tmp_path: Path, monkeypatch, exchange: bool) -> None:
    from df_policy.data import replace as replacing

    if not exchange:
        monkeypatch.setattr(replacing, "_exchange", lambda one, other: False)
    for name in ("new", "a.zarr", "a.backup1.zarr"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "x").write_text(name)
    assert backup_path(tmp_path / "a.zarr").name == "a.backup2.zarr"
    backup = put_in_place(tmp_path / "new", tmp_path / "a.zarr")
    assert (backup / "x").read_text() == "a.zarr"
    assert (tmp_path / "a.zarr" / "x").read_text() == "new"
    assert not (tmp_path / "new").exists()
