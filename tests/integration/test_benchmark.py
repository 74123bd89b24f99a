"""A whole benchmark in small, with the real commands, and once more when it is done."""

import json

import pytest

from df_policy.commands import benchmark
from df_policy.commands.studies import BENCHMARKS, Point, Run, Study

pytestmark = pytest.mark.slow

SMALL = Run("small", "tiny", ("--run.keep-every=10",), minutes=0.1)
FEWER = Run("fewer", "tiny", ("--run.episodes=2",), minutes=0.1)
STUDIES = (
    Study("presets", "Two trainings.", (Point("small", SMALL), Point("fewer", FEWER))),
    Study(
        "minutes",
        "Two checkpoints.",
        (Point("20", SMALL, step=20), Point("10", SMALL, step=10)),
        axis="minutes of training",
        number="minutes",
    ),
)


def test_it_is_done_once_from_the_recording_to_the_plots(tmp_path, monkeypatch, capfd):
    monkeypatch.setitem(BENCHMARKS, "fruit_swap", STUDIES)
    monkeypatch.setattr(benchmark, "RECORDED", 3)
    words = ["fruit_swap", f"--out={tmp_path}", "--episodes=1", "--workers=1"]
    assert benchmark.main([*words, "--only=minutes"]) == 0
    said = capfd.readouterr().out
    assert "[4/4] about" in said  # a recording, a training, two evaluations
    assert not (tmp_path / "presets.png").exists()
    assert benchmark.main(words) == 0
    assert "[3/3] about" in capfd.readouterr().out  # a training, two evaluations
    data = json.loads((tmp_path / "benchmark.json").read_text())["studies"]
    assert [row["label"] for row in data["presets"]["rows"]] == ["small", "fewer"]
    late, early = (row["number"] for row in data["minutes"]["rows"])
    assert 0.0 < early <= late
    assert (tmp_path / "presets.png").is_file()
    stamp = (tmp_path / "runs" / "small" / "checkpoint.json").stat().st_mtime_ns
    assert benchmark.main(words) == 0
    assert "left" not in capfd.readouterr().out
    assert (tmp_path / "runs" / "small" / "checkpoint.json").stat().st_mtime_ns == stamp
