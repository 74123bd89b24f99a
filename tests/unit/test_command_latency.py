"""What `latency` makes of a trace, without any ROS."""

import json
import math
import re

import numpy as np
import pytest
from tiny_world import SPEC, frames

from df_policy.cli import main
from df_policy.commands import latency
from df_policy.data.writer import EpisodeWriter
from df_policy.ros_nodes.stages import STAGES


@pytest.fixture
def run(monkeypatch):
    """In place of the nodes: a trace of straight motion at 100 Hz, planned at 5 Hz."""

    def write(options, trace, result):
        stamps = 1000.0 + np.arange(1000) / 100
        position = np.stack([0.1 * (stamps - 1000), 0 * stamps, 0 * stamps], axis=1)
        targets = np.column_stack([0 * stamps, stamps, position, np.zeros((1000, 4))])
        began = 1000.1 + 0.2 * np.arange(40)
        stages = np.tile(np.arange(1.0, len(STAGES) + 1), (40, 1))
        told = np.column_stack([np.arange(10), 100 + np.arange(10) / 60, np.full((10, 4), 5.0)])
        np.savez(
            trace,
            targets=targets,
            plans=np.column_stack([0 * began, began, began - 0.05, stages]),
            told=told,
        )
        result.write_text(json.dumps({"successes": 1, "episodes": 2}))
        return 0

    monkeypatch.setattr(latency, "find_spec", lambda _: True)
    monkeypatch.setattr(latency, "run", write)


def test_it_prints_a_table_and_writes_the_figures(run, tmp_path, capsys):
    path = tmp_path / "figures.json"
    assert main(["latency", "--json", str(path)]) == 0
    found = json.loads(path.read_text())
    assert found["result"] == {"successes": 1, "episodes": 2}
    assert found["missed_ticks"] == 0
    assert found["jitter_ms"]["worst"] < 1e-3
    assert set(found["stages_ms"]) == {*STAGES, "whole chain"}
    assert found["memory"]["policy_node"]["growth_mb_per_min"] == pytest.approx(1.0)
    assert found["machine"]["cores"] >= 1
    said = capsys.readouterr().out
    assert re.search(r"missed ticks: 0\b.*, plans: 40", said)
    assert "episodes solved: 1 of 2" in said
    assert all(stage in said for stage in STAGES)


def test_the_jerk_of_a_recording_stands_beside(run, tmp_path):
    with EpisodeWriter.open(tmp_path / "r.zarr", SPEC, "tiny") as writer:
        for frame in frames(0):
            writer.append(frame)
        writer.keep(0, True)
    found = latency.operators_jerk(tmp_path / "r.zarr")
    assert found["p50"] > 0.0


def test_a_line_has_a_slope_and_a_point_has_none():
    assert latency.slope(np.arange(5.0), 3.0 * np.arange(5)) == pytest.approx(3.0)
    assert math.isnan(latency.slope(np.zeros(3), np.zeros(3)))
    assert math.isnan(latency.slope(np.arange(3.0), np.full(3, np.nan)))


@pytest.mark.parametrize("options", [["--rate", "5"], ["--delay", "-1"], ["--loss", "2"]])
def test_what_makes_no_sense_is_refused_before_any_node_starts(options, monkeypatch, capsys):
    monkeypatch.setattr(latency, "find_spec", lambda _: True)
    assert main(["latency", *options]) == 1
    assert capsys.readouterr().err.count("\n") == 1
