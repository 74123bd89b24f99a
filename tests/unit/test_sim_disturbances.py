"""What goes wrong goes wrong as named: when it should, where it should, and nowhere else."""

import dataclasses
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tiny_world import TinyWorld

from df_policy.environment import Environment
from df_policy.errors import DfPolicyError
from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.sim.disturbances import KNOWN, SUITES, descriptions, parse
from df_policy.sim.disturbed import FIRST_S, Disturbed
from df_policy.sim.environment import TaskEnvironment
from df_policy.sim.scripted import ScriptedOperator
from df_policy.sim.tasks import find, make

STEPS = 80
"""An episode of eight seconds: long enough for all that lasts three."""
FEW = settings(max_examples=8)
CAMERAS = ("camera_black_front", "camera_black_wrist", "front_lost", "wrist_lost", "camera_frozen")
PIXELS = ("image_noise", "colour")
SEEDS = st.integers(0, 2**32 - 1)


class LongTinyWorld(TinyWorld):
    """Notes what reaches it."""

    episode_steps = STEPS

    def reset(self, seed):
        self.reached = []
        return super().reset(seed)

    def step(self, action):
        self.reached.append(action)
        return super().step(action)


@cache
def wander(count):
    rng = np.random.default_rng(0)
    down = [1.0, 0.0, 0.0, 0.0]
    spots = rng.uniform([0.35, -0.15, 0.15], [0.5, 0.15, 0.3], (count, 3))
    return [Action(Pose.of(spot, down), 0.01 * (i % 8)) for i, spot in enumerate(spots)]


def episode(names, seed, inner=None, steps=STEPS):
    """All observations of an episode, what was said to be sent, and the environment."""
    world = Disturbed(inner or LongTinyWorld(), parse(names))
    seen, sent = [world.reset(seed)], []
    for action in wander(steps):
        observation, done = world.step(action)
        seen.append(observation)
        sent.append(done)
    return seen, sent, world


def same(one, other):
    return (
        one.images.keys() == other.images.keys()
        and all(np.array_equal(one.images[name], other.images[name]) for name in one.images)
        and one.image_stamps_ns == other.image_stamps_ns
        and one.stamp_ns == other.stamp_ns
        and np.array_equal(one.q_rad, other.q_rad)
        and np.array_equal(one.tool.position_m, other.tool.position_m)
        and one.gripper_m == other.gripper_m
    )


def same_action(one, other):
    return np.array_equal(one.row(), other.row())


def began(world, name):
    return round(world.since_s[name] * world.spec.action_rate_hz)


@FEW
@given(SEEDS)
def test_without_a_disturbance_it_is_the_environment_itself(seed):
    plain = LongTinyWorld()
    expected, sent = [plain.reset(seed)], []
    for action in wander(30):
        observation, done = plain.step(action)
        expected.append(observation)
        sent.append(done)
    seen, said, world = episode("clean", seed, steps=30)
    assert all(same(a, b) for a, b in zip(expected, seen, strict=True))
    assert all(same_action(a, b) for a, b in zip(sent, said, strict=True))
    assert isinstance(world, Environment)
    assert world.since_s == {}
    assert world.judge() == plain.judge()


@pytest.mark.parametrize("name", [*CAMERAS, *PIXELS, "action_lost", "delay:200"])
@FEW
@given(seed=SEEDS)
def test_a_seed_repeats_and_all_is_well_until_it_begins(name, seed):
    clean = episode("", seed)[0]
    seen, sent, world = episode(name, seed)
    again, sent_again, _ = episode(name, seed)
    assert all(same(a, b) for a, b in zip(seen, again, strict=True))
    assert all(same_action(a, b) for a, b in zip(sent, sent_again, strict=True))
    start = began(world, name)
    assert all(same(a, b) for a, b in zip(clean[:start], seen[:start], strict=True))
    assert not all(same(a, b) for a, b in zip(clean, seen, strict=True))
    assert start >= 10 * FIRST_S or name.startswith("delay")


