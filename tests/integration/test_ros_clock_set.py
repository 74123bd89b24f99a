"""Somebody sets this machine's clock while a node ticks by it."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from df_policy.ros_nodes.graph import free_domain, local_environment

pytestmark = pytest.mark.ros
TESTS = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def clock(tmp_path_factory):
    """A library whose clock can be set, since the machine's cannot in a test."""
    compiler = shutil.which("cc")
    if compiler is None or sys.platform != "linux":
        pytest.skip("needs a C compiler on Linux")
    made = tmp_path_factory.mktemp("clock") / "set_clock.so"
    source = TESTS / "fakes" / "set_clock.c"
    subprocess.run([compiler, "-shared", "-fPIC", "-o", made, source, "-ldl"], check=True)
    return made


def test_a_node_ticks_on_when_the_clock_is_set_back(clock):
    path = os.pathsep.join([str(TESTS.parent), str(TESTS / "fakes")])
    program = [sys.executable, str(TESTS / "fakes" / "set_clock.py"), "-100"]
    environment = {
        **os.environ,
        **local_environment(os.environ),
        "ROS_DOMAIN_ID": str(free_domain()),
        "PYTHONPATH": path,
        "LD_PRELOAD": str(clock),
    }
    said = subprocess.run(
        program, env=environment, check=True, capture_output=True, text=True, timeout=120
    )
    before, after, passed_s = map(int, said.stdout.split())
    assert passed_s < 0
    assert before > 10  # of 50, on a machine that does other things
    assert after > 10
