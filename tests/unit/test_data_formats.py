"""Round trips through other projects' formats: what goes out comes back."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from strange_episodes import EPISODES, SPEC, InMemory, episode, record

from df_policy.commands import data_export, data_import
from df_policy.data.formats import registry
from df_policy.data.formats.imported import Imported
from df_policy.data.formats.source import Recording
from df_policy.data.reader import EpisodeStore

SUFFIX = {"diffusion_policy": ".zarr", "umi": ".zarr.zip", "robomimic": ".hdf5"}
"""Others are folders."""

PRECISION = {
    "umi": {"tool_quat_xyzw": 3e-7},
    "mcap": {"action": 3e-7, "action_requested": 3e-7},
}
"""Format -> column -> how far off; all others are the same to the bit."""


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def there(name: str, store: Recording, folder: Path) -> Path:
    path = folder / f"out{SUFFIX.get(name, '')}"
    registry.load(name).write(store, path, lambda: None)
    return path


def assert_same(name: str, store: Recording, path: Path) -> None:
    with registry.load(name).open_source(path) as source:
        told = source.contents.conventions
        assert source.contents.header == store.header
        back = Imported(source, told, source.contents.header, None)
        assert len(back) == len(store)
        for index in range(len(store)):
            expected, got = store.episode(index), back.episode(index)
            assert got.note == expected.note
            assert (got.seed, got.success) == (expected.seed, expected.success)
            assert got.arrays.keys() == expected.arrays.keys()
            for column, rows in expected.arrays.items():
                other = got.arrays[column]
                assert (other.dtype, other.shape) == (rows.dtype, rows.shape)
                off = np.abs(other.astype(np.float64) - rows.astype(np.float64)).max()
                assert off <= PRECISION.get(name, {}).get(column, 0.0), column


@pytest.mark.parametrize("name", registry.FORMATS)
@settings(max_examples=4, phases=[Phase.explicit, Phase.generate])
@given(episodes=EPISODES)
def test_what_goes_out_comes_back(name: str, episodes: list[tuple[int, int]]) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = InMemory([episode(SPEC, frames, seed) for frames, seed in episodes])
        assert_same(name, store, there(name, store, Path(folder)))


@pytest.mark.parametrize("name", registry.FORMATS)
def test_the_commands_make_the_same_recording_again(tmp_path: Path, name: str, capfd) -> None:
    record(tmp_path / "a.zarr", [episode(SPEC, 5, 0), episode(SPEC, 3, 1)])
    out = tmp_path / f"out{SUFFIX.get(name, '')}"
    assert data_export.main([str(tmp_path / "a.zarr"), str(out), "--format", name]) == 0
    assert data_import.main([str(out), str(tmp_path / "b.zarr")]) == 0
    one, other = (EpisodeStore.open(tmp_path / f"{x}.zarr") for x in "ab")
    assert one.header == other.header
    assert np.array_equal(one.ends, other.ends)
    assert np.array_equal(one.rows("image_front", 0, 8), other.rows("image_front", 0, 8))
    assert sorted(p.name for p in tmp_path.iterdir()) == sorted(["a.zarr", "b.zarr", out.name])
    assert "2 episodes" in capfd.readouterr().out
