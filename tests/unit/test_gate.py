"""Whatever a gate is asked, what it lets pass keeps the limits; and starved it comes to a stop."""

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from df_policy.errors import DfPolicyError
from df_policy.frames import Action
from df_policy.gate import Gate, Measured
from df_policy.geometry import Pose
from df_policy.robot import RobotSpec

TICK_NS = 20_000_000
TICK_S = 0.02
SPEC = RobotSpec(
    "arm",
    ("j1", "j2"),
    {},
    joint_range_rad=((-1.0, 1.0), (-2.0, 2.0)),
    max_joint_speed_rad_s=(2.0, 2.0),
)
LOW, HIGH = (np.array(corner) for corner in SPEC.workspace_m)
HOME = Action(Pose.of([0.5, 0.0, 0.3], [1, 0, 0, 0]), 0.08)

anything = st.floats(allow_nan=True, allow_infinity=True) | st.floats(-2.0, 2.0)
near = st.floats(-0.25, 0.25)
stamps = st.sampled_from(
    [TICK_NS] * 6 + [0, 60_000, -TICK_NS, 10**13, -(10**13), 7_000_000, 50_000_000]
)


@st.composite
def wild(draw):
    """A target that is anything at all."""
    numbers = [draw(anything) for _ in range(8)]
    return Action(Pose(np.array(numbers[:3]), np.array(numbers[3:7])), numbers[7])


@st.composite
def plausible(draw):
    """A step of the target, to be added to the last one sent."""
    step, turn = ([draw(near) for _ in range(3)] for _ in range(2))
    return np.array(step), 2.0 * np.array(turn), draw(st.floats(-0.05, 0.15))


def from_here(sent, wish):
    if not isinstance(wish, tuple):
        return wish
    step, turn, opening = wish
    quat = (Rotation.from_rotvec(turn) * Rotation.from_quat(sent.tool.quat_xyzw)).as_quat()
    return Action(Pose.of(sent.tool.position_m + step, quat), opening)


states = st.sampled_from(["near", "none", "old", "ahead", "nan", "far", "joint", "fast"])


def state(kind, now_ns, sent):
    if kind == "none":
        return None
    q, dq, stamp, tool = np.zeros(2), np.zeros(2), now_ns, sent.tool
    if kind == "old":
        stamp -= 10**9
    if kind == "ahead":
        stamp += 10**13
    if kind == "nan":
        q = np.array([0.0, np.nan])
    if kind == "far":
        tool = Pose(tool.position_m + 9.0, tool.quat_xyzw)
    if kind == "joint":
        q = np.array([0.99, 0.0])
    if kind == "fast":
        dq = np.array([0.0, 3.0])
    return Measured(stamp, tool, q, dq)


wishes = st.lists(
    st.tuples(st.none() | wild() | plausible() | plausible() | plausible(), stamps, states),
    min_size=1,
    max_size=40,
)


class Watch:
    """Holds every sent target against every limit."""

    def __init__(self, start):
        self.last, self.v, self.w = start, np.zeros(3), np.zeros(3)

    def check(self, sent, passed_ns):
        position, quat = sent.tool.position_m, sent.tool.quat_xyzw
        assert np.isfinite([*position, *quat, sent.gripper_m]).all()
        assert abs(np.linalg.norm(quat) - 1.0) < 1e-9
        assert (np.minimum(LOW, self.last.tool.position_m) <= position).all()
        assert (position <= np.maximum(HIGH, self.last.tool.position_m)).all()
        assert SPEC.gripper_range_m[0] <= sent.gripper_m <= SPEC.gripper_range_m[1]
        dt = min(max(passed_ns * 1e-9, 0.0), TICK_S)
        step = position - self.last.tool.position_m
        before = Rotation.from_quat(self.last.tool.quat_xyzw)
        turn = (Rotation.from_quat(quat) * before.inv()).as_rotvec()
        self.last = sent
        if passed_ns <= 0:
            assert not step.any()
            assert np.abs(turn).max() < 1e-12
            return
        if passed_ns > 80_000_000:
            self.v, self.w = np.zeros(3), np.zeros(3)
        v, w = step / dt, turn / dt
        slack = 1e-9 + 1e-14 / dt
        assert np.linalg.norm(v) <= SPEC.max_speed_m_s + slack
        assert np.linalg.norm(v - self.v) <= SPEC.max_acceleration_m_s2 * dt + 2 * slack
        assert np.linalg.norm(w) <= SPEC.max_turn_rad_s + slack
        assert np.linalg.norm(w - self.w) <= SPEC.max_turn_acceleration_rad_s2 * dt + 2 * slack
        self.v, self.w = v, w


