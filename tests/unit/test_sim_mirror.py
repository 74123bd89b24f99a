"""A script that sees a simulation only by what it says does what it does within."""

import numpy as np
import pytest

from df_policy.errors import DfPolicyError
from df_policy.sim.mirror import Mirror, Script
from df_policy.sim.tasks import find
from df_policy.sim.world import World

TASK = find("fruit_swap_regrasp")


@pytest.fixture(scope="module")
def worlds():
    world, mirror = World(TASK), Mirror(TASK)
    yield world, mirror
    world.close()
    mirror.close()


def start(world, mirror, seed):
    world.reset(seed)
    mirror.lay_out(seed)
    mirror.follow(world.time_ns, world.snapshot())
    return Script(mirror, seed)


def test_what_is_mirrored_is_where_it_is_and_as_fast(worlds):
    world, mirror = worlds
    script = start(world, mirror, 3)
    for _ in range(60):
        script.sent(target := script.next())
        world.advance(target)
        mirror.follow(world.time_ns, world.snapshot())
    there, here = world.scene(), mirror.scene()
    assert np.array_equal(there.tool_m, here.tool_m)
    assert there.gripper_m == here.gripper_m
    assert here.time_s == pytest.approx(there.time_s)
    for fruit in TASK.fruits:
        assert np.array_equal(there.positions_m[fruit], here.positions_m[fruit])
        assert here.speeds_m_s[fruit] == pytest.approx(there.speeds_m_s[fruit], abs=0.05)
    assert np.allclose(world.observe(False).dq_rad_s, mirror.observe(False).dq_rad_s, atol=0.2)


@pytest.mark.parametrize("seed", [3, 4])
def test_the_script_solves_the_task_from_another_process_though_it_is_late(worlds, seed):
    """Each target acts two ticks after what it was made from."""
    world, mirror = worlds
    script = start(world, mirror, seed)
    under_way = [world.home, world.home]
    for tick in range(TASK.steps * 5 + 5):
        assert script.over == (tick > (TASK.steps - 1) * 5)
        script.sent(target := script.next())
        under_way.append(target)
        world.advance(under_way.pop(0))
        mirror.follow(world.time_ns, world.snapshot())
    assert world.judge().success
    assert mirror.judge() == world.judge()


def test_another_tasks_positions_are_refused(worlds):
    _, mirror = worlds
    with pytest.raises(DfPolicyError, match="is another task simulated"):
        mirror.follow(mirror.time_ns, np.zeros(3))
