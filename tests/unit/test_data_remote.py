"""Recordings elsewhere: fetched once, again where they changed, and never half or outside."""

import sys
from pathlib import Path

import fsspec
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from tiny_world import SPEC, frames

from df_policy.data.reader import EpisodeStore
from df_policy.data.remote import fetch
from df_policy.data.verify import verify
from df_policy.data.writer import EpisodeWriter
from df_policy.errors import DfPolicyError


def record(path, seed):
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        for frame in frames(seed):
            writer.append(frame)
        writer.keep(seed)


@pytest.fixture
def memory():
    """A file system in memory, empty before and after."""
    system = fsspec.filesystem("memory")
    system.rm("/lab", recursive=True) if system.exists("/lab") else None
    yield system
    system.rm("/lab", recursive=True) if system.exists("/lab") else None


def upload(system, path, to):
    for file in path.rglob("*"):
        if file.is_file():
            system.pipe_file(f"{to}/{file.relative_to(path)}", file.read_bytes())


def same(one, other):
    first, second = EpisodeStore.open(one), EpisodeStore.open(other)
    assert list(first.seeds) == list(second.seeds)
    for index in range(len(first)):
        rows = first.episode(index).arrays
        for name, found in second.episode(index).arrays.items():
            assert np.array_equal(rows[name], found)


def test_a_path_is_left_as_it_is(tmp_path):
    assert fetch(str(tmp_path / "a.zarr")) == tmp_path / "a.zarr"


def test_what_lies_in_another_file_system_is_read_as_what_lies_here(tmp_path, memory):
    record(tmp_path / "a.zarr", 0)
    upload(memory, tmp_path / "a.zarr", "/lab/a.zarr")
    here = fetch("memory://lab/a.zarr", tmp_path / "cache")
    assert here.name == "a.zarr"
    assert verify(here).findings == ()
    same(here, tmp_path / "a.zarr")


def test_only_what_is_new_or_changed_is_fetched_again(tmp_path, memory, monkeypatch):
    record(tmp_path / "a.zarr", 0)
    location = f"file://{tmp_path}/a.zarr"
    here = fetch(location, tmp_path / "cache")
    counted = []
    local = type(fsspec.filesystem("file"))
    read = local.cat_file
    monkeypatch.setattr(
        local,
        "cat_file",
        lambda self, path, **more: counted.append(path) or read(self, path, **more),
    )
    fetch(location, tmp_path / "cache")
    assert all("episode_ends" in path for path in counted)
    record(tmp_path / "a.zarr", 1)
    assert fetch(location, tmp_path / "cache") == here
    same(here, tmp_path / "a.zarr")


def test_a_recording_that_has_become_another_is_another_here(tmp_path, memory):
    record(tmp_path / "a.zarr", 0)
    record(tmp_path / "a.zarr", 1)
    record(tmp_path / "b.zarr", 7)
    upload(memory, tmp_path / "a.zarr", "/lab/a.zarr")
    here = fetch("memory://lab/a.zarr", tmp_path / "cache")
    memory.rm("/lab/a.zarr", recursive=True)
    upload(memory, tmp_path / "b.zarr", "/lab/a.zarr")
    fetch("memory://lab/a.zarr", tmp_path / "cache")
    same(here, tmp_path / "b.zarr")
    assert {f.relative_to(here) for f in here.rglob("*") if f.is_file()} == {
        f.relative_to(tmp_path / "b.zarr") for f in (tmp_path / "b.zarr").rglob("*") if f.is_file()
    }


def test_names_that_lead_elsewhere_are_refused(tmp_path, memory, monkeypatch):
    record(tmp_path / "a.zarr", 0)
    upload(memory, tmp_path / "a.zarr", "/lab/a.zarr")
    find = type(memory).find

    def hostile(self, *values, **more):
        return find(self, *values, **more) | {"/lab/a.zarr/../../evil": {"size": 4}}

    with monkeypatch.context() as patch:
        patch.setattr(type(memory), "find", hostile)
        with pytest.raises(DfPolicyError, match="plain names"):
            fetch("memory://lab/a.zarr", tmp_path / "cache")
    assert not (tmp_path / "cache").exists()


@pytest.mark.parametrize(
    ("location", "says"),
    [
        ("memory://lab/nothing.zarr", "expected a recording at memory://lab/nothing.zarr"),
        ("nonsense://lab/a.zarr", "an address that fsspec knows"),
    ],
)
def test_what_is_not_there_is_one_line(tmp_path, memory, location, says):
    with pytest.raises(DfPolicyError, match=says):
        fetch(location, tmp_path)


def test_a_missing_package_is_named_with_what_brings_it(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "s3fs", None)
    with pytest.raises(DfPolicyError, match=r"pip install 'df_policy\[remote\]'"):
        fetch("s3://bucket/a.zarr", tmp_path)
