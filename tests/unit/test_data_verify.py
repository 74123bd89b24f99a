"""Proof and repair: all damage is found and named, and no good episode is lost."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import zarr

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from small_store import make_old, record
from tiny_world import SPEC, frames

from df_policy.data import edit, repair
from df_policy.data.cache import load_cache
from df_policy.data.episode import stack
from df_policy.data.reader import EpisodeStore
from df_policy.data.verify import verify
from df_policy.data.writer import EpisodeWriter
from df_policy.errors import DfPolicyError

SHARD = "data/image_front/c/0/0/0/0"


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three episodes; in copies of it things go wrong."""
    return record(tmp_path_factory.mktemp("whole") / "a.zarr", [0, 1, 2], 130)


@pytest.fixture
def path(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "a.zarr"))


def content(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_a_recording_is_proven_and_not_touched(path: Path) -> None:
    before = content(path)
    reports: list[tuple[int, int]] = []
    proof = verify(path, lambda *n: reports.append(n))
    assert (proof.findings, proof.notes, proof.unproven) == ((), (), 0)
    assert (proof.episodes, proof.frames) == (3, 390)
    assert reports[-1] == (390, 390)
    assert content(path) == before


def set_row(name: str, row: int, value: object) -> Callable[[Path], None]:
    def change(path: Path) -> None:
        zarr.open_group(path, mode="r+")[name][row] = value

    return change


def cut_file(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).write_bytes((path / name).read_bytes()[:-9])


def lose_file(name: str) -> Callable[[Path], None]:
    return lambda path: (path / name).unlink()


def other_image(path: Path) -> None:
    images = zarr.open_group(path, mode="r+")["data/image_wrist"]
    images[135] = images[134]


@pytest.mark.parametrize(
    ("spoil", "broken", "message"),
    [
        (set_row("data/q", 140, 0.5), (1,), "episode 1.*data/q"),
        (set_row("data/action", 389, np.nan), (2,), "episode 2.*finite numbers in action"),
        (set_row("data/stamp_ns", 3, 0), (0,), "ms between frames"),
        (set_row("data/tool_quat_xyzw", 3, 0.0), (0,), "no rotation"),
        (set_row("data/arrivals", 3, 1), (), "episode 0.*data/arrivals"),
        (set_row("meta/success", 1, True), (), "episode 1.*meta/success is not as written"),
        (set_row("meta/note", 2, 65), (), "episode 2.*meta/note"),
        (set_row("meta/dropped", 0, 3), (), "episode 0.*meta/dropped"),
        (set_row("meta/checksum", 1, 3), (1,), "episode 1.*checksum"),
        (set_row("meta/episode_ends", 0, 129), (0, 1), "episode 0"),
        (other_image, (1,), "episode 1.*data/image_wrist"),
        (cut_file(SHARD), (0, 1), "decode"),
        (lose_file(SHARD), (0, 1), "episode 0.*data/image_front"),
        (cut_file("data/tool_quat_xyzw/c/0/0"), (0, 1, 2), "decode.*tool_quat_xyzw"),
        (lose_file("data/q/c/0/0"), (0, 1, 2), "data/q"),
        (lose_file("meta/note/zarr.json"), (), "store.*meta/note"),
        (lose_file("data/arrivals/c/0/0/0"), (), "data/arrivals"),
        (lose_file("meta/checksum/c/0/0"), (), "no checksums"),
    ],
)
def test_what_is_wrong_is_found_where_it_is(path: Path, spoil, broken, message: str) -> None:
    spoil(path)
    proof = verify(path)
    said = [*map(str, proof.findings), *proof.notes]
    assert proof.broken == broken, said
    assert any(re.search(message, line, re.DOTALL) for line in said), said


def test_other_attributes_are_found(path: Path) -> None:
    node = json.loads((path / "zarr.json").read_text())
    node["attributes"]["robot"]["max_speed_m_s"] = 7.0
    (path / "zarr.json").write_text(json.dumps(node))
    assert [f.frames for f in verify(path).findings] == [False]


@pytest.mark.parametrize("name", ["zarr.json", "data/q/zarr.json", "meta/episode_ends/zarr.json"])
def test_a_store_that_does_not_open_is_a_finding(path: Path, name: str) -> None:
    (path / name).unlink()
    proof = verify(path)
    assert len(proof.findings) == 1
    assert proof.store is None
    with pytest.raises(DfPolicyError, match="nothing can"):
        repair.plan(proof, drop_broken=True)


@pytest.mark.parametrize("name", ["../../escape", "/tmp/escape", "a/b", "", "x" * 99])
def test_a_cameras_name_is_no_way_out(path: Path, tmp_path: Path, name: str) -> None:
    node = json.loads((path / "zarr.json").read_text())
    cameras = node["attributes"]["robot"]["cameras"]
    cameras[name] = cameras.pop("wrist")
    (path / "zarr.json").write_text(json.dumps(node))
    with pytest.raises(DfPolicyError, match="camera's name"):
        load_cache(path, tmp_path / "cache")
    assert sorted(p.name for p in tmp_path.iterdir()) == ["a.zarr"]


def test_a_link_out_of_the_store_is_refused_for_reading_and_writing(
    path: Path, tmp_path: Path
) -> None:
    (tmp_path / "outside").mkdir()
    shutil.rmtree(path / "data" / "q" / "c")
    (path / "data" / "q" / "c").symlink_to(tmp_path / "outside")
    for use in (EpisodeStore.open, lambda p: EpisodeWriter.open(p, SPEC, "tiny")):
        with pytest.raises(DfPolicyError, match="a link at data/q/c"):
            use(path)
    assert not list((tmp_path / "outside").iterdir())


def test_files_that_a_writer_moves_meanwhile_do_not_matter(path: Path, monkeypatch) -> None:
    """Its unfinished files are there when the folder is listed, and gone a moment later."""
    scandir = os.scandir

    def hasty(folder: str | Path):
        (Path(folder) / "0.left.partial").write_bytes(b"half")
        entries = list(scandir(folder))
        (Path(folder) / "0.left.partial").unlink()
        return contextlib.nullcontext(entries)

    with monkeypatch.context() as patch:
        patch.setattr(os, "scandir", hasty)
        store = EpisodeStore.open(path)
    assert len(store) == 3


def test_a_recording_of_version_1_is_read_and_goes_on(tmp_path: Path) -> None:
    path = make_old(record(tmp_path / "a.zarr", [0, 2]))
    old = EpisodeStore.open(path).episode(0).arrays
    expected = stack(frames(0), SPEC)
    for name, rows in expected.items():
        assert np.array_equal(old[name], rows), name  # nobody told of arrivals there either
    assert len(load_cache(path, tmp_path / "cache")) == 2
    proof = verify(path)
    assert (proof.findings, proof.unproven) == ((), 2)
    assert "no checksums" in proof.notes[0]
    record(path, [4])
    store, proof = EpisodeStore.open(path), verify(path)
    assert store.header.version == 2
    assert list(store.seeds) == [0, 2, 4]
    assert [store.label(index).note for index in range(3)] == ["", "", "note 4"]
    assert (proof.findings, proof.unproven) == ((), 2)
    assert np.array_equal(store.episode(1).arrays["q"], stack(frames(2), SPEC)["q"])
    assert store.success[0]


def test_what_a_killed_recorder_left_is_no_fault(path: Path) -> None:
    for name in ("q", "stamp_ns"):
        rows = zarr.open_group(path, mode="r+")[f"data/{name}"]
        rows.resize((395, *rows.shape[1:]))
    (path / "data" / "q" / "c" / "0" / "0.half.partial").write_bytes(b"half")
    proof = verify(path)
    assert proof.findings == ()
    assert "5 frames past the last episode" in proof.notes[0]
    assert "1 files of a writer" in proof.notes[1]


def saved(path: Path, out: Path, *, drop_broken: bool) -> list[int]:
    """The seeds of the episodes that a repair keeps; it is whole, and the source is untouched."""
    before = content(path)
    plan = repair.plan(verify(path), drop_broken=drop_broken)
    edit.write(plan, out)
    assert content(path) == before
    assert verify(out).findings == ()
    return EpisodeStore.open(out).seeds.tolist()


def test_a_broken_end_is_cut(path: Path, tmp_path: Path) -> None:
    set_row("data/q", 300, 9.0)(path)
    assert saved(path, tmp_path / "b.zarr", drop_broken=False) == [0, 1]


def test_a_broken_middle_is_left_out_only_when_asked(path: Path, tmp_path: Path) -> None:
    set_row("data/q", 140, 9.0)(path)
    with pytest.raises(DfPolicyError, match="--drop-broken"):
        repair.plan(verify(path), drop_broken=False)
    assert saved(path, tmp_path / "b.zarr", drop_broken=True) == [0, 2]


@pytest.mark.parametrize("name", ["note", "dropped", "late", "checksum", "seed", "success"])
def test_lost_labels_cost_no_episode(path: Path, tmp_path: Path, name: str) -> None:
    shutil.rmtree(path / "meta" / name)
    assert len(saved(path, tmp_path / "b.zarr", drop_broken=False)) == 3
    repaired = EpisodeStore.open(tmp_path / "b.zarr")
    for index in range(3):
        expected = stack(frames(index, 130), SPEC)
        assert np.array_equal(
            repaired.episode(index).arrays["image_front"], expected["image_front"]
        )


def test_nothing_to_save_is_an_error(path: Path) -> None:
    lose_file("data/q/c/0/0")(path)
    with pytest.raises(DfPolicyError, match="expected a whole episode"):
        repair.plan(verify(path), drop_broken=True)


def test_training_refuses_what_was_changed_since_it_was_recorded(
    path: Path, tmp_path: Path
) -> None:
    set_row("data/action", 4, 0.25)(path)
    with pytest.raises(DfPolicyError, match="the checksum"):
        load_cache(path, tmp_path / "cache")


def test_training_and_editing_refuse_other_labels(path: Path, tmp_path: Path) -> None:
    set_row("meta/seed", 1, 77)(path)
    with pytest.raises(DfPolicyError, match=r"the checksum .* meta/seed"):
        load_cache(path, tmp_path / "cache")
    with pytest.raises(DfPolicyError, match=r"the checksum .* meta/seed"):
        edit.delete(EpisodeStore.open(path), [0])
    assert saved(path, tmp_path / "b.zarr", drop_broken=False) == [0, 77, 2]


def test_training_refuses_images_that_are_not_those_recorded(path: Path, tmp_path: Path) -> None:
    other_image(path)
    with pytest.raises(DfPolicyError, match=r"the checksum .* data/image_wrist"):
        load_cache(path, tmp_path / "cache")
    assert not list((tmp_path / "cache").glob("decoded/*/*"))
