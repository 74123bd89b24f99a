"""What goes between the driver and its adapter, and how joints follow a tool."""

import ast
import json
import select
import socket
from pathlib import Path

import numpy as np
import panda_arm
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from df_policy.geometry import Pose
from df_policy.hardware.feed_forward import MovingTarget
from df_policy.hardware.resolved_rate import JointLimits, ResolvedRate
from df_policy.hardware.ros1 import adapter, messages

ADAPTER = Path(adapter.__file__)
numbers = st.floats(-1e6, 1e6)
seven = st.lists(numbers, min_size=7, max_size=7)
records = st.one_of(  # what each is made of
    st.tuples(st.just(messages.Command), seven, seven),
    st.tuples(st.just(messages.Home), seven, numbers),
    st.tuples(st.just(messages.Fingers), numbers, st.booleans(), numbers, numbers),
    st.tuples(st.just(messages.Hello), st.lists(st.text()), seven, seven, seven),
    st.tuples(st.just(messages.Halt)),
)


def tcp_pair():
    """Both ends of a loopback connection."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        here = socket.create_connection(server.getsockname())
        return here, server.accept()[0]


@pytest.fixture
def line():
    here, there = tcp_pair()
    with here, there:
        yield here, there


def until_data(end):
    select.select([end], [], [], 10.0)


def pack(name, values):
    text = json.dumps([name, values]).encode()
    return len(text).to_bytes(4, "big") + text


@given(st.lists(records, max_size=5), st.integers(1, 50))
@settings(max_examples=25)  # each with two connections
def test_what_is_said_arrives_however_it_is_cut_into_packets(parts, size):
    said = [kind(*values) for kind, *values in parts]
    one, other = tcp_pair()
    three, four = tcp_pair()
    with one, other, three, four:
        sender, receiver = messages.Line(one), messages.Line(four)
        for record in said:
            sender.send(record)
        one.shutdown(socket.SHUT_WR)
        heard, data = [], b""
        while part := other.recv(1 << 16):
            data += part
        for begin in range(0, len(data), size):
            three.sendall(data[begin : begin + size])
            until_data(four)
            heard += receiver.receive()
        assert heard == said


@pytest.mark.parametrize(
    "data",
    [
        (1 << 20).to_bytes(4, "big"),
        b"\x00\x00\x00\x02[]",
        b"\x00\x00\x00\x04\x80\x04K*",  # a pickle
        pack("Command", {"q_rad": [0.0] * 7}),
        pack("Command", {"q_rad": [0.0], "dq_rad_s": "0"}),
        pack("Command", {"q_rad": [float("nan")], "dq_rad_s": [0.0]}),
        pack("Command", {"q_rad": [True], "dq_rad_s": [0.0]}),
        pack("Halt", {"more": 1}),
        pack("Line", {}),
        pack("Halt", None),
    ],
)
def test_what_is_no_message_cuts_the_line(line, data):
    end, there = line
    there.sendall(data)
    until_data(end)
    with pytest.raises(messages.LineCutError):
        messages.Line(end).receive()


def send_all(sender, records):
    for record in records:
        sender.send(record)


def test_states_that_nobody_reads_are_left_out_and_commands_end_the_line(line):
    end, there = line
    end.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 4096)
    there.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
    sender = messages.Line(end)
    state = messages.State(0, [], [], [], [], [], "idle", [], "", 0, "", 0.0, False, "")
    for _ in range(5000):
        sender.send(state)
    with pytest.raises(messages.LineCutError, match="does not listen"):
        send_all(sender, [messages.Halt()] * 20000)


def test_the_adapter_needs_no_more_than_an_old_python_and_its_library():
    for path in ADAPTER.parent.glob("*.py"):
        tree = ast.parse(path.read_text("utf-8"), feature_version=(3, 8))
        found = [node for node in ast.walk(tree) if isinstance(node, ast.Import)]
        assert not {alias.name for node in found for alias in node.names} & {"numpy", "scipy"}


def test_without_news_the_joints_stop_without_a_jerk():
    ages = np.linspace(0.0, 0.5, 501)
    ahead, share = np.array([adapter.braking(age) for age in ages]).T
    assert (np.diff(ahead) >= 0).all()
    assert np.allclose(np.gradient(ahead, ages)[1:-1], share[1:-1], atol=0.01)
    assert np.abs(np.diff(share)).max() <= 0.001 / adapter.BRAKE_S + 1e-9
    assert share[-1] == 0.0
    assert ahead[-1] == pytest.approx(adapter.HOLD_S + adapter.BRAKE_S / 2)


LIMITS = JointLimits(panda_arm.LOW, panda_arm.HIGH, panda_arm.SPEED)


def pose(q):
    return Pose.of(*panda_arm.tool(q))


def follow(path, speed, ticks, lag=0.0):
    """Joints that do as told; where they were told to be at each tick."""
    rate, q, told = ResolvedRate(LIMITS, gain=4.0), panda_arm.HOME, []
    for tick in range(ticks):
        now = 0.02 * tick
        target = MovingTarget(path(now), speed(now), np.zeros(3))
        goal, dq = rate.step(now, target, pose(q), q, panda_arm.jacobian(q))
        told.append((goal, dq))
        q = (1 - lag) * (goal + 0.02 * dq) + lag * q
    return q, told


def test_the_jacobian_of_the_stand_in_is_that_of_its_kinematics():
    step, q = 1e-6, panda_arm.HOME
    for joint, column in enumerate(panda_arm.jacobian(q).T):
        moved = (pose(q + step * np.eye(7)[joint]).position_m - pose(q).position_m) / step
        assert np.allclose(moved, column[:3], atol=1e-5)


@pytest.mark.parametrize("lag", [0.0, 0.5])
def test_joints_take_the_tool_along_a_moving_target(lag):
    start = pose(panda_arm.HOME)
    velocity = np.array([0.05, 0.2, -0.05])

    def path(now):
        return Pose.of(start.position_m + now * velocity, start.quat_xyzw)

    q, _ = follow(path, lambda _: velocity, 50, lag)
    assert np.linalg.norm(pose(q).position_m - path(1.0).position_m) < (0.002, 0.012)[lag > 0]
    assert pose(q).angle_to(start) < 0.02


@given(st.tuples(*[st.floats(-0.5, 0.5)] * 3))
@settings(max_examples=25)
def test_no_joint_is_asked_for_more_than_it_can_do(offset):
    start = pose(panda_arm.HOME)
    far = Pose.of(start.position_m + offset, start.quat_xyzw)
    _, told = follow(lambda _: far, lambda _: np.zeros(3), 60)
    for goal, dq in told:
        assert (np.abs(dq) <= panda_arm.SPEED).all()
        assert (goal >= panda_arm.LOW - 1e-9).all()
        assert (goal <= panda_arm.HIGH + 1e-9).all()


def test_what_blocks_the_arm_is_not_pressed_ever_harder():
    start = pose(panda_arm.HOME)
    far = Pose.of(start.position_m + [0.2, 0.0, 0.0], start.quat_xyzw)
    rate, jacobian = ResolvedRate(LIMITS, gain=4.0), panda_arm.jacobian(panda_arm.HOME)
    for tick in range(200):
        goal, _ = rate.step(
            0.02 * tick, MovingTarget.at_rest(far), start, panda_arm.HOME, jacobian
        )
    assert np.abs(goal - panda_arm.HOME).max() <= 0.2 + 1e-9