@pytest.mark.parametrize("name", CAMERAS[:4])
@FEW
@given(seed=SEEDS)
def test_a_black_camera_is_black_for_its_time_and_no_other_is(name, seed):
    clean, (seen, _, world) = episode("", seed)[0], episode(name, seed)
    dark, light = ("front", "wrist") if "front" in name else ("wrist", "front")
    start = began(world, name)
    lost = "lost" in name
    assert start == STEPS // 2 if lost else 10 <= start <= STEPS - 30
    for step, (was, now) in enumerate(zip(clean, seen, strict=True)):
        black = step >= start and (lost or step < start + 30)
        assert now.images[dark].any() != black
        assert np.array_equal(now.images[light], was.images[light])
        assert now.image_stamps_ns == was.image_stamps_ns


@FEW
@given(SEEDS)
def test_a_frozen_camera_keeps_its_image_and_its_stamp_for_three_seconds(seed):
    clean, (seen, _, world) = episode("", seed)[0], episode("camera_frozen", seed)
    start = began(world, "camera_frozen")
    differ = {
        camera
        for camera in ("front", "wrist")
        for was, now in zip(clean, seen, strict=True)
        if was.image_stamps_ns[camera] != now.image_stamps_ns[camera]
    }
    assert len(differ) == 1
    (camera,) = differ
    last = clean[start - 1]
    for step in range(start, start + 30):
        assert np.array_equal(seen[step].images[camera], last.images[camera])
        assert seen[step].image_stamps_ns[camera] == last.image_stamps_ns[camera]
        assert seen[step].stamp_ns == clean[step].stamp_ns
    assert all(same(a, b) for a, b in zip(clean[start + 30 :], seen[start + 30 :], strict=True))


def test_noise_is_fresh_on_every_image_and_as_strong_as_named():
    clean, (seen, _, world) = episode("", 3)[0], episode("image_noise", 3)
    start = began(world, "image_noise")
    off = [
        now.images["front"].astype(int) - was.images["front"]
        for was, now in zip(clean[start:], seen[start:], strict=True)
    ]
    middle = np.concatenate(
        [
            change[(was.images["front"] > 80) & (was.images["front"] < 176)]
            for was, change in zip(clean[start:], off, strict=True)
        ]
    )
    assert abs(middle.mean()) < 1.0
    assert middle.std() == pytest.approx(20.0, abs=1.0)
    assert not np.array_equal(off[0], off[1])


@FEW
@given(SEEDS)
def test_a_colour_change_is_the_same_for_every_pixel_of_that_colour(seed):
    clean = episode("", seed)[0]
    seen, _, world = episode("colour", seed)
    steps = range(began(world, "colour"), STEPS + 1)
    was = np.concatenate([clean[s].images["front"].reshape(-1, 3) for s in steps]).astype(float)
    now = np.concatenate([seen[s].images["front"].reshape(-1, 3) for s in steps])
    inside = ((now > 0) & (now < 255)).all(axis=1)
    matrix, *_ = np.linalg.lstsq(was[inside], now[inside], rcond=None)
    assert np.abs(was[inside] @ matrix - now[inside]).max() < 1.0  # rounding alone
    grey = np.ones(3) @ matrix
    assert grey[1] == pytest.approx(1.0, abs=0.02)  # white balance keeps green
    assert (grey > 0.7).all()
    assert (grey < 1.35).all()


@pytest.mark.parametrize("late", [0, 1, 3, 5])
def test_a_delay_gives_old_observations_with_their_own_stamps(late):
    clean, (seen, _, world) = episode("", 1)[0], episode(f"delay:{100 * late}", 1)
    for step, now in enumerate(seen):
        assert same(now, clean[max(0, step - late)])
    assert bool(world.since_s) == (late > 0)


@FEW
@given(SEEDS)
def test_a_lost_action_leaves_the_robot_where_it_was_and_the_sender_in_belief(seed):
    inner = LongTinyWorld()
    _, sent, world = episode("action_lost", seed, inner)
    first = began(world, "action_lost") - 1  # step n is the n-th action
    asked = wander(STEPS)
    for index, (want, got) in enumerate(zip(asked, inner.reached, strict=True)):
        lost = first <= index < first + 3
        assert same_action(got, sent[first - 1] if lost else want)
    before = sent[0]
    for want, said in zip(asked[1:], sent[1:], strict=True):
        limited = world.spec.limit(want, before, 0.1)
        assert same_action(said, limited)
        before = said


