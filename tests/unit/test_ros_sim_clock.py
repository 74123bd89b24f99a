"""The simulated robot's clock: its own, or one that keeps pace with the wall's."""

from hypothesis import given
from hypothesis import strategies as st

from df_policy.ros_nodes.sim_clock import MOST_MADE_UP, SimClock

TICK = 20_000_000


def test_by_its_own_time_a_late_tick_is_one_tick():
    clock = SimClock(TICK, wall=False, wall_ns=lambda: 10**18)
    clock.set(5)
    assert clock.stamp_ns(7) == 7
    assert clock.due(7) == 1


@given(st.lists(st.integers(0, 12 * TICK), min_size=1, max_size=50))
def test_by_the_wall_it_is_never_far_from_it_and_never_goes_back(pauses):
    wall = [10**18]
    clock = SimClock(TICK, wall=True, wall_ns=lambda: wall[0])
    world = 0
    clock.set(world)
    last = clock.stamp_ns(world)
    for pause in pauses:
        wall[0] += pause
        before = world
        for _ in range(clock.due(world)):
            world += TICK
        assert (world - before) // TICK <= MOST_MADE_UP
        stamp = clock.stamp_ns(world)
        assert last <= stamp
        assert -TICK < wall[0] - stamp < TICK
        last = stamp


def test_short_stalls_are_made_up_for_tick_by_tick():
    wall = [0]
    clock = SimClock(TICK, wall=True, wall_ns=lambda: wall[0])
    clock.set(0)
    wall[0] = 3 * TICK + TICK // 2
    assert clock.due(0) == 3
    assert clock.stamp_ns(3 * TICK) == 3 * TICK
