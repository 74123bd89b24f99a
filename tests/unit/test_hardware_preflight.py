"""What is found before a robot moves, and what of it is refused."""

from dataclasses import replace

import cv2
import numpy as np
import pytest

from df_policy import cli
from df_policy.errors import DfPolicyError
from df_policy.geometry import Pose
from df_policy.hardware import preflight
from df_policy.hardware.arm import ArmState, LostRobotError
from df_policy.hardware.camera_sources import camera_source, named_cameras
from df_policy.hardware.preflight import Finding, attempt, refuse
from df_policy.robot import RobotSpec

SPEC = RobotSpec("fr3", tuple(f"fr3_joint{n}" for n in range(1, 8)), {"front": (64, 64)})


class Arm:
    """An arm that answers at once, well or not."""

    def __init__(self, fault=""):
        self.fault, self.closed, self.ns = fault, False, 0

    def connect(self):
        return self.read()

    def read(self):
        self.ns += 1_000_000
        here = Pose.of([0.4, 0, 0.3], [1, 0, 0, 0])
        return ArmState(self.ns, np.zeros(7), np.zeros(7), here, here, "idle", self.fault)

    def follow(self, target, state):
        raise AssertionError("a look moves nothing")

    def halt(self):
        raise AssertionError("a look moves nothing")

    def home(self, q_rad):
        raise AssertionError("a look moves nothing")

    def recover(self):
        raise AssertionError("a look mends nothing")

    def close(self):
        self.closed = True


@pytest.mark.parametrize("needed", [True, False])
def test_a_kernel_that_is_too_slow_is_refused_where_it_matters(tmp_path, needed):
    found = preflight.kernel(needed, "#1 SMP PREEMPT_DYNAMIC", tmp_path / "none")
    assert found.problem
    assert found.fatal == needed
    assert not preflight.kernel(needed, "#1 SMP PREEMPT_RT", tmp_path / "none").problem
    (tmp_path / "realtime").write_text("1\n")
    assert not preflight.kernel(needed, "#1 SMP", tmp_path / "realtime").problem


@pytest.mark.parametrize("fault", ["", "the user stop is pressed"])
def test_a_robot_that_will_not_move_is_refused_and_always_let_go(monkeypatch, fault):
    monkeypatch.setattr(preflight, "_SLOWEST_S", 10.0)  # whatever else this machine does
    arm = Arm(fault)
    found = preflight.arm(arm, "1.2.3.4")
    assert found.problem == fault
    assert found.fatal == bool(fault)
    assert arm.closed


def test_a_slow_line_to_the_robot_is_a_warning(monkeypatch):
    monkeypatch.setattr(preflight, "_SLOWEST_S", 0.0)
    found = preflight.arm(Arm(), "1.2.3.4")
    assert "cable" in found.problem
    assert not found.fatal


def test_a_robot_that_does_not_answer_is_a_finding():
    arm = Arm()

    def lost():
        raise LostRobotError("expected an answer, got none")

    arm.read = lost
    found = attempt("robot", lambda: preflight.arm(arm, "1.2.3.4"))
    assert found.fatal
    assert "expected an answer" in str(found)


def test_a_camera_that_is_too_slow_is_refused(tmp_path):
    path = str(tmp_path / "film.avi")
    writer = cv2.VideoWriter(path, cv2.VideoWriter.fourcc(*"MJPG"), 60, (64, 48))
    for _ in range(5):
        writer.write(np.zeros((48, 64, 3), np.uint8))
    writer.release()
    source = camera_source(f"file:{path}", (48, 64), 30)
    assert preflight.camera("front", source, 1000.0).fatal
    assert not preflight.camera("front", source, 5.0).problem


@pytest.mark.parametrize(
    ("trained", "cameras", "says"),
    [
        (SPEC, {"front": "x"}, ""),
        (SPEC, {}, "expected cameras front"),
        (
            RobotSpec("panda", ("panda_joint1",), SPEC.cameras),
            {"front": "x"},
            "expected joints panda",
        ),
    ],
)
def test_a_checkpoint_for_another_robot_is_refused(trained, cameras, says):
    found = preflight.schema("it", trained, SPEC, cameras)
    assert found.problem.startswith(says)
    assert found.fatal == bool(says)


def test_all_that_is_wrong_is_said_at_once_and_a_warning_stops_nobody():
    warning, fatal = (
        Finding("disk", "1 GB", "make room"),
        Finding("robot", "-", "mend", fatal=True),
    )
    refuse([warning, Finding("load", "0.1")])
    with pytest.raises(DfPolicyError, match="robot: mend; hand: mend"):
        refuse([warning, fatal, replace(fatal, name="hand")])


@pytest.mark.parametrize("text", ["front", "front=", "=x", "a=b,c"])
def test_cameras_that_are_not_named_are_refused(text):
    with pytest.raises(DfPolicyError, match="name=source"):
        named_cameras(text)


def test_cameras_are_read_as_written():
    assert named_cameras("front=realsense:1, wrist=v4l:/dev/x") == {
        "front": "realsense:1",
        "wrist": "v4l:/dev/x",
    }
    assert named_cameras("") == {}


def test_the_command_prints_all_findings_and_refuses(capsys):
    pytest.importorskip("franky")
    given = [
        "preflight",
        "--robot-ip",
        "127.77.1.2",
        "--no-real-time",
        "--cameras",
        "front=v4l:/no",
    ]
    assert cli.main(given) == 1
    said = capsys.readouterr()
    for name in ("kernel", "load", "disk", "device", "checkpoint", "robot", "gripper"):
        assert f"  {name}" in said.out
    assert "pre-flight check failed" in said.err
    assert "activate FCI" in said.err
    assert "camera front" in said.err
