"""The Franka drivers through libfranka's protocol: the real client, and a robot that speaks it.

Times are the robot's own, which stands still while a test thinks: see `protocol_bench`.
"""

import os
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("franky")

from protocol_bench import SPEC, Bench, DrivenEnvironment

from df_policy.errors import DfPolicyError
from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.hardware.arm import ArmDriver, HandDriver, LostRobotError
from df_policy.hardware.franky_arm import ArmSettings, FrankyArm
from df_policy.hardware.franky_hand import FrankyHand
from df_policy.hardware.hand_goals import HandSettings
from df_policy.processes import keeping_priority
from df_policy.sim.kinematics import forward
from df_policy.sim.protocol_robot import ProtocolRobot
from df_policy.sim.protocol_server import REFLEXES

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def driven():
    environment = DrivenEnvironment(Bench())
    yield environment
    environment.close()


@pytest.fixture
def at_home(driven):
    """The arm at the start of an episode, with nobody in control."""
    driven.reset(0)
    driven.errors_mm.clear()
    return driven


def moved(start, metres):
    return Action(Pose.of(start.tool.position_m + metres, start.tool.quat_xyzw), start.gripper_m)


def test_drivers_are_what_the_node_expects():
    assert isinstance(FrankyArm(ArmSettings("127.0.0.1")), ArmDriver)
    assert isinstance(FrankyHand(HandSettings("127.0.0.1")), HandDriver)


def test_the_robot_says_where_its_tool_is_as_the_task_means_it(at_home):
    state = at_home.read()
    assert np.allclose(state.tool.position_m, forward(state.q_rad).position_m, atol=1e-4)
    assert state.tool.angle_to(at_home.world.home.tool) < 0.01
    assert (state.mode, state.fault) == ("idle", "")
    assert abs(state.robot_ns - at_home.world.time_ns) <= 40_000_000


def test_a_moving_target_is_followed_without_a_lag_and_left_at_rest(at_home):
    home = at_home.world.home
    for step in range(1, 7):  # 3 cm a step: 0.3 m/s
        at_home.step(moved(home, [0.0, 0.03 * step, 0.0]))
    goal = at_home._sent
    for _ in range(3):
        at_home.step(goal)
    assert np.max(at_home.errors_mm) < 25.0
    assert at_home.errors_mm[-1] < 5.0
    assert at_home.reasons == []
    at_home.idle()
    state = at_home.read()
    assert state.mode == "idle"
    assert np.abs(state.dq_rad_s[:6]).max() < 0.01  # franky-sim lets the last joint hum
    assert np.allclose(state.tool.position_m, goal.tool.position_m, atol=0.006)


def test_told_no_more_the_arm_stops_by_itself(at_home):
    home = at_home.world.home
    for step in range(1, 4):
        at_home.step(moved(home, [0.0, 0.03 * step, 0.0]))
    begin = at_home.read().tool.position_m
    at_home.bench.tick(15)  # as if the node hung
    end = at_home.read()
    assert np.abs(end.dq_rad_s[:6]).max() < 0.02
    assert np.linalg.norm(end.tool.position_m - begin) < 0.08


def test_a_reflex_is_told_ends_the_motion_and_is_recovered_from(at_home):
    at_home.step(moved(at_home.world.home, [0.0, 0.03, 0.0]))
    at_home.bench.robot.reflex("cartesian_reflex")
    at_home.bench.tick(2)
    here = at_home.read()
    assert here.mode == "reflex"
    assert "cartesian_reflex" in here.fault
    assert at_home.drive(at_home._sent) is None
    assert "cartesian_reflex" in at_home.session.blocked
    with at_home.bench.running():
        assert at_home.arm.recover().fault == ""
    at_home.session.release()
    assert at_home.drive(at_home._sent) is None  # its sender did not notice
    at_home.idle()
    near = Action(at_home.read().tool, 0.08)
    for step in range(1, 3):
        at_home._sent = near if step == 1 else at_home._sent
        at_home.step(moved(near, [0.0, -0.02 * step, 0.0]))
    assert at_home.session.active
    assert at_home.read().tool.position_m[1] < near.tool.position_m[1] - 0.01


@pytest.mark.parametrize("error", sorted(REFLEXES))
def test_the_client_calls_an_error_by_the_name_that_it_was_provoked_by(at_home, error):
    with at_home.bench.running():
        at_home.bench.robot.reflex(error)
        wait_for(lambda: at_home.arm.read().fault)
        assert at_home.arm.read().fault.endswith(f": {error}")
        assert at_home.arm.recover().fault == ""


class Unplanned:
    """franky's robot, whose planner fails so many times."""

    def __init__(self, robot, times):
        self.robot, self.left = robot, times

    def __getattr__(self, name):
        return getattr(self.robot, name)

    def poll_motion(self):
        if self.left:
            self.left -= 1
            raise RuntimeError("Motion planner failed with error code -110\nInput: ...")
        return self.robot.poll_motion()


def test_a_motion_that_cannot_be_planned_for_a_moment_goes_on(at_home, monkeypatch):
    before, home = at_home.read().restarts, at_home.world.home
    monkeypatch.setattr(at_home.arm, "_robot", Unplanned(at_home.arm._robot, 2))
    for step in range(1, 4):
        at_home.step(moved(home, [0.0, 0.03 * step, 0.0]))
    assert at_home.session.blocked == ""
    state = at_home.read()
    assert state.restarts == before + 2
    assert state.tool.position_m[1] > home.tool.position_m[1] + 0.05


