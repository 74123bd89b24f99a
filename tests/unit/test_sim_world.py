"""The simulated world, the environment around it, and its scripted operator."""

import multiprocessing
import os
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from df_policy.environment import Environment, Event, Operator
from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Observation
from df_policy.gate import Gate
from df_policy.geometry import Pose
from df_policy.sim.environment import TaskEnvironment
from df_policy.sim.scripted import ScriptedOperator
from df_policy.sim.tasks import make
from df_policy.sim.tasks.fruit_swap import FRUIT_SWAP
from df_policy.sim.tasks.task import HOME, OPEN_M
from df_policy.sim.world import World, WorldSettings


@pytest.fixture(scope="module")
def env() -> Iterator[TaskEnvironment]:
    made = make("fruit_swap")
    yield made
    made.close()


@pytest.fixture(scope="module")
def world() -> Iterator[World]:
    made = World()
    yield made
    made.close()


def wander(seed: int, count: int) -> list[Action]:
    rng = np.random.default_rng(seed)
    low, high = [0.3, -0.3, 0.1], [0.7, 0.3, 0.4]
    quat = HOME.quat_xyzw
    return [
        Action(Pose.of(rng.uniform(low, high), quat), float(rng.uniform(0.0, 0.08)))
        for _ in range(count)
    ]


def same(first: Observation, second: Observation) -> bool:
    return (
        all(np.array_equal(first.images[name], second.images[name]) for name in second.images)
        and np.array_equal(first.q_rad, second.q_rad)
        and np.array_equal(first.dq_rad_s, second.dq_rad_s)
        and np.array_equal(first.tool.position_m, second.tool.position_m)
        and first.gripper_m == second.gripper_m
    )


def test_the_contracts_are_kept(env: TaskEnvironment) -> None:
    kept: Environment = env
    driver: Operator = ScriptedOperator(env)
    assert kept.episode_steps == 224
    assert driver is not None


def test_an_episode_repeats_exactly(env: TaskEnvironment) -> None:
    runs = []
    for _ in range(2):
        seen = [env.reset(7)]
        seen += [env.step(action)[0] for action in wander(1, 12)]
        runs.append(seen)
    assert all(same(a, b) for a, b in zip(*runs, strict=True))


def test_two_worlds_do_not_share_state(env: TaskEnvironment) -> None:
    other = make("fruit_swap")
    try:
        env.reset(3)
        first = other.reset(3)
        for action in wander(2, 5):
            env.step(action)
        assert same(first, other.world.observe())
        assert other.judge().reason == "not moved"
    finally:
        other.close()


def test_a_step_is_five_ticks_on_the_straight_way_through_the_gate(
    env: TaskEnvironment, world: World
) -> None:
    env.reset(11)
    world.reset(11)
    gate, last = Gate(env.spec, 0.02), world.home
    gate.begin(last)
    for action in wander(3, 8):
        observation, sent = env.step(action)
        before, goal = last, env.spec.limit(action, last, 0.1)
        for tick in range(1, 6):
            last = gate.pass_on(world.time_ns, before.towards(goal, tick / 5)).target
            world.advance(last)
        assert (sent.row() == last.row()).all()
        assert same(world.observe(), observation)


def test_the_clock_never_goes_back(world: World) -> None:
    stamps = []
    for seed in range(3):
        world.reset(seed)
        for _ in range(5):
            stamps.append(world.observe(cameras=False).stamp_ns)
            world.advance(world.home)
    assert all(later > earlier for earlier, later in pairwise(stamps))
    assert all(stamp % 20_000_000 == 0 for stamp in stamps)


def test_a_fresh_world_starts_at_zero() -> None:
    world = World()
    world.reset(0)
    assert world.time_ns == 0
    world.advance(world.home)
    assert world.time_ns == 20_000_000
    world.reset(0)
    assert world.time_ns == 120_000_000


def test_the_tool_comes_within_three_millimetres(world: World) -> None:
    world.reset(0)
    for position in ([0.5, 0.2, 0.15], [0.4, -0.25, 0.3], [0.62, 0.0, 0.2]):
        tilted = Rotation.from_euler("z", 0.4) * Rotation.from_quat(HOME.quat_xyzw)
        target = Action(Pose.of(position, tilted.as_quat()), 0.04)
        for _ in range(75):
            world.advance(target)
        found = world.observe(cameras=False)
        assert np.linalg.norm(found.tool.position_m - position) < 0.003
        assert abs(found.gripper_m - 0.04) < 0.006  # the fingers stick


def test_home_is_held_at_rest(world: World) -> None:
    world.reset(5)
    fruits = world.fruits_m()
    for _ in range(50):
        world.advance(world.home)
    found = world.observe(cameras=False)
    assert np.linalg.norm(found.tool.position_m - HOME.position_m) < 0.002
    assert found.gripper_m == pytest.approx(OPEN_M, abs=0.002)
    for fruit, position in world.fruits_m().items():
        assert np.linalg.norm(position - fruits[fruit]) < 0.003
    assert world.judge().reason == "not moved"