@settings(max_examples=150)
@given(wishes, st.lists(st.floats(0.01, 0.99), min_size=3, max_size=3), st.booleans())
def test_whatever_is_asked_what_passes_keeps_the_limits_and_starved_it_stops(wishes, at, watched):
    start = Action(Pose.of(LOW + np.array(at) * (HIGH - LOW), [0.6, 0, 0.8, 0]), 0.04)
    gate = Gate(SPEC, TICK_S, 0.1 if watched else None)
    gate.begin(start)
    now, sent, watch = 10**18, start, Watch(start)
    counted = now - TICK_NS
    for wish, passes_ns, kind in wishes:
        cleared = gate.pass_on(now, from_here(sent, wish), state(kind, now, sent))
        sent = cleared.target
        together = 0 <= now - counted < 100_000
        watch.check(sent, 0 if together else now - counted)
        assert cleared.reason or wish is not None
        counted = counted if together else now
        now += passes_ns
    for _ in range(8):
        now += TICK_NS
        cleared = gate.pass_on(now, None)
        assert cleared.reason
    assert not cleared.moving
    assert not gate.moving
    rest = gate.pass_on(now + TICK_NS, None).target
    assert (rest.tool.position_m == cleared.target.tool.position_m).all()


def drive(gate, targets, now_ns=0, measured=None):
    """Ticks in time; what was cleared at each."""
    return [
        gate.pass_on(now_ns + index * TICK_NS, wanted, measured)
        for index, wanted in enumerate(targets)
    ]


def moved(x=0.0, turn=0.0, gripper_m=0.08):
    quat = (Rotation.from_rotvec([0, 0, turn]) * Rotation.from_quat([1, 0, 0, 0])).as_quat()
    return Action(Pose.of([0.5 + x, 0.0, 0.3], quat), gripper_m)


def begun(max_age_s=None, spec=SPEC):
    gate = Gate(spec, TICK_S, max_age_s)
    gate.begin(HOME)
    return gate


@settings(max_examples=30)
@given(st.floats(-0.149, 0.149), st.floats(-0.59, 0.59))
def test_a_goal_in_reach_is_reached_and_never_passed(x, turn):
    goal = moved(x, turn)
    cleared = drive(begun(), [goal] * 25)
    assert not any(one.reason for one in cleared)
    gaps = [one.target.tool.position_m[0] - goal.tool.position_m[0] for one in cleared]
    assert all(gap * -np.sign(x) >= -1e-12 for gap in gaps)
    assert (np.diff(np.abs(gaps)) <= 1e-12).all()
    assert abs(gaps[-1]) < 1e-9
    assert cleared[-1].target.tool.angle_to(goal.tool) < 1e-6


@settings(max_examples=30)
@given(st.floats(0.01, 1.0))
def test_a_moving_goal_is_followed_at_the_distance_that_braking_takes(speed):
    targets = [moved(x=speed * TICK_S * n) for n in range(1, 13)]
    far = 0.5 * speed**2 / SPEC.max_acceleration_m_s2
    for wanted, cleared in zip(targets, drive(begun(), targets), strict=True):
        gap = wanted.tool.position_m[0] - cleared.target.tool.position_m[0]
        assert gap >= -1e-12
    assert gap <= far + speed * TICK_S
    assert not cleared.reason


@pytest.mark.parametrize("hold", ["starved", "stopped"])
def test_a_hold_brakes_at_the_limit_and_no_faster(hold):
    gate = begun()
    drive(gate, [moved(x=0.02 * n) for n in range(1, 9)])
    if hold == "stopped":
        gate.stop("somebody pressed the button")
    wanted = None if hold == "starved" else moved(x=0.2)
    cleared = drive(gate, [wanted] * 12, 8 * TICK_NS)
    xs = np.array([one.target.tool.position_m[0] for one in cleared])
    speeds = np.diff(xs) / TICK_S
    assert speeds[0] > 0.3
    drops = -np.diff(speeds)
    assert drops[0] == pytest.approx(SPEC.max_acceleration_m_s2 * TICK_S)
    assert drops.max() <= SPEC.max_acceleration_m_s2 * TICK_S + 1e-9
    assert speeds[-3:].tolist() == [0.0] * 3
    assert not cleared[-1].moving


def test_a_stop_is_latched_until_it_is_released():
    gate = begun()
    gate.stop("the button")
    gate.stop("another button")
    held = drive(gate, [moved(x=0.01)] * 20)
    assert {one.reason for one in held} == {"the button"}
    assert held[-1].target.row() == pytest.approx(HOME.row())
    gate.release()
    passed = drive(gate, [moved(x=0.01)] * 20, 20 * TICK_NS)
    assert passed[-1].target.row() == pytest.approx(moved(x=0.01).row())


