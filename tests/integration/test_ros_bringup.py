"""Bringing up the whole graph: real processes that end when told and leave nobody behind."""

import gc
import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, replace
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
import training_data

from df_policy.cli import main
from df_policy.commands import bringup
from df_policy.ros_nodes import graph

ROOT = Path(__file__).parents[2]
needs_ros = pytest.mark.skipif(find_spec("rclpy") is None, reason="needs rclpy")


@dataclass(frozen=True)
class Script:
    """A stand-in for a node's process."""

    name: str
    code: str

    def command(self):
        return [sys.executable, "-c", self.code]


SLEEP = "import time; time.sleep(60)"
STUBBORN = (
    "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); "
    "open('ready', 'w').close(); time.sleep(60)"
)


def alive(marker):
    """Processes whose command line holds the marker."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found += [entry] if marker.encode() in entry.read_bytes() else []
        except OSError:
            continue
    return found


def wait_for(done, timeout_s=120.0):
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, f"waited {timeout_s:g} s in vain"
        time.sleep(0.05)


@pytest.mark.parametrize("code", [0, 1, 3])
def test_the_drivers_exit_code_counts_and_ends_all(code):
    marker = f"# {os.getpid()} {code}"
    nodes = [Script("sim", f"{SLEEP} {marker}"), Script("driver", f"raise SystemExit({code})")]
    assert bringup.supervise(nodes, "driver", dict(os.environ)) == code
    assert alive(marker) == []


def test_another_node_that_ends_is_an_error(capfd):
    nodes = [Script("sim", "raise SystemExit(0)"), Script("driver", SLEEP)]
    assert bringup.supervise(nodes, "driver", dict(os.environ)) == 1
    assert "sim ended early with exit code 0" in capfd.readouterr().err


def test_a_node_that_does_not_end_is_killed(tmp_path, monkeypatch, capfd):
    monkeypatch.chdir(tmp_path)
    process = subprocess.Popen([sys.executable, "-c", STUBBORN], start_new_session=True)
    wait_for((tmp_path / "ready").exists)
    begin = time.monotonic()
    bringup.stop({"stubborn": process}, patience_s=0.3)
    assert process.returncode == -signal.SIGKILL
    assert time.monotonic() - begin < 5.0
    assert "stubborn did not end" in capfd.readouterr().err


@pytest.mark.parametrize(("options", "code"), [([], 2), (["unknown"], 2), (["--help"], 0)])
def test_the_command_line_is_checked(options, code):
    with pytest.raises(SystemExit) as ended:
        bringup.main(options)
    assert ended.value.code == code


def test_without_ros_one_line_says_what_to_install(monkeypatch, capsys):
    monkeypatch.setattr(bringup, "find_spec", lambda _: None)
    assert main(["bringup", "fruit_swap"]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert "pip install df_policy[ros]" in said


@pytest.mark.parametrize("node", ["sim_node", "policy_node", "episode_node"])
def test_a_node_without_ros_says_so_in_one_line(tmp_path, node):
    broken = tmp_path / "rclpy"
    broken.mkdir()
    (broken / "__init__.py").write_text("raise ImportError('no rclpy here')\n")
    ended = subprocess.run(
        [sys.executable, "-m", f"df_policy.ros_nodes.{node}"],
        env={**os.environ, "PYTHONPATH": f"{tmp_path}:{ROOT}"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.count("\n") == 1
    assert "no rclpy here" in ended.stderr


@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["--checkpoint", "nowhere/at/all"], "no checkpoint 'nowhere/at/all'"),
        (["--result", "{file}/result.json"], "expected to write"),
        (["--result", "{folder}"], "expected a file"),
        (["--record", "{file}/films"], "expected to write"),
        (["--episodes", "0"], "episodes above 0"),
        (["--rate", "60"], "rate from 20"),
        (["--speed", "0"], "speed above 0"),
    ],
)
def test_what_cannot_run_is_said_in_one_line_before_any_node_starts(
    options, says, tmp_path, monkeypatch, capsys
):
    def start(*_, **__):
        raise AssertionError("a node was started")

    monkeypatch.setattr(bringup, "find_spec", lambda _: True)
    monkeypatch.setattr(bringup.subprocess, "Popen", start)
    (tmp_path / "file").touch()
    good = tmp_path / "good"
    training_data.make_checkpoint().save(good)
    places = {"file": tmp_path / "file", "folder": tmp_path}
    given = ["--checkpoint", str(good), *(option.format(**places) for option in options)]
    gc.collect()  # what nodes of other tests left behind speaks when it goes
    capsys.readouterr()
    assert main(["bringup", "fruit_swap", *given]) == 1
    said = capsys.readouterr().err
    assert said.count("\n") == 1
    assert says in said


@needs_ros
@pytest.mark.ros
@pytest.mark.parametrize(
    ("options", "says"),
    [
        (["-p", "rate:=20.0"], "did you mean 'rate_hz'"),
        (["-p", "checkpoint:=nowhere/to/be/found"], "checkpoint"),
    ],
)
def test_a_node_that_cannot_start_says_why_in_one_line(options, says):
    ended = subprocess.run(
        [sys.executable, "-m", "df_policy.ros_nodes.policy_node", "--ros-args", *options],
        env={**os.environ, **graph.local_environment(os.environ), "PYTHONPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=90,
        check=False,
    )
    assert ended.returncode == 1
    assert says in ended.stderr
    assert "Traceback" not in ended.stderr


@needs_ros
@pytest.mark.ros
@pytest.mark.parametrize("after", [0.3, 1.0, "simulating"])
def test_a_node_can_be_ended_at_any_time(after):
    """While it is imported, while its world is made, and when it runs."""
    process = subprocess.Popen(
        [sys.executable, "-m", "df_policy.ros_nodes.sim_node"],
        env={**os.environ, **graph.local_environment(os.environ), "PYTHONPATH": str(ROOT)},
        stderr=subprocess.PIPE,
        text=True,
    )
    if after == "simulating":
        while after not in (line := process.stderr.readline()):
            assert line, "it ended before"
    else:
        time.sleep(after)
    process.send_signal(signal.SIGTERM)
    _, said = process.communicate(timeout=120.0)
    assert process.returncode in (0, -signal.SIGTERM, -signal.SIGINT)
    assert "Traceback" not in said


@pytest.fixture
def untrained(tmp_path, monkeypatch):
    """A checkpoint for the simulated arm."""
    from df_policy.sim.world import World

    monkeypatch.setattr(training_data, "SPEC", World().spec)
    training_data.make_checkpoint().save(tmp_path / "untrained")
    return tmp_path / "untrained"


def command(*options):
    return [sys.executable, "-m", "df_policy", "bringup", "fruit_swap", *map(str, options)]


@needs_ros
@pytest.mark.ros
@pytest.mark.slow
def test_an_untrained_policy_runs_its_episodes(untrained, tmp_path):
    result, films = tmp_path / "result.json", tmp_path / "films"
    options = ["--checkpoint", untrained, "--episodes", 1, "--speed", 2, "--seed", 5]
    shortest = ["--task", "fruit_swap_regrasp"]
    ended = subprocess.run(
        command(*options, *shortest, "--result", result, "--record", films),
        cwd=ROOT,
        timeout=300,
        check=False,
    )
    assert ended.returncode == 0
    told = json.loads(result.read_text())
    assert (told["episodes"], told["asked"], told["seeds"]) == (1, 1, [5])
    assert told["control"]["rate_hz"] > 10.0  # a busy machine may be slower
    with np.load(films / "episodes.npz") as film:
        assert len(film["qpos"]) > 40
    assert alive(str(untrained)) == []


@needs_ros
@pytest.mark.ros
@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "processes"),
    [(signal.SIGINT, 130, 2), (signal.SIGTERM, 143, 3), (signal.SIGKILL, -9, 3)],
)
def test_signals_end_all_processes(untrained, number, code, processes):
    """Those that name the checkpoint: the command, the policy's node, and its planner."""
    process = subprocess.Popen(command("--checkpoint", untrained), cwd=ROOT)
    try:
        wait_for(lambda: len(alive(str(untrained))) >= processes)
        process.send_signal(number)
        assert process.wait(120.0) == code
        wait_for(lambda: not alive(str(untrained)))
    finally:
        process.kill()
        process.wait()


@needs_ros
@pytest.mark.ros
@pytest.mark.slow
def test_the_operators_actions_solve_the_task_over_ros_too(tmp_path):
    """As fast as this machine can: where targets were left out, nothing is said about them."""
    result = tmp_path / "result.json"
    paths = f"{ROOT}:{ROOT / 'tests' / 'fakes'}"
    environment = {**os.environ, **graph.local_environment(os.environ), "PYTHONPATH": paths}
    for speed in (3.0, 1.0, 0.3):
        chosen = graph.FruitSwapArguments(episodes=1, speed=speed, result=str(result))
        nodes = [
            replace(node, module="replay_policy_node") if node.name == "policy_node" else node
            for node in graph.fruit_swap(chosen)
        ]
        assert bringup.supervise(nodes, graph.DRIVER, environment) == 0
        told = json.loads(result.read_text())
        if told["successes"] or told["control"]["rate_hz"] > 49.5:
            break
    assert told["successes"] == 1
