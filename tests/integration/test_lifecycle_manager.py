"""The managed nodes under ROS's own launch and command line, which know nothing of ours."""

import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import pytest

pytest.importorskip("launch_ros")
pytest.importorskip("rclpy")

from df_policy.ros_nodes.graph import free_domain, local_environment

pytestmark = [pytest.mark.ros, pytest.mark.slow]

ROOT = Path(__file__).parents[2]
FAKES = ROOT / "tests" / "fakes"
ROS2 = shutil.which("ros2")
ROUND = ("inactive", "active", "inactive", "unconfigured")


@pytest.fixture
def environment():
    return {
        **os.environ,
        **local_environment(os.environ),
        "ROS_DOMAIN_ID": str(free_domain()),
        "PYTHONPATH": os.pathsep.join([str(ROOT), str(FAKES), *sys.path[1:]]),
        "MUJOCO_GL": "egl",
    }


def test_launch_brings_the_nodes_through_their_lives_twice_and_to_their_end(environment):
    program = [sys.executable, str(FAKES / "lifecycle_launch.py")]
    said = subprocess.run(
        program, env=environment, capture_output=True, text=True, timeout=240, check=False
    )
    assert said.returncode == 0, said.stdout + said.stderr
    lines = said.stdout.splitlines()
    states = {
        name: [line.split()[1] for line in lines if line.startswith(f"{name} ")]
        for name in ("policy_node", "sim_node")
    }
    assert states["policy_node"] == [*ROUND, *ROUND, "inactive", "active", "finalized", "exit"]
    assert states["sim_node"] == [*ROUND, *ROUND, "finalized", "exit"]
    assert {line for line in lines if " exit " in line} == {
        "policy_node exit 0",
        "sim_node exit 0",
    }


def ros2_lifecycle(environment, *words, patience_s=90.0):
    """What it says; asked again until it has found the node."""
    end = time.monotonic() + patience_s
    while True:
        said = subprocess.run(
            [ROS2, "lifecycle", *words],
            env=environment,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        if "Node not found" not in said.stderr or time.monotonic() > end:
            return said.stdout.strip() or said.stderr.strip()


@pytest.mark.skipif(ROS2 is None, reason="needs the ros2 command")
def test_the_command_line_does_so_too_and_is_told_what_is_refused(environment):
    if not ros2_lifecycle(environment, "set", "--help").startswith("usage: ros2 lifecycle set"):
        pytest.skip("needs ros2 lifecycle")
    program = [sys.executable, str(FAKES / "circling_node.py")]
    with tempfile.TemporaryFile() as said:
        node = subprocess.Popen(
            [*program, "--ros-args", "-p", "autostart:=false"], env=environment, stderr=said
        )
        try:
            alone = ("--no-daemon", "--spin-time", "2", "/policy_node")
            for verb in ("configure", "activate", "deactivate", "cleanup"):
                told = ros2_lifecycle(environment, "set", *alone, verb)
                assert told == "Transitioning successful"
            assert ros2_lifecycle(environment, "get", *alone).startswith("unconfigured")
            told = ros2_lifecycle(environment, "set", *alone, "activate")
            assert told.startswith("Unknown transition requested")
        finally:
            node.send_signal(signal.SIGTERM)
            assert node.wait(60.0) == 0