@FEW
@given(SEEDS)
def test_a_disturbance_is_the_same_whatever_others_there_are(seed):
    names = ["camera_frozen", "image_noise", "action_lost"]
    together = episode(",".join(names), seed)[2].since_s
    alone = {name: episode(name, seed)[2].since_s[name] for name in names}
    assert together == alone


class Brief(TaskEnvironment):
    """So short that what begins in the first half begins within two seconds."""

    episode_steps = 40


@pytest.fixture(scope="module")
def brief():
    made = Brief(find("fruit_swap"))
    yield made
    made.close()


@pytest.fixture(scope="module")
def blind():
    return make("fruit_swap", cameras=False)


def standing(names, seed, inner):
    """Observations of a robot that stays where it is, and the environment."""
    world = Disturbed(inner, parse(names))
    seen = [world.reset(seed)]
    seen += [world.step(seen[0].hold())[0] for _ in range(world.episode_steps)]
    return seen, world


@pytest.mark.parametrize("name", ["lighting", "distractor", "camera_jitter"])
def test_what_changes_in_the_scene_is_seen_touches_nothing_and_is_undone(name, brief):
    seen, world = standing(name, 5, brief)
    start = began(world, name)
    assert 10 <= start <= 20
    qpos = brief.world.snapshot()
    again, _ = standing(name, 5, brief)
    clean, _ = standing("", 5, brief)
    assert np.array_equal(qpos, brief.world.snapshot())
    looks = [[one.images for one in run] for run in (seen, again, clean)]
    for step, (now, repeated, was) in enumerate(zip(*looks, strict=True)):
        for camera in ("front", "wrist"):
            assert np.array_equal(now[camera], repeated[camera])
            if step < start:
                assert np.array_equal(now[camera], was[camera])
    last, was = looks[0][-1], looks[2][-1]
    assert any((last[camera] != was[camera]).any(-1).sum() > 20 for camera in last)


def test_a_shaken_camera_shakes_about_its_place(brief):
    seen, world = standing("camera_jitter", 1, brief)
    pictures = [one.images["front"] for one in seen[began(world, "camera_jitter") :]]
    assert all((a != b).any() for a, b in pairwise(pictures))
    clean, _ = standing("", 1, brief)
    off = np.mean([np.abs(p.astype(int) - clean[-1].images["front"]).mean() for p in pictures])
    assert off < 30


@pytest.mark.parametrize("seed", range(8))
def test_the_distractor_comes_to_rest_on_the_table_and_clear_of_the_slots(seed, brief):
    world = Disturbed(brief, parse("distractor"))
    world.reset(seed)
    places = []
    for _ in range(world.episode_steps):
        world.step(brief.world.home)
        places.append(brief.world.data.mocap_pos[0].copy())
    assert places[0][2] < -1.0  # under the floor
    assert np.array_equal(places[-1], places[-2])
    assert np.linalg.norm(brief.world.start.places_m - places[-1][:2], axis=1).min() >= 0.11
    assert 0.3 < places[-1][0] < 0.75
    assert 0.0 < places[-1][2] < 0.05


def driven(name, seed, blind):
    """The fruits before and after each step of a scripted episode with this disturbance."""
    world = Disturbed(blind, parse(name))
    seen = world.reset(seed)
    operator = ScriptedOperator(blind)
    operator.start(seen, seed)
    moments = []
    while not world.since_s or len(moments) < began(world, name) + 3:
        before = blind.world.fruits_m()
        tool = seen.tool.position_m
        seen, _ = world.step(operator.act(seen).action)
        moments.append((before, blind.world.fruits_m(), tool))
        assert len(moments) < world.episode_steps, f"{name} never came"
    return moments, began(world, name) - 1


