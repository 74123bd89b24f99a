"""The driver for franka_ros_interface, and its adapter in a process and a Python of its own.

Where /usr/bin/python3 has rospy and numpy (Debian: python3-rospy, python3-rosmaster,
python3-numpy), the adapter runs there with a real master; elsewhere in this Python with the
little of rospy that it uses. `ROS1_PATH` may name a folder with those packages. The robot behind
it is a stand-in with the signatures of franka_ros_interface.
"""

import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

from df_policy.errors import DfPolicyError
from df_policy.geometry import Pose
from df_policy.hardware.arm import ArmDriver, HandDriver, LostRobotError
from df_policy.hardware.feed_forward import MovingTarget
from df_policy.hardware.hand_goals import HandSettings
from df_policy.hardware.ros1 import adapter as program
from df_policy.hardware.ros1_arm import Ros1Arm, Ros1ArmSettings
from df_policy.hardware.ros1_hand import Ros1Hand

pytestmark = pytest.mark.slow
FAKES = Path(__file__).parents[1] / "fakes"
JOINTS = tuple(f"panda_joint{number}" for number in range(1, 8))
PATIENCE_S = 30.0
DEBIAN = "/usr/bin/python3"


def ros1_environment():
    """The Python of ROS 1 and its environment; None where there is none."""
    path = os.environ.get("ROS1_PATH", "")
    environment = {**os.environ, "PYTHONPATH": path}
    look = [DEBIAN, "-c", "import rospy, rosmaster, numpy"]
    if (
        not Path(DEBIAN).exists()
        or subprocess.run(look, env=environment, capture_output=True).returncode
    ):
        return None
    return DEBIAN, environment


def free_port():
    with socket.create_server(("127.0.0.1", 0)) as server:
        return server.getsockname()[1]


@pytest.fixture(scope="module")
def python():
    """Interpreter and environment of the adapter, with a master where it needs one."""
    found = ros1_environment()
    if found is None:
        paths = [FAKES / "ros1_rospy", FAKES / "ros1", FAKES]
        yield sys.executable, {**os.environ, "PYTHONPATH": os.pathsep.join(map(str, paths))}
        return
    interpreter, environment = found
    port = free_port()
    paths = [environment["PYTHONPATH"], str(FAKES / "ros1"), str(FAKES)]
    environment |= {
        "PYTHONPATH": os.pathsep.join(path for path in paths if path),
        "ROS_MASTER_URI": f"http://127.0.0.1:{port}",
        "ROS_IP": "127.0.0.1",
    }
    start = f"import rosmaster; rosmaster.rosmaster_main(['--core', '-p', '{port}'])"
    with subprocess.Popen([interpreter, "-c", start], env=environment) as master:
        wait_for(lambda: answers(port))
        yield interpreter, environment
        master.terminate()


def answers(port):
    try:
        socket.create_connection(("127.0.0.1", port), timeout=1.0).close()
    except OSError:
        return False
    return True


def wait_for(done, patience_s=PATIENCE_S):
    deadline = time.monotonic() + patience_s
    while not done():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


class Adapter:
    """The program, copied alone into a folder as one would into a container."""

    def __init__(self, python, folder):
        for path in Path(program.__file__).parent.glob("*.py"):
            shutil.copy(path, folder)
        self.python, self.folder, self.port = python, folder, free_port()
        self.start()

    def start(self):
        interpreter, environment = self.python
        command = [interpreter, str(self.folder / "adapter.py"), "--port", str(self.port)]
        # A folder of its own: from a checkout it would find the package that it must not need.
        self.process = subprocess.Popen(
            command, env=environment, cwd=self.folder, stdout=subprocess.PIPE, text=True
        )
        assert "waiting for a driver" in self.process.stdout.readline()

    def end(self, number=signal.SIGTERM):
        self.process.send_signal(number)
        code = self.process.wait(PATIENCE_S)
        self.process.stdout.close()
        return code


@pytest.fixture(scope="module")
def adapter(python, tmp_path_factory):
    running = Adapter(python, tmp_path_factory.mktemp("ros1"))
    yield running
    running.end()


@pytest.fixture
def arm(adapter):
    if adapter.process.poll() is not None:
        adapter.start()
    driver = Ros1Arm(Ros1ArmSettings(adapter.port, PATIENCE_S, silence_s=2.0), JOINTS)
    driver.connect()
    yield driver
    driver.close()


def sweep(arm, metres):
    """Lead the tool along y, 2 mm a tick, however long a tick takes; returns where it then is."""
    start = arm.read().tool

    def follow(moved_m):
        goal = Pose.of(start.position_m + [0.0, moved_m, 0.0], start.quat_xyzw)
        state = arm.read()
        arm.follow(MovingTarget.at_rest(goal), state)
        time.sleep(0.02)
        return np.linalg.norm(goal.position_m - state.tool.position_m)

    for tick in range(50):
        follow(metres * tick / 50)
    wait_for(lambda: follow(metres) < 0.005)
    return arm.read().tool


