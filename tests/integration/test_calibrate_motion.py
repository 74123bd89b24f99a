"""Hand and lag of an arm behind libfranka's protocol, measured by the commands for people."""

import io
import json
import sys

import pytest

pytest.importorskip("franky")

from protocol_process import protocol_robot

from df_policy import cli
from df_policy.hardware import hand_range, workspace
from df_policy.hardware.workspace import Workspace

pytestmark = pytest.mark.slow


def calibrate(monkeypatch, step, *options):
    monkeypatch.setattr(sys, "stdin", io.StringIO("\n"))
    return cli.main(["calibrate", step, *options])


def test_a_hand_is_measured_between_its_stops(tmp_path, monkeypatch, capsys):
    out = tmp_path / "gripper.json"
    with protocol_robot(finger_m=(0.004, 0.035)) as address:
        given = ["--robot-ip", address, "--times", "1", "--out", str(out)]
        assert calibrate(monkeypatch, "gripper", *given) == 0
    found = hand_range.read(out)
    assert found.low_m == pytest.approx(0.008, abs=0.002)
    assert found.high_m == pytest.approx(0.070, abs=0.002)
    assert 0.03 < found.open_speed_m_s < 0.3
    assert 0.0 <= found.close_delay_s < found.open_delay_s + 0.02 < 0.3
    assert str(found) in capsys.readouterr().out


def test_the_lag_of_an_arm_is_measured_where_it_may_move(tmp_path, monkeypatch, capsys):
    out, elsewhere = tmp_path / "latency.json", tmp_path / "box.json"
    workspace.write(elsewhere, Workspace((0.5, -0.2, 0.1), (0.7, 0.2, 0.4)))
    with protocol_robot() as address:
        given = ["--robot-ip", address, "--out", str(out), "--times", "3", "--no-real-time"]
        assert calibrate(monkeypatch, "latency", *given, "--workspace", str(elsewhere)) == 1
        assert "lead it there by hand" in capsys.readouterr().err
        assert calibrate(monkeypatch, "latency", *given) == 0
    found = json.loads(out.read_text())["arm"]
    assert len(found["each_s"]) == 3
    assert 0.0 < found["median_s"] < 0.1
    assert f"--ahead-s {found['median_s']:.3f}" in capsys.readouterr().out