@pytest.mark.parametrize("name", ["fruit_nudged", "fruit_moved"])
@pytest.mark.parametrize("seed", range(4))
def test_a_fruit_is_moved_once_while_the_hand_is_away(name, seed, blind):
    moments, when = driven(name, seed, blind)
    leaps = []
    for index, (before, after, tool) in enumerate(moments):
        for fruit in before:
            away = min(np.linalg.norm(tool - place) for place in before.values())
            if away >= 0.12 and np.linalg.norm(after[fruit] - before[fruit]) > 0.005:
                leaps.append((index, fruit))
    assert [index for index, _ in leaps] == [when]
    before, after, _ = moments[when]
    fruit = leaps[0][1]
    start = blind.world.start
    slots = [start.place_of(fruit, place[fruit]) for place in (before, after)]
    others = {start.place_of(other, after[other]) for other in after if other != fruit}
    assert slots[1] is not None
    assert slots[1] not in others
    assert (slots[0] == slots[1]) == (name == "fruit_nudged")
    assert when >= 9


@pytest.mark.parametrize("seed", range(4))
def test_a_fruit_is_knocked_out_of_the_lifting_hand_and_falls(seed, blind):
    moments, when = driven("fruit_knocked", seed, blind)
    before, _, tool = moments[when]
    fruit = max(before, key=lambda name: before[name][2])
    assert before[fruit][2] > blind.world.start.radii_m[fruit] + 0.04
    assert np.linalg.norm(before[fruit] - tool) < 0.03
    last = moments[-1][1][fruit]
    assert last[2] < before[fruit][2]
    assert blind.world.held_fruit() is None


@pytest.mark.parametrize("seed", range(4))
def test_a_fruit_slips_out_of_the_closing_fingers_but_stays_in_its_place(seed, blind):
    moments, when = driven("fruit_slips", seed, blind)
    before, after, tool = moments[when]
    fruit = min(before, key=lambda name: np.linalg.norm(before[name] - tool))
    moved = after[fruit] - before[fruit]
    assert abs(moved[0]) > 0.010
    start = blind.world.start
    assert start.place_of(fruit, after[fruit]) == start.place_of(fruit, before[fruit])


def test_each_disturbance_acts_in_its_share_of_the_episodes(blind):
    world = Disturbed(blind, parse("fruit_nudged,action_lost"), share=0.5)
    drawn = []
    for seed in range(200):
        world.reset(seed)
        drawn.append(tuple(sorted(world._effects)))
    both, none = drawn.count(("action_lost", "fruit_nudged")), drawn.count(())
    assert 25 < both < 75
    assert 25 < none < 75


@pytest.mark.parametrize(
    "task", ["fruit_swap_anywhere", "fruit_cycle", "fruit_return", "fruit_order"]
)
def test_the_other_tasks_can_be_disturbed_and_are_themselves_again(task):
    names = ["fruit_nudged", "fruit_moved", "fruit_knocked", "lighting", "distractor"]
    inner = make(task, cameras=False)
    inner.reset(4)
    clean = inner.world.snapshot()
    world = Disturbed(inner, parse(",".join(names)))
    operator = ScriptedOperator(inner)
    happened = set()
    for seed in range(3, 9):  # what waits for the robot to do something may wait in vain
        seen = world.reset(seed)
        operator.start(seen, seed)
        for _ in range(world.episode_steps):
            seen, _ = world.step(operator.act(seen).action)
        happened |= set(world.since_s)
        if happened == set(names):
            break
    assert happened == set(names)
    Disturbed(inner, ()).reset(4)
    assert np.array_equal(inner.world.snapshot(), clean)


def test_scene_and_fruit_need_a_simulated_world():
    for name in ("lighting", "distractor", "camera_jitter", "fruit_moved", "fruit_knocked"):
        with pytest.raises(DfPolicyError, match="expected a simulated world"):
            Disturbed(LongTinyWorld(), parse(name)).reset(0)


