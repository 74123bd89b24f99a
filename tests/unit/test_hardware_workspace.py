"""A box that was taught: never beyond where the tool was led, and the gate keeps to it."""

import json
import os
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from df_policy import cli
from df_policy.errors import DfPolicyError
from df_policy.frames import Action
from df_policy.gate import Gate
from df_policy.geometry import Pose
from df_policy.hardware import workspace
from df_policy.hardware.workspace import Workspace, taught
from df_policy.ros_nodes import franka_config
from df_policy.ros_nodes.franka_config import FrankaNodeConfig

BOX = Workspace((0.30, -0.20, 0.01), (0.60, 0.20, 0.40))
points = st.lists(st.tuples(*[st.floats(-0.8, 0.8)] * 3), min_size=2, max_size=30)


@given(points, st.floats(0.0, 0.05))
def test_its_walls_are_as_far_inside_as_was_asked(led, margin_m):
    led = np.array(led)
    sides = np.ptp(led, axis=0) - 2.0 * margin_m
    assume((np.abs(sides - 0.05) > 1e-6).all())
    if (sides < 0.05).any():
        with pytest.raises(DfPolicyError, match="lead the tool farther"):
            taught(led, margin_m)
        return
    box = taught(led, margin_m)
    assert np.allclose(led.min(axis=0) + margin_m, box.low_m)
    assert np.allclose(led.max(axis=0) - margin_m, box.high_m)


def test_what_is_written_is_read_again_to_the_last_bit(tmp_path):
    path = tmp_path / "box.json"
    box = Workspace((0.1 + 0.2, -1 / 3, 0.01), (0.6, 0.2, 0.4))
    workspace.write(path, box)
    assert workspace.read(path) == box


@pytest.mark.parametrize(
    "text",
    ["", "[]", "{}", '{"low_m": [0, 0], "high_m": [1, 1]}', '{"low_m": [0, 0, 0], "high_m": 3}',
     '{"low_m": [0.3, 0, 0], "high_m": [0.31, 0.5, 0.5]}', "x" * 20_000,
     json.dumps({"low_m": [0, 0, 0], "high_m": [float("nan")] * 3})],
)  # fmt: skip
def test_a_file_that_holds_no_box_is_refused(text, tmp_path):
    path = tmp_path / "box.json"
    path.write_text(text)
    with pytest.raises(DfPolicyError, match="expected"):
        workspace.read(path)
    with pytest.raises(DfPolicyError, match="calibrate workspace"):
        workspace.read(tmp_path / "none.json")


def test_the_gate_of_the_driver_keeps_to_it(tmp_path):
    workspace.write(tmp_path / "box.json", BOX)
    spec = FrankaNodeConfig(robot_ip="1.2.3.4", workspace=str(tmp_path / "box.json")).spec
    gate = Gate(spec, 0.02)
    down = [1.0, 0.0, 0.0, 0.0]
    gate.begin(Action(Pose.of([0.45, 0.0, 0.2], down), 0.08))
    for tick in range(300):
        away = Action(Pose.of([0.45, min(0.002 * tick, 0.5), 0.2], down), 0.08)
        cleared = gate.pass_on(tick * 20_000_000, away)
        assert cleared.target.tool.position_m[1] <= BOX.high_m[1] + 1e-9
    assert cleared.target.tool.position_m[1] == pytest.approx(BOX.high_m[1], abs=1e-3)


class Led:
    """An arm that somebody leads from one end of BOX to the other, for no robot yields here."""

    def __init__(self, done):
        self.done, self.looks, self.closed = done, 0, False

    def connect(self):
        return self.read()

    def read(self):
        share = min(1.0, self.looks / 20)
        low, high = np.array(BOX.low_m), np.array(BOX.high_m)
        self.looks += 1
        if share == 1.0:
            self.done()
        return SimpleNamespace(tool=Pose.of(low + share * (high - low), [1.0, 0.0, 0.0, 0.0]))

    def close(self):
        self.closed = True


def test_who_leads_the_arm_and_presses_enter_gets_the_box(tmp_path, monkeypatch, capsys):
    reading, writing = os.pipe()
    arm = Led(lambda: os.write(writing, b"\n"))
    monkeypatch.setattr(franka_config, "drivers", lambda _: (arm, None))
    out = tmp_path / "box.json"
    with os.fdopen(reading) as person:
        monkeypatch.setattr(sys, "stdin", person)
        given = ["--robot-ip", "127.0.0.1", "--margin-mm", "20", "--out", str(out)]
        assert cli.main(["calibrate", "workspace", *given]) == 0
    os.close(writing)
    assert arm.closed
    assert np.allclose(workspace.read(out).low_m, np.array(BOX.low_m) + 0.02)
    assert "x 320 to 580 mm" in capsys.readouterr().out


def test_a_margin_that_leaves_nothing_is_refused_before_the_robot_is_reached(capsys):
    assert cli.main(["calibrate", "workspace", "--robot-ip", "x", "--margin-mm", "101"]) == 1
    assert "margin of 0 to 100 mm" in capsys.readouterr().err
