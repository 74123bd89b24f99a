"""A hand that was measured: its ends are the policy's ends, and files of no hand are refused."""

import json
from dataclasses import asdict

import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.errors import DfPolicyError
from df_policy.hardware import hand_range
from df_policy.hardware.arm import HandDriver, HandState
from df_policy.hardware.hand_range import HandRange, RangedHand
from df_policy.ros_nodes.franka_config import FrankaNodeConfig, drivers

REAL = HandRange(0.006, 0.071, 0.09, 0.095, 0.02, 0.04)
KNOWN = (0.0, 0.08)


class Fingers:
    """A hand that is where it was last wanted, at once; its clock goes on with each look."""

    def __init__(self, low_m=0.0, high_m=0.08):
        self.low_m, self.high_m = low_m, high_m
        self.at_m, self.looks, self.tells_times = high_m, 0, True

    def connect(self):
        return self.read()

    def read(self):
        self.looks += 1
        return HandState(self.at_m, False, "", 10_000_000 * self.looks * self.tells_times)

    def want(self, opening_m):
        self.at_m = min(max(opening_m, self.low_m), self.high_m)

    def recover(self): ...

    def close(self): ...


ranges = st.tuples(st.floats(0.0, 0.02), st.floats(0.05, 0.1))


@given(ranges, st.floats(0.0, 0.08))
def test_what_is_wanted_is_read_again_and_the_ends_are_the_ends(ends, wanted_m):
    fingers = Fingers(*ends)
    real = HandRange(*ends, 0.1, 0.1, 0.0, 0.0)
    hand = RangedHand(fingers, KNOWN, real)
    assert isinstance(hand, HandDriver)
    hand.want(wanted_m)
    assert hand.read().opening_m == pytest.approx(wanted_m, abs=1e-9)
    for known_m, real_m in zip(KNOWN, ends, strict=True):
        hand.want(known_m)
        assert fingers.at_m == pytest.approx(real_m)


@given(st.floats(-1.0, 1.0))
def test_nothing_beyond_the_measured_ends_is_wanted_or_told(opening_m):
    fingers = Fingers(0.0, 1.0)
    hand = RangedHand(fingers, KNOWN, REAL)
    hand.want(opening_m)
    assert REAL.low_m <= fingers.at_m <= REAL.high_m
    fingers.at_m = opening_m
    assert KNOWN[0] <= hand.read().opening_m <= KNOWN[1]


def test_the_driver_of_the_node_knows_the_file(tmp_path):
    path = tmp_path / "gripper.json"
    hand_range.write(path, REAL)
    config = FrankaNodeConfig(robot_ip="127.0.0.1", gripper_range=str(path))
    assert config.hand == REAL
    assert isinstance(drivers(config)[1], RangedHand)
    with pytest.raises(DfPolicyError, match="calibrate gripper"):
        drivers(FrankaNodeConfig(robot_ip="127.0.0.1", gripper_range=str(tmp_path / "none.json")))


@pytest.mark.parametrize(
    "changes",
    [{"low_m": 0.06}, {"high_m": 3.0}, {"low_m": -0.01}, {"open_speed_m_s": 0.0},
     {"close_delay_s": float("nan")}, {"high_m": "wide"}, {"colour": 3}],
)  # fmt: skip
def test_a_file_of_no_hand_is_refused(changes, tmp_path):
    path = tmp_path / "gripper.json"
    path.write_text(json.dumps(asdict(REAL) | changes))
    with pytest.raises(DfPolicyError, match="expected"):
        hand_range.read(path)
    path.write_text("[]")
    with pytest.raises(DfPolicyError, match="calibrate gripper"):
        hand_range.read(path)


def test_fingers_that_something_holds_are_not_measured():
    with pytest.raises(DfPolicyError, match="take away what is between them"):
        hand_range.measure(Fingers(0.065, 0.08), 0.08, times=1)


def test_a_hand_that_tells_no_times_is_not_measured(monkeypatch):
    monkeypatch.setattr(hand_range, "_PATIENCE_S", 0.05)
    fingers = Fingers()
    fingers.tells_times = False
    with pytest.raises(DfPolicyError, match="the time"):
        hand_range.measure(fingers, 0.08, times=1)