def test_a_camera_that_the_robot_lacks_is_named():
    class OneEyed(LongTinyWorld):
        spec = dataclasses.replace(LongTinyWorld.spec, cameras={"front": (6, 8)})

    with pytest.raises(DfPolicyError, match=r"camera of the robot.*front.*'wrist'"):
        Disturbed(OneEyed(), parse("wrist_lost")).reset(0)


def test_a_delay_between_two_observations_is_refused():
    with pytest.raises(DfPolicyError, match="multiples of 100 ms"):
        Disturbed(LongTinyWorld(), parse("delay:250")).reset(0)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        ("front_lots", "did you mean 'front_lost'"),
        ("front_lost,dealy:3", "did you mean 'delay'"),
        ("xyz", "expected one of: camera_black_front"),
        ("delay", "delay:0 to delay:500"),
        ("delay:501", "got 'delay:501'"),
        ("delay:-1", "got 'delay:-1'"),
        ("colour:3", "expected no value for colour"),
        ("colour,lighting,colour", "colour again"),
    ],
)
def test_a_name_that_is_none_is_answered_with_what_was_meant(names, said):
    with pytest.raises(DfPolicyError, match=said):
        parse(names)


def lasting(names, seed):
    """An episode to its end: what was sent, and the environment."""
    world = Disturbed(LongTinyWorld(), parse(names))
    world.reset(seed)
    return [world.step(action)[1] for action in wander(world.episode_steps)], world


@FEW
@given(SEEDS)
def test_pauses_take_three_lengths_and_leave_the_task_its_own(seed):
    sent, world = lasting("pauses", seed)
    assert world.episode_steps == len(world.inner.reached) == 4 * STEPS
    asked = wander(4 * STEPS)
    limited = [world.spec.limit(a, b, 0.1) for a, b in zip(asked[1:], sent[:-1], strict=True)]
    moving = [same_action(a, b) for a, b in zip(limited, sent[1:], strict=True)]
    held = [same_action(a, b) for a, b in pairwise(sent)]
    assert all(a != b for a, b in zip(moving, held, strict=True))
    assert sum(held) == 3 * STEPS
    begin = began(world, "pauses")
    assert begin > 10 * FIRST_S
    assert held.index(True) + 2 == begin
    assert 1 <= sum(b and not a for a, b in pairwise(held)) <= 8


@FEW
@given(SEEDS)
def test_a_pause_tells_the_sender_and_is_the_same_for_everyone(seed):
    """Unlike a lost action, it is known: what is returned as sent is what reached the robot."""
    sent, world = lasting("pauses", seed)
    spec, reached, before = world.spec, world.inner.reached, None
    for action, said in zip(reached, sent, strict=True):
        if before is not None:
            assert same_action(spec.limit(action, before, 0.1), said)
        before = said
    both, other = lasting("pauses,colour", seed)
    assert world.since_s["pauses"] == other.since_s["pauses"]
    assert all(same_action(a, b) for a, b in zip(sent, both, strict=True))


def test_waiting_changes_nothing_but_how_long_the_episode_is():
    sent, world = lasting("waits_after", 0)
    plain = LongTinyWorld()
    plain.reset(0)
    assert world.episode_steps == 4 * STEPS
    assert began(world, "waits_after") == STEPS + 1
    for action, said in zip(wander(4 * STEPS), sent, strict=True):
        assert same_action(plain.step(action)[1], said)
    assert lasting("pauses,waits_after", 0)[1].episode_steps == 7 * STEPS


def test_every_name_has_a_line_and_a_place_in_a_suite():
    assert list(descriptions()) == [*KNOWN, "delay:MS"]
    assert set(SUITES["reactivity"]) < set(SUITES["robustness"])
    longer = {name for name, one in KNOWN.items() if one.longer}
    assert set(SUITES["long"]) == {"clean", *longer}
    suite = SUITES["robustness"]
    assert suite[0] == "clean"
    tables = set(SUITES["domain"]) - {"clean"}
    assert set(KNOWN) - longer - tables < set(suite)
    assert not (longer | tables) & set(suite)
    assert [one.name for name in suite for one in parse(name)] == list(suite[1:])
    assert parse("clean") == parse("") == ()