def test_what_is_sent_keeps_the_limits(env: TaskEnvironment) -> None:
    env.reset(0)
    low, high = (np.array(corner) for corner in env.spec.workspace_m)
    before = env.world.home.tool.position_m
    rng = np.random.default_rng(0)
    for _ in range(15):
        asked = Action(Pose.of(rng.uniform(-2, 2, 3), rng.normal(size=4)), rng.uniform(-1, 1))
        observation, sent = env.step(asked)
        assert (sent.tool.position_m >= low - 1e-9).all()
        assert (sent.tool.position_m <= high + 1e-9).all()
        assert np.linalg.norm(sent.tool.position_m - before) <= 0.12 + 1e-9
        assert 0.0 <= sent.gripper_m <= 0.08
        assert np.isfinite(observation.q_rad).all()
        before = sent.tool.position_m


def test_images_show_something_and_differ_between_starts(env: TaskEnvironment) -> None:
    starts = {tuple(FRUIT_SWAP.draw_start(seed).slots.values()): seed for seed in range(60)}
    seen = [env.reset(seed).images for seed in starts.values()]
    for name in ("front", "wrist"):
        for images in seen:
            assert images[name].shape == (64, 64, 3)
            assert images[name].dtype == np.uint8
            assert images[name].std() > 10.0
        for first, second in pairwise(seen):
            assert (first[name] != second[name]).any(axis=2).sum() > 20


def test_a_moment_can_be_shown_again(env: TaskEnvironment) -> None:
    env.reset(2)
    for action in wander(4, 4):
        env.step(action)
    moment, seen = env.world.snapshot(), env.world.observe()
    env.reset(9)
    env.world.restore(moment)
    again = env.world.observe()
    assert np.array_equal(again.images["front"], seen.images["front"])
    assert again.q_rad == pytest.approx(seen.q_rad)


def test_a_strange_snapshot_is_refused(world: World) -> None:
    with pytest.raises(DfPolicyError, match="snapshot of"):
        world.restore(np.zeros(3))


def test_a_control_period_must_be_whole_physics_steps() -> None:
    with pytest.raises(DfPolicyError, match="multiple"):
        WorldSettings(physics_dt_s=0.003)


def test_images_come_back_after_close(world: World) -> None:
    world.reset(1)
    first = world.observe().images["front"]
    world.close()
    assert np.array_equal(world.observe().images["front"], first)


@pytest.mark.parametrize("seed", [0, 1, 2])
def test_the_operator_swaps_the_fruits_in_time(seed: int) -> None:
    env = make("fruit_swap", cameras=False)
    operator = ScriptedOperator(env)
    observation = env.reset(seed)
    operator.start(observation, seed)
    events, moving = [], []
    for step in range(env.episode_steps):
        command = operator.act(observation)
        events.append(command.event)
        observation, sent = env.step(command.action)
        behind_m = np.linalg.norm(sent.tool.position_m - command.action.tool.position_m)
        assert behind_m <= 0.5 * env.spec.max_speed_m_s**2 / env.spec.max_acceleration_m_s2
        if np.linalg.norm(observation.tool.position_m - HOME.position_m) > 0.02:
            moving.append(step)
    assert env.judge().success
    assert events[-1] is Event.KEEP
    assert not any(events[:-1])
    assert max(moving) < env.episode_steps - 20


def test_the_operator_repeats_itself_for_a_seed(world: World) -> None:
    world.reset(4)
    operator = ScriptedOperator(world)
    rows = []
    for _ in range(2):
        world.reset(4)
        seen = world.observe(cameras=False)
        operator.start(seen, 4)
        rows.append(np.stack([operator.act(seen).action.row() for _ in range(40)]))
    np.testing.assert_array_equal(*rows)


WITHOUT_EGL = """
import ctypes
load = ctypes.CDLL.__init__
def refuse(self, name, *args, **kwargs):
    if "EGL" in str(name):
        raise OSError(name)
    load(self, name, *args, **kwargs)
ctypes.CDLL.__init__ = refuse
from df_policy.errors import DfPolicyError
from df_policy.sim.tasks import make
make("fruit_swap", cameras=False).reset(0)
try:
    make("fruit_swap").reset(0)
except DfPolicyError as error:
    print(error)
"""


def test_without_egl_physics_runs_and_cameras_name_the_packages() -> None:
    surroundings = {k: v for k, v in os.environ.items() if k != "MUJOCO_GL"}
    surroundings["PYTHONPATH"] = os.pathsep.join(filter(None, sys.path))
    ran = subprocess.run(
        [sys.executable, "-c", WITHOUT_EGL],
        env=surroundings,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    command = re.search(r"`apt install ([^`]*)`", ran.stdout)
    assert command is not None
    check = runpy.run_path(str(Path(__file__).parents[2] / ".ci" / "system_check.py"))
    assert set(command[1].split()) == {*check["EGL_PACKAGES"], "libopengl0"}
    assert "libopengl0" in check["LIBRARIES"]


def show(world: World, results: "multiprocessing.Queue[int]") -> None:
    world.reset(5)
    results.put(int(world.observe().images["front"].sum()))


def test_a_forked_process_draws_the_same_picture(world: World) -> None:
    context = multiprocessing.get_context("fork")
    world.reset(5)
    here = int(world.observe().images["front"].sum())
    results: multiprocessing.Queue[int] = context.Queue()
    child = context.Process(target=show, args=(world, results))
    child.start()
    try:
        assert results.get(timeout=30) == here
    finally:
        child.join(10)
        if child.is_alive():
            child.kill()
    assert child.exitcode == 0
    assert int(world.observe().images["front"].sum()) == here
