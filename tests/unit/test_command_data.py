"""`data`: what it prints, writes and answers."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import av
import cv2
import numpy as np
import pytest
import zarr

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from small_store import arrived, record
from tiny_world import SPEC, STEPS, frames

from df_policy import cli
from df_policy.commands import data
from df_policy.data.episode import stack
from df_policy.data.reader import EpisodeStore
from df_policy.data.summary import column_statistics, summarize
from df_policy.data.writer import EpisodeWriter
from df_policy.errors import DfPolicyError


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return record(tmp_path / "a.zarr", [0, 1, 2])


def content(path: Path) -> dict[str, bytes]:
    return {str(p.relative_to(path)): p.read_bytes() for p in path.rglob("*") if p.is_file()}


def test_help_names_every_sub_command_and_imports_nothing_heavy() -> None:
    heavy = "{'numpy', 'torch', 'zarr', 'rich', 'rerun', 'matplotlib'}"
    program = (
        "import sys; from df_policy import cli; code = cli.main(['data', '--help']); "
        f"sys.exit(code or bool({heavy} & set(sys.modules)))"
    )
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert all(name in done.stdout for name in data.SUBCOMMANDS)


@pytest.mark.parametrize("name", data.SUBCOMMANDS)
def test_every_sub_command_has_options(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        data.main([name, "--help"])
    assert ended.value.code == 0
    assert f"data {name}" in capsys.readouterr().out


def test_an_unknown_sub_command_gets_the_nearest_name(capsys: pytest.CaptureFixture[str]) -> None:
    assert data.main(["verfy"]) == 2
    assert capsys.readouterr().err == "df_policy data: unknown 'verfy'; did you mean 'verify'?\n"
    assert data.main([]) == 2


def test_verify_says_that_all_is_well(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert data.main(["verify", str(path)]) == 0
    assert "whole, 3 episodes, 36 frames, all as recorded" in capsys.readouterr().out


def test_verify_fails_with_a_list_of_what_is_wrong(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    zarr.open_group(path, mode="r+")["data/q"][STEPS + 2] = np.nan
    missing = str(tmp_path / "b.zarr")
    assert data.main(["verify", str(path), missing]) == 1
    shown = capsys.readouterr().out
    assert "episode 1: expected finite numbers in q" in shown
    assert "nothing there" in shown
    assert data.main(["verify", "--json", str(path), missing]) == 1
    found = json.loads(capsys.readouterr().out)
    assert [one["whole"] for one in found] == [False, False]
    assert found[0]["broken"] == [1]


def test_repair_writes_nothing_until_it_is_told_where(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert data.main(["repair", str(path)]) == 0
    assert "nothing to repair" in capsys.readouterr().out
    zarr.open_group(path, mode="r+")["data/q"][2 * STEPS + 2] = 0.5
    before = content(path)
    assert data.main(["repair", str(path)]) == 0
    assert "cut episode 2 (12 frames): broken" in capsys.readouterr().out
    assert data.main(["repair", str(path), "--in-place", "--dry-run"]) == 0
    assert content(path) == before
    assert [p.name for p in tmp_path.iterdir()] == ["a.zarr"]
    assert data.main(["repair", str(path), "--in-place"]) == 0
    assert data.main(["verify", str(path)]) == 0
    assert content(tmp_path / "a.backup1.zarr") == before


def test_a_recording_without_episodes_is_whole_and_says_that_it_is_empty(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    path = record(tmp_path / "a.zarr", [])
    assert data.main(["verify", str(path)]) == 0
    assert data.main(["repair", str(path)]) == 0
    assert "nothing to repair" in capsys.readouterr().out
    for words in (["view", "--out", str(tmp_path / "a.mp4")], ["info"], ["stats"]):
        with pytest.raises(DfPolicyError, match=r"expected episodes in .*a\.zarr, got none"):
            data.main([words[0], str(path), *words[1:]])


def test_a_rerun_file_appears_whole_or_not_at_all(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("rerun", reason="pip install '.[view]'")

    def broken(*_: object) -> None:
        raise RuntimeError("no more room")

    monkeypatch.setattr("df_policy.data.rerun_log._log_pictures", broken)
    with pytest.raises(DfPolicyError, match="got no more room"):
        data.main(["view", str(path), "--out", str(tmp_path / "made" / "a.rrd")])
    assert list((tmp_path / "made").iterdir()) == []


def test_info_tells_what_is_there(path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert data.main(["info", str(path)]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "3, 2 successful" in shown
    assert "10.00 to 10.00 Hz" in shown
    assert "dropped none" in shown


def test_info_as_json_and_pictures(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert data.main(["info", str(path), "--json", "--plots", str(tmp_path / "p")]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["episodes"], found["frames"], found["successes"]) == (3, 36, 2)
    actions = np.concatenate([stack(frames(seed), SPEC)["action"] for seed in range(3)])
    assert found["action"]["y"] == [float(actions[:, 1].min()), float(actions[:, 1].max())]
    assert found["per_episode"][1]["note"] == "note 1"
    sheet = cv2.imread(str(tmp_path / "p" / "contact_sheet.png"))
    # Three rows of 96 pixels with a caption; per moment one of 6x8 and one of 4x4.
    assert sheet.shape == (3 * (96 + 20), 3 * (128 + 96), 3)
    first = frames(0)[0].observation.images["front"][0, 0]
    assert np.array_equal(sheet[20, 0, ::-1], first)
    assert cv2.imread(str(tmp_path / "p" / "overview.png")) is not None


def test_losses_are_in_the_summary(tmp_path: Path) -> None:
    with EpisodeWriter.open(tmp_path / "a.zarr", SPEC, "tiny") as writer:
        for frame in frames(0):
            came = {**arrived(frame).observation.arrivals}
            late = came["image_wrist"].__class__(0, 10**18, 2)
            writer.append(arrived(frame, image_wrist=late))
        writer.keep(0)
    found = summarize(EpisodeStore.open(tmp_path / "a.zarr"))
    assert found["dropped"] == {"image_front": 0, "image_wrist": 24, "joints": 0, "tool": 0}
    assert found["late"]["image_wrist"] == STEPS - 1
    assert found["per_episode"][0]["late"]["tick"] == 0


def test_statistics_are_those_of_all_frames(
    path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    found = column_statistics(EpisodeStore.open(path))
    for name in ("q", "action", "gripper"):
        rows = np.concatenate([stack(frames(seed), SPEC)[name] for seed in range(3)]).astype(float)
        assert found[name]["count"] == len(rows)
        for kind in ("mean", "std", "min", "max"):
            assert np.allclose(found[name][kind], getattr(rows, kind)(0), atol=1e-9), (name, kind)
        assert np.allclose(found[name]["p50"], np.median(rows, axis=0), atol=1e-6)
    images = np.concatenate([stack(frames(seed), SPEC)["image_front"] for seed in range(3)])
    mean = images[:, ::2, ::2].mean((0, 1, 2)) / 255
    assert np.allclose(found["image_front"]["mean"], mean, atol=1e-6)
    assert data.main(["stats", str(path), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["q"] == found["q"]
    assert data.main(["stats", str(path)]) == 0


def test_statistics_in_parts_are_those_of_the_whole(path: Path, monkeypatch) -> None:
    from df_policy.data import storage, summary

    whole = column_statistics(EpisodeStore.open(path))
    monkeypatch.setattr(storage, "block_rows", lambda column: 7)
    monkeypatch.setattr(summary, "_SAMPLED_ROWS", 10_000)
    parts = column_statistics(EpisodeStore.open(path))
    for kind in ("mean", "std", "min", "max", "p01", "p99"):
        assert np.allclose(whole["action"][kind], parts["action"][kind])


def test_an_episode_becomes_a_film(path: Path, tmp_path: Path) -> None:
    out = tmp_path / "e.mp4"
    assert data.main(["view", str(path), "--episode", "-1", "--out", str(out)]) == 0
    with av.open(str(out)) as film:
        pictures = [frame.to_ndarray(format="rgb24") for frame in film.decode(video=0)]
    assert len(pictures) == STEPS
    # Both cameras side by side, blown up to 240 lines; a caption above.
    assert pictures[0].shape == (260, 320 + 240, 3)
    seen = frames(2)[4].observation.images["front"].astype(int)
    shown = pictures[4][20:, :320].reshape(6, 40, 8, 40, 3).mean((1, 3))
    assert np.abs(shown - seen).mean() < 20


def test_an_episode_becomes_a_rerun_file(path: Path, tmp_path: Path) -> None:
    pytest.importorskip("rerun")
    out = tmp_path / "e.rrd"
    assert data.main(["view", str(path), "--out", str(out)]) == 0
    assert out.read_bytes()[:3] == b"RRF"
    assert out.stat().st_size > 3000


def test_without_rerun_the_way_to_get_it_is_named(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "rerun", None)
    with pytest.raises(DfPolicyError, match=r"pip install 'df_policy\[view\]'"):
        data.main(["view", str(path), "--out", str(tmp_path / "e.rrd")])


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["view", "PATH", "--episode", "3"], "episode from 0 to 2"),
        (["view", "PATH", "--out", "x.gif"], ".rrd or .mp4"),
        (["edit", "relabel", "PATH"], "expected --success, --note or --task"),
        (["edit", "relabel", "PATH", "--success", "no"], "expected --episodes"),
        (["edit", "delete", "PATH", "--episodes", "0-2"], "expected episodes to stay"),
        (["edit", "delete", "PATH", "--episodes", "0", "--out", "x", "--in-place"], "choose one"),
        (["info", "nothing.zarr"], "nothing there"),
    ],
)
def test_a_mistake_is_one_line(
    path: Path, words: list[str], message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert cli.main(["data", *(word.replace("PATH", str(path)) for word in words)]) == 1
    errors = capsys.readouterr().err
    assert message in errors
    assert errors.count("\n") == 1


def test_edits_from_the_command_line(
    path: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    a, b, c = (str(tmp_path / name) for name in ("1.zarr", "2.zarr", "3.zarr"))
    before = content(path)
    assert data.main(["edit", "split", str(path), "--at", "1"]) == 0
    assert "dry run" in capsys.readouterr().out
    assert data.main(["edit", "split", str(path), "--at", "1", "--out", a, b]) == 0
    assert data.main(["edit", "merge", b, a, "--out", c]) == 0
    assert list(EpisodeStore.open(c).seeds) == [1, 2, 0]
    words = ["--episodes", "0", "--success", "yes", "--note", "mended", "--in-place"]
    assert data.main(["edit", "relabel", c, *words]) == 0
    assert EpisodeStore.open(c).label(0).note == "mended"
    assert data.main(["edit", "delete", c, "--episodes", "1-2", "--in-place"]) == 0
    assert data.main(["edit", "trim", c, "--episodes", "0", "--head", "2", "--in-place"]) == 0
    assert list(EpisodeStore.open(c).lengths) == [STEPS - 2]
    assert data.main(["edit", "relabel", c, "--task", "other", "--in-place"]) == 0
    assert EpisodeStore.open(c).header.task == "other"
    assert data.main(["verify", a, b, c]) == 0
    assert content(path) == before