def test_the_first_target_must_be_where_the_robot_is():
    gate = begun()
    far = drive(gate, [moved(x=0.3)] * 3)
    assert "near where the robot is, within 0.25 m and 0.6 rad, got 0.30 m" in far[-1].reason
    assert far[-1].target.row() == pytest.approx(HOME.row())
    assert drive(gate, [moved(x=0.1)], 3 * TICK_NS)[0].reason == ""
    later = drive(gate, [moved(x=0.4)], 4 * TICK_NS)
    assert "near the last target" in later[0].reason
    assert gate.held["jump"] == 4


def test_a_turn_too_far_is_no_target_either():
    assert "0.70 rad" in drive(begun(), [moved(turn=0.7)])[0].reason


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"q_rad": np.array([0.99, 0.0])}, "expected j1 from -1 to 1 rad, got 0.990"),
        ({"dq_rad_s": np.array([0.0, 2.5])}, "expected j2 at 2 rad/s at most, got 2.50"),
        ({"q_rad": np.array([np.inf, 0.0])}, "expected a finite state"),
        ({"stamp_ns": -200_000_000}, "within 0.1 s, got 0.20 s"),
        ({"tool": Pose.of([0.5, 0.36, 0.3], [1, 0, 0, 0])}, "is it blocked?"),
    ],
)
def test_what_the_robot_says_can_hold_it(change, says):
    fine = Measured(0, HOME.tool, np.zeros(2), np.zeros(2))
    gate = begun(0.1)
    assert drive(gate, [HOME], 0, fine)[0].reason == ""
    held = gate.pass_on(1, moved(x=0.01), replace(fine, **change))
    assert says in held.reason
    assert bool(gate.stopped) == ("blocked" in says)
    after = gate.pass_on(2, moved(x=0.01), fine)
    assert bool(after.reason) == ("blocked" in says)


def test_without_the_robots_state_nothing_moves():
    assert "got none yet" in drive(begun(0.1), [moved(x=0.01)])[0].reason


def test_at_the_end_of_a_joint_only_the_way_back_is_open():
    gate = begun(1e3)
    inside = Measured(0, HOME.tool, np.zeros(2), np.zeros(2))
    at_end = replace(inside, q_rad=np.array([0.99, 0.0]))
    drive(gate, [moved(x=0.02)], 0, inside)  # begins where the joints are well
    drive(gate, [moved(x=0.1)] * 20, TICK_NS, inside)
    gate._inside = HOME.tool
    assert "only the way back is open" in gate.pass_on(10**9, moved(x=0.12), at_end).reason
    assert gate.pass_on(10**9 + TICK_NS, moved(x=0.05), at_end).reason == ""


def test_a_tool_outside_the_workspace_may_come_in_but_not_start_far_outside():
    below = Action(Pose.of([0.5, 0.0, -0.02], [1, 0, 0, 0]), 0.08)
    gate = Gate(SPEC, TICK_S)
    gate.begin(below)
    up = Action(Pose.of([0.5, 0.1, 0.02], [1, 0, 0, 0]), 0.08)
    cleared = drive(gate, [up] * 40)
    assert cleared[-1].target.tool.position_m == pytest.approx([0.5, 0.1, 0.02])
    far = Action(Pose.of([0.5, 0.0, -0.2], [1, 0, 0, 0]), 0.08)
    with pytest.raises(DfPolicyError, match=r"0\.2\d m outside"):
        Gate(SPEC, TICK_S).begin(far)


def test_it_needs_to_know_where_the_robot_is():
    with pytest.raises(DfPolicyError, match="where the robot is"):
        Gate(SPEC, TICK_S).pass_on(0, HOME)
    with pytest.raises(DfPolicyError, match="not finite"):
        Gate(SPEC, TICK_S).begin(Action(Pose(np.full(3, np.nan), HOME.tool.quat_xyzw), 0.08))


def test_a_new_beginning_starts_where_the_robot_was_put_meanwhile():
    """As a simulated one is, when the last episode ended with the arm far out."""
    gate = Gate(SPEC, TICK_S)
    gate.begin(HOME)
    drive(gate, [moved(x=0.02)] * 3)
    elsewhere = Action(Pose(HOME.tool.position_m - [0.0, 0.4, 0.0], HOME.tool.quat_xyzw), 0.08)
    gate.begin(elsewhere, 4 * TICK_NS)
    cleared = gate.pass_on(4 * TICK_NS, elsewhere)
    assert not cleared.reason
    assert np.allclose(cleared.target.tool.position_m, elsewhere.tool.position_m)


def test_a_new_beginning_while_targets_go_out_goes_on_from_the_last():
    gate = begun()
    moving = drive(gate, [moved(x=0.1)] * 4)[-1]
    gate.begin(HOME, 4 * TICK_NS)
    cleared = gate.pass_on(4 * TICK_NS, None)
    assert cleared.target.tool.position_m[0] > moving.target.tool.position_m[0]
    gate.begin(HOME, 10**10)
    assert gate.pass_on(10**10, None).target.row() == pytest.approx(HOME.row())