def at_rest(arm):
    return np.abs(arm.read().dq_rad_s).max() < 1e-3


def test_drivers_are_what_the_node_expects(arm):
    assert isinstance(arm, ArmDriver)
    assert isinstance(Ros1Hand(arm, HandSettings()), HandDriver)


def test_a_moving_target_is_followed_and_without_news_the_arm_stops(arm):
    before = arm.read()
    assert (before.mode, before.fault) == ("idle", "")
    reached = sweep(arm, 0.1)
    assert reached.position_m[1] > 0.08
    assert reached.angle_to(before.tool) < 0.02
    wait_for(lambda: at_rest(arm))  # told no more
    assert np.linalg.norm(arm.read().tool.position_m - reached.position_m) < 0.01
    arm.halt()


def test_a_reflex_is_told_and_recovered_from(arm, adapter):
    adapter.process.send_signal(signal.SIGUSR1)
    wait_for(lambda: "cartesian_reflex" in arm.read().fault)
    assert arm.recover().fault == ""


def test_a_robot_that_falls_silent_is_lost_and_found_again(adapter):
    driver = Ros1Arm(Ros1ArmSettings(adapter.port, PATIENCE_S, silence_s=0.5), JOINTS)
    driver.connect()
    adapter.process.send_signal(signal.SIGUSR2)
    with pytest.raises(LostRobotError, match=r"every 0.5 s"):
        wait_for(lambda: driver.read() is None)
    adapter.process.send_signal(signal.SIGUSR2)
    assert driver.recover().fault == ""
    driver.close()


def test_the_arm_goes_to_a_posture_and_obeys_nobody_on_the_way(arm):
    posture = arm.read().q_rad + [0.2, 0, 0, 0, 0, 0, 0]
    arm.home(posture)
    wait_for(lambda: arm.read().mode == "homing")
    with pytest.raises(DfPolicyError, match="homing"):
        arm.follow(MovingTarget.at_rest(arm.read().tool), arm.read())
    wait_for(lambda: arm.read().mode == "idle")
    assert np.allclose(arm.read().q_rad, posture, atol=0.02)
    assert arm.read().fault == ""


def test_the_hand_obeys_the_newest_wish_and_says_what_it_holds(arm):
    hand = Ros1Hand(arm, HandSettings())
    assert hand.connect().opening_m > 0.0

    def until(opening, done):
        def look():
            hand.want(opening)
            arm.read()
            return done(hand.read())

        wait_for(look)

    until(0.0, lambda state: state.holds)
    assert hand.read().opening_m == pytest.approx(0.046, abs=2e-3)
    until(0.08, lambda state: state.opening_m > 0.075 and not state.holds)
    assert hand.read().fault == ""


def test_a_driver_that_dies_leaves_the_arm_at_rest_and_the_next_one_is_served(arm, adapter):
    sweep(arm, -0.05)
    arm._line._end.close()  # as a killed process does
    with pytest.raises(LostRobotError, match=r"adapter.py"):
        arm.read()
    successor = Ros1Arm(Ros1ArmSettings(adapter.port, PATIENCE_S, silence_s=2.0), JOINTS)
    successor.connect()
    wait_for(lambda: at_rest(successor))
    successor.close()


def test_nonsense_on_the_line_ends_it_and_nothing_else(adapter):
    with socket.create_connection(("127.0.0.1", adapter.port), timeout=PATIENCE_S) as stranger:
        stranger.sendall(b"GET / HTTP/1.1\r\n\r\n")
        while stranger.recv(1 << 16):
            pass
    driver = Ros1Arm(Ros1ArmSettings(adapter.port, PATIENCE_S, silence_s=2.0), JOINTS)
    assert driver.connect().fault == ""
    driver.close()


def test_an_adapter_that_is_killed_is_said_and_its_successor_reached(arm, adapter):
    adapter.end(signal.SIGKILL)
    with pytest.raises(LostRobotError, match=r"adapter.py"):
        wait_for(lambda: arm.read() is None)
    adapter.start()
    assert arm.recover().fault == ""
    assert adapter.end() == 0  # asked to, it ends by itself
    adapter.start()


def test_another_robot_is_refused_with_its_name(adapter):
    joints = tuple(f"fr3_joint{number}" for number in range(1, 8))
    with pytest.raises(DfPolicyError, match="name:=panda"):
        Ros1Arm(Ros1ArmSettings(adapter.port, PATIENCE_S), joints).connect()


def test_without_an_adapter_one_line_says_what_to_start():
    with pytest.raises(DfPolicyError, match=r"ros1/adapter.py") as raised:
        Ros1Arm(Ros1ArmSettings(free_port(), 0.0), JOINTS).connect()
    assert "\n" not in str(raised.value)


def test_without_ros_1_the_adapter_says_so_in_one_line():
    command = [sys.executable, "-S", program.__file__]  # no packages at all
    ended = subprocess.run(command, capture_output=True, text=True, cwd="/", env={})
    assert ended.returncode == 1
    assert "source its franka.sh first" in ended.stderr
    assert ended.stderr.count("\n") == 1