def test_one_that_can_never_be_planned_is_a_fault(at_home, monkeypatch):
    monkeypatch.setattr(at_home.arm, "_robot", Unplanned(at_home.arm._robot, 99))
    goals = [moved(at_home.world.home, [0.0, 0.03 * step, 0.0]) for step in range(1, 4)]
    with pytest.raises(DfPolicyError, match="Motion planner failed"):
        list(map(at_home.step, goals))


def test_a_pressed_user_stop_stays_until_it_is_released(at_home):
    robot = at_home.bench.robot
    at_home.step(moved(at_home.world.home, [0.0, 0.02, 0.0]))
    robot.user_stop(True)
    at_home.bench.tick(2)
    assert "user stop" in at_home.read().fault
    with at_home.bench.running(), pytest.raises(DfPolicyError, match="user stop is pressed"):
        at_home.arm.recover()
    robot.user_stop(False)
    with at_home.bench.running():
        assert at_home.arm.recover().fault == ""


def test_the_scene_is_not_reset_under_a_moving_arm(at_home):
    at_home.step(moved(at_home.world.home, [0.0, 0.02, 0.0]))
    with pytest.raises(DfPolicyError, match="stand still"):
        at_home.bench.robot.reset(1)


def test_the_control_loop_alone_comes_first_and_ends_with_its_motion(at_home):
    need_real_time_priority()
    at_home.step(moved(at_home.world.home, [0.0, 0.02, 0.0]))
    assert at_home._controlled
    assert real_time_threads() == [99]
    assert os.sched_getscheduler(0) == os.SCHED_OTHER  # libfranka raised who made the robot
    tell = [sys.executable, "-c", "import os; print(os.sched_getscheduler(0))"]
    child = subprocess.run(tell, capture_output=True, text=True, check=True)
    assert int(child.stdout) == os.SCHED_OTHER
    at_home.idle()
    assert real_time_threads() == []


def need_real_time_priority():
    if sys.platform != "linux":
        pytest.skip("priorities of threads are Linux's")
    try:
        with keeping_priority():
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
    except PermissionError:
        pytest.skip("this user may not have real-time priority: see `ulimit -r`")


def real_time_threads():
    threads = [int(path.name) for path in Path("/proc/self/task").iterdir()]
    return [os.sched_getparam(one).sched_priority for one in threads
            if os.sched_getscheduler(one) in (os.SCHED_FIFO, os.SCHED_RR)]  # fmt: skip


def test_the_hand_obeys_the_newest_wish_and_blocks_nobody(driven):
    with driven.bench.running():
        hand, longest = driven.hand, 0.0
        for opening in (0.08, 0.0):
            began = time.monotonic()
            hand.want(opening)
            longest = max(longest, time.monotonic() - began)
        wait_for(lambda: hand.read().opening_m < 0.06)
        hand.want(0.08)  # long before the fingers meet
        wait_for(lambda: hand.read().opening_m > 0.07)
        assert hand.read().fault == ""
        assert longest < 0.05


def wait_for(done, timeout_s=60.0):
    deadline = time.monotonic() + timeout_s
    while not done():
        assert time.monotonic() < deadline, "timed out"
        time.sleep(0.01)


def test_a_server_that_dies_is_a_lost_robot_that_can_be_reached_again():
    robot = ProtocolRobot(address=(bench_address := address()))
    robot.start()
    arm = FrankyArm(ArmSettings(bench_address, real_time=False, patience_s=5.0))
    arm.connect()
    robot.close()
    with pytest.raises(LostRobotError):
        [arm.read() for _ in range(20)]
    robot = ProtocolRobot(address=bench_address)
    robot.start()
    try:
        assert arm.recover().fault == ""
    finally:
        arm.close()
        robot.close()


def address():
    from df_policy.ros_nodes.hardware_graph import free_address

    return free_address()


def test_every_socket_of_the_simulated_robot_is_on_its_loopback_address(driven):
    robot = driven.bench.robot.arm
    for server in (robot, robot.gripper_server):
        datagrams = server._FrankaServer__udp_socket
        assert datagrams.getsockname()[0] == driven.bench.address
        assert server._FrankaServer__server_socket.getsockname()[0] == driven.bench.address


def test_an_address_in_use_is_refused(driven):
    with pytest.raises(DfPolicyError, match="to be free"):
        ProtocolRobot(address=driven.bench.address)


def test_where_no_robot_answers_is_said_at_once_with_what_to_do():
    began = time.monotonic()
    with pytest.raises(DfPolicyError, match=r"activate FCI in Desk"):
        FrankyArm(ArmSettings(address())).connect()
    with pytest.raises(DfPolicyError, match=r"the hand at"):
        FrankyHand(HandSettings(address())).connect()
    assert time.monotonic() - began < 5.0


def test_a_host_that_speaks_another_protocol_does_not_hang_the_node(monkeypatch):
    from df_policy.hardware import franky_link

    monkeypatch.setattr(franky_link, "CONNECT_S", 1.0)
    arm = FrankyArm(ArmSettings(where := address(), real_time=False))
    with (
        socket.create_server((where, 1337)),
        pytest.raises(DfPolicyError, match="does another client hold it"),
    ):
        arm.connect()


def test_without_franky_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "franky", None)
    with pytest.raises(DfPolicyError, match=r"pip install df_policy\[franka\]") as raised:
        FrankyArm(ArmSettings("127.0.0.1")).connect()
    assert "\n" not in str(raised.value)
    assert SPEC.name == "fr3"
