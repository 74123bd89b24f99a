"""A whole benchmark in small, with the real commands, and once more when it is done."""

import json

import pytest

from df_policy.commands import benchmark
from df_policy.commands.studies import BENCHMARKS, Point, Recording, Run, Study

pytestmark = pytest.mark.slow

WHOLE = Recording("recording", episodes=3)
SHORT = Recording("recording_short", task="fruit_swap_regrasp", episodes=2)
SMALL = Run("small", "tiny", ("--run.keep-every=10",), minutes=0.1, recordings=(WHOLE,))
FEWER = Run("fewer", "tiny", ("--run.episodes=2",), minutes=0.1, recordings=(WHOLE,))
APART = Run("apart", "tiny", minutes=0.1, recordings=(WHOLE, SHORT))
COMPOSED = ("--histories=4,1", "--history-weights=0.5,0.25,0.25")
STUDIES = (
    Study("presets", "Two trainings.", (Point("small", SMALL), Point("fewer", FEWER))),
    Study("histories", "Two recordings, two histories.", (Point("4,1", APART, COMPOSED),)),
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
    words = ["fruit_swap", f"--out={tmp_path}", "--episodes=1", "--workers=1"]
    assert benchmark.main([*words, "--only=minutes"]) == 0
    said = capfd.readouterr().out
    assert "[4/4] about" in said  # a recording, a training, two evaluations
    assert not (tmp_path / "presets.png").exists()
    assert benchmark.main(words) == 0
    # a recording, two trainings, three evaluations
    assert "[6/6] about" in capfd.readouterr().out
    data = json.loads((tmp_path / "benchmark.json").read_text())["studies"]
    assert [row["label"] for row in data["presets"]["rows"]] == ["small", "fewer"]
    late, early = (row["number"] for row in data["minutes"]["rows"])
    assert 0.0 < early <= late
    assert (tmp_path / "presets.png").is_file()
    stamp = (tmp_path / "runs" / "small" / "checkpoint.json").stat().st_mtime_ns
    assert benchmark.main(words) == 0
    assert "left" not in capfd.readouterr().out
    assert (tmp_path / "runs" / "small" / "checkpoint.json").stat().st_mtime_ns == stamp
