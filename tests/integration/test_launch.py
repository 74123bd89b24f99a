"""The launch file, wherever ROS's launch is installed."""

import json
import os
import shutil
import subprocess
from dataclasses import fields
from pathlib import Path

import pytest
import training_data

# Not `launch`: without ROS this repository's own folder has that name.
pytest.importorskip("launch_ros")
pytest.importorskip("rclpy")

from df_policy.data.reader import EpisodeStore
from df_policy.ros_nodes.graphs import GRAPHS

pytestmark = [pytest.mark.ros, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
ROS2 = shutil.which("ros2")
needs_ros2 = pytest.mark.skipif(ROS2 is None, reason="needs the ros2 command")


def ros2_launch(*options, graph="fruit_swap"):
    return subprocess.run(
        [ROS2, "launch", f"launch/{graph}.launch.py", *options],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=150,
        check=False,
    )


@needs_ros2
@pytest.mark.parametrize("graph", GRAPHS)
def test_it_offers_the_arguments_of_the_graph(graph):
    said = ros2_launch("-s", graph=graph)
    assert said.returncode == 0, said.stderr
    for entry in fields(GRAPHS[graph].arguments):
        assert f"'{entry.name}':" in said.stdout
        assert entry.metadata["text"] in said.stdout


@needs_ros2
@pytest.mark.parametrize("option", ["checkpoint:=nowhere/at/all", "speed:=fast"])
def test_what_cannot_run_ends_with_an_error(option):
    said = ros2_launch(option)
    assert said.returncode == 1
    assert option.split(":=")[1] in said.stdout + said.stderr


@needs_ros2
def test_it_runs_episodes_and_ends_by_itself(tmp_path, monkeypatch):
    from df_policy.sim.world import World

    monkeypatch.setattr(training_data, "SPEC", World().spec)
    training_data.make_checkpoint().save(tmp_path / "untrained")
    result = tmp_path / "result.json"
    said = ros2_launch(
        f"checkpoint:={tmp_path / 'untrained'}", "episodes:=1", "speed:=3", f"result:={result}"
    )
    assert said.returncode == 0, said.stdout + said.stderr
    assert json.loads(result.read_text())["episodes"] == 1


@needs_ros2
def test_it_records_and_ends_by_itself(tmp_path):
    out = tmp_path / "a.zarr"
    given = ["task:=fruit_swap_regrasp", "device:=scripted", "speed:=2", "episodes:=1"]
    said = ros2_launch(*given, f"out:={out}", graph="record")
    assert said.returncode == 0, said.stdout + said.stderr
    assert len(EpisodeStore.open(out)) == 1
