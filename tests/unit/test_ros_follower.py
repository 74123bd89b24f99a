"""Following plans: as in training when plans are in time, without jumps when they are not."""

from dataclasses import replace

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from df_policy.frames import Action
from df_policy.gate import Gate
from df_policy.geometry import Pose
from df_policy.plan import Plan
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.follower import PlanFollower

SPEC = RobotSpec("arm", ("j1",), {"front": (8, 8)})
PERIOD, TICK = SPEC.period_ns, 20_000_000
HOME = Action(Pose.of([0.5, 0.0, 0.3], [1, 0, 0, 0]), 0.08)
offsets = st.lists(
    st.tuples(*[st.floats(-0.4, 0.4) for _ in range(3)], st.floats(-0.05, 0.15)),
    min_size=1,
    max_size=12,
)


def plan_of(steps, start_ns=0):
    rows = [
        Action(replace(HOME.tool, position_m=HOME.tool.position_m + step[:3]), step[3]).row()
        for step in map(np.array, steps)
    ]
    return Plan(start_ns, PERIOD, np.array(rows), start_ns)


def row(action):
    return action.row()


@given(offsets)
def test_a_plan_in_time_is_walked_as_the_environment_walks_its_actions(steps):
    plan = plan_of(steps)
    follower = PlanFollower(SPEC, TICK, 0, HOME)
    follower.accept(plan)
    sent = HOME
    for index in range(len(steps)):
        goal = SPEC.limit(plan.action(index), sent, 0.1)
        for tick in range(1, 6):
            target = follower.step(index * PERIOD + tick * TICK)
            np.testing.assert_allclose(row(target), row(sent.towards(goal, tick / 5)), atol=1e-9)
        sent = goal
    np.testing.assert_allclose(
        [row(a) for a in follower.executed(len(steps) * PERIOD, 1)], [row(sent)], atol=1e-9
    )


@given(offsets, offsets, st.integers(1, 60), st.lists(st.booleans(), min_size=60, max_size=60))
def test_behind_the_gate_targets_keep_the_limits_and_the_gate_never_refuses(
    first, second, switch, held
):
    follower, gate = PlanFollower(SPEC, TICK, 0, HOME), Gate(SPEC, TICK * 1e-9)
    gate.begin(HOME)
    follower.accept(plan_of(first))
    reach = SPEC.max_speed_m_s * TICK * 1e-9 + 1e-9
    low, high = map(np.array, SPEC.workspace_m)
    last = HOME
    for tick in range(1, 61):
        if tick == switch:
            follower.accept(plan_of(second, (tick - 1) * TICK // PERIOD * PERIOD))
        hold = held[tick - 1]
        wanted = follower.hold(tick * TICK) if hold else follower.step(tick * TICK)
        cleared = gate.pass_on(tick * TICK, None if hold else wanted)
        assert bool(cleared.reason) == hold
        follower.sent(tick * TICK, cleared.target)
        position = cleared.target.tool.position_m
        assert np.linalg.norm(position - last.tool.position_m) <= reach
        assert (position >= low - 1e-9).all()
        assert (position <= high + 1e-9).all()
        assert SPEC.gripper_range_m[0] <= cleared.target.gripper_m <= SPEC.gripper_range_m[1]
        last = cleared.target
        assert follower.executed(tick * TICK, 1) == [last]


def test_a_first_plan_that_begins_elsewhere_is_no_plan_for_this_robot():
    follower = PlanFollower(SPEC, TICK, 0, HOME)
    assert follower.misfit(plan_of([(0.1, 0, 0, 0.08)]), TICK) == ""
    far = plan_of([(0.1, 0, 0, 0.08), (0.3, 0, 0, 0.08)])
    assert follower.misfit(far, TICK) == ""
    assert "begin near the robot, within 0.25 m and 0.6 rad, got 0.30 m" in follower.misfit(
        far, PERIOD
    )
    follower.accept(far)
    assert follower.misfit(far, PERIOD) == ""


def test_a_plan_that_comes_late_is_joined_without_a_jump_and_on_time():
    follower = PlanFollower(SPEC, TICK, 0, HOME)
    for tick in (1, 2):
        assert follower.step(tick * TICK) == HOME
    plan = plan_of([(0.02, 0, 0, 0.08), (0.04, 0, 0, 0.08)])
    follower.accept(plan)
    xs = [follower.step(tick * TICK).tool.position_m[0] - 0.5 for tick in range(3, 11)]
    np.testing.assert_allclose(np.diff([0.0, *xs])[:3], 0.02 / 3, atol=1e-9)
    np.testing.assert_allclose(xs[2], 0.02, atol=1e-9)
    np.testing.assert_allclose(xs[-1], 0.04, atol=1e-9)


def test_beyond_its_end_a_plan_is_held():
    follower = PlanFollower(SPEC, TICK, 0, HOME)
    follower.accept(plan_of([(0.05, 0, 0, 0.08)]))
    targets = [follower.step(tick * TICK) for tick in range(1, 20)]
    assert not follower.covers(6 * TICK)
    assert all(target == targets[4] for target in targets[5:])


def test_after_a_hold_the_plan_is_rejoined_by_the_clock():
    follower = PlanFollower(SPEC, TICK, 0, HOME)
    follower.accept(plan_of([(0.01 * n, 0, 0, 0.08) for n in range(1, 9)]))
    for tick in range(1, 4):
        follower.step(tick * TICK)
    for tick in range(4, 18):
        follower.hold(tick * TICK)
    for tick in range(18, 21):
        target = follower.step(tick * TICK)
    np.testing.assert_allclose(target.tool.position_m[0], 0.54, atol=1e-9)


def test_executed_actions_are_what_was_sent_at_the_times_of_actions():
    follower = PlanFollower(SPEC, TICK, 0, HOME)
    follower.accept(plan_of([(0.01, 0, 0, 0.08)] * 20))
    for tick in range(1, 41):
        if tick not in (5, 11):  # a lost tick: what was sent before still holds
            follower.step(tick * TICK)
    xs = [action.tool.position_m[0] - 0.5 for action in follower.executed(8 * PERIOD, 8)]
    np.testing.assert_allclose(xs, [0.008] + [0.01] * 7, atol=1e-9)
    assert follower.executed(0, 3) == [HOME] * 3
    assert follower.executed(8 * PERIOD, 0) == []


def test_a_target_for_a_time_gone_by_is_the_last_one():
    follower = PlanFollower(SPEC, TICK, 0, HOME)
    follower.accept(plan_of([(0.05, 0, 0, 0.08)]))
    target = follower.step(2 * TICK)
    assert follower.step(2 * TICK) == target
    assert follower.step(TICK) == target
