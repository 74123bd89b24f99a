"""Another table looks other, moves nothing, and what is unseen no training has drawn."""

from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.sim.disturbances import parse
from df_policy.sim.disturbed import Disturbed
from df_policy.sim.domain import SEEN, UNSEEN, draw
from df_policy.sim.scripted import ScriptedOperator
from df_policy.sim.tasks import make
from df_policy.sim.textures import PATTERNS, SIZE

TICK_S = 0.02
NAMES = {"domain": SEEN, "domain_unseen": UNSEEN}
SEEN_ONLY = ("geom_rgba", "geom_matid", "light_diffuse", "light_dir", "cam_pos", "cam_quat")
"""The model's fields that pictures alone depend on; a field of view is one more."""


@pytest.fixture(scope="module")
def inner():
    made = make("fruit_swap")
    yield made
    made.close()


def drawn(ranges, seed):
    return draw(
        np.random.default_rng(seed), ranges, ("front", "wrist"), ("apple", "orange"), TICK_S
    )


def test_what_is_unseen_begins_where_training_ends():
    for field in fields(SEEN):
        seen, unseen = getattr(SEEN, field.name), getattr(UNSEEN, field.name)
        if field.name == "textures":
            assert set(seen).isdisjoint(unseen)
            assert {*seen, *unseen} == {"", *PATTERNS}
        else:
            assert seen[0] < seen[1] <= unseen[0] < unseen[1], field.name


@pytest.mark.parametrize("ranges", NAMES.values(), ids=NAMES)
@given(seed=st.integers(0, 2**32 - 1))
@settings(max_examples=60)
def test_what_is_drawn_lies_in_the_documented_ranges(ranges, seed):
    def within(value, name):
        low, high = getattr(ranges, name)
        assert low - 1e-9 <= abs(value) <= high + 1e-9, name

    table = drawn(ranges, seed)
    assert table.texture in ranges.textures
    lamp = np.log(table.lamp)
    within(lamp[1], "lamp")
    within(lamp[0] - lamp[1], "warmth")
    assert lamp[0] - lamp[1] == pytest.approx(lamp[1] - lamp[2])
    within(np.log(table.ambient), "ambient")
    within(np.linalg.norm(table.tilt), "tilt")
    for fruit, hue_deg in table.fruit_hue_deg.items():
        within(hue_deg, "fruit_hue_deg")
        within(np.log(table.fruit_brightness[fruit]), "fruit_brightness")
    for factor in table.paint.values():
        within(np.log(factor), "paint")
    for look in table.cameras.values():
        within(np.linalg.norm(look.shift_m), "shift_m")
        within(np.degrees(np.linalg.norm(look.turn_rad)), "turn_deg")
        within(np.log(look.zoom), "zoom")
        gain = np.log(look.gain)
        within(gain[1], "exposure")
        within(gain[0] - gain[1], "white_balance")
        within(gain[2] - gain[1], "white_balance")
    within(table.noise, "noise")
    within(table.action_lag_s, "action_lag_s")
    low, high = ranges.image_lag_s
    assert low <= table.image_lag_ticks * TICK_S < high


def test_one_seed_gives_one_table_and_another_one_another():
    assert repr(drawn(SEEN, 3)) == repr(drawn(SEEN, 3)) != repr(drawn(SEEN, 4))


def test_a_pattern_is_a_square_that_never_gets_so_dark_that_fruit_is_lost(inner):
    model = inner.world.model
    for name in PATTERNS:
        texture = model.texture(name)
        grey = model.tex_data[texture.adr[0] :][: 3 * SIZE**2].reshape(SIZE, SIZE, 3)
        assert (int(texture.width[0]), int(texture.height[0])) == (SIZE, SIZE)
        assert grey.min() >= 140
        assert grey.std() > 10


def standing(names, seed, inner, steps=3):
    world = Disturbed(inner, parse(names))
    seen = [world.reset(seed)]
    seen += [world.step(seen[0].hold())[0] for _ in range(steps)]
    return seen, world


def arrays(model):
    found = {name: getattr(model, name) for name in dir(model) if not name.startswith("_")}
    return {name: v.copy() for name, v in found.items() if isinstance(v, np.ndarray)}


@pytest.mark.parametrize("name", NAMES)
def test_all_pictures_differ_and_nothing_that_moves_does(name, inner):
    clean, _ = standing("", 5, inner)
    before, model = inner.world.snapshot(), inner.world.model
    fields_before, ambient = arrays(model), model.vis.headlight.ambient.copy()
    seen, world = standing(name, 5, inner)
    assert np.array_equal(before, inner.world.snapshot())
    changed = {
        field
        for field, values in arrays(model).items()
        if not np.array_equal(values, fields_before[field])
    }
    assert changed == {*SEEN_ONLY, "cam_fovy"} - ({"geom_matid"} if plain(world) else set())
    assert world.since_s == {name: 0.0}
    for one, was in zip(seen, clean, strict=True):
        assert one.stamp_ns == was.stamp_ns - clean[0].stamp_ns + seen[0].stamp_ns
        for camera in ("front", "wrist"):
            off = np.abs(one.images[camera].astype(int) - was.images[camera])
            assert off.mean() > 2.0
    again, _ = standing(name, 5, inner)
    assert all(
        np.array_equal(one.images[camera], other.images[camera])
        for one, other in zip(seen, again, strict=True)
        for camera in one.images
    )
    undone, _ = standing("", 5, inner)
    assert np.array_equal(undone[-1].images["front"], clean[-1].images["front"])
    assert np.array_equal(ambient, model.vis.headlight.ambient)


def plain(world):
    (effect,) = world._effects.values()
    return effect.domain.texture == ""


def test_a_late_image_is_what_was_seen_then_and_says_so(inner):
    world = inner.world
    world.reset(1)
    down = [1.0, 0.0, 0.0, 0.0]
    past = []
    for tick in range(8):
        world.advance(
            Action(Pose.of(world.home.tool.position_m + [0, 0.004 * tick, 0], down), 0.08)
        )
        past.append(world.observe())
    try:
        world.hindsight.ticks = 3
        late = world.observe()
    finally:
        world.hindsight.ticks = 0
    assert late.stamp_ns == past[-1].stamp_ns
    assert np.array_equal(late.q_rad, past[-1].q_rad)
    for camera in ("front", "wrist"):
        assert late.image_stamps_ns[camera] == past[-4].stamp_ns
        assert np.array_equal(late.images[camera], past[-4].images[camera])
        assert not np.array_equal(late.images[camera], past[-1].images[camera])


def test_the_robot_follows_late_and_comes_to_where_it_was_told(monkeypatch):
    blind = make("fruit_swap", cameras=False)
    reached, step = [], blind.step
    monkeypatch.setattr(blind, "step", lambda action: (reached.append(action), step(action))[1])
    world = Disturbed(blind, parse("domain"))
    start = world.reset(2).hold()
    (effect,) = world._effects.values()
    share = 10.0 * effect.domain.action_lag_s
    assert 0.0 < share <= 0.3
    spots = [start.tool.position_m + [0.0, 0.02 * n, 0.0] for n in (1, 2, 3, 3)]
    asked = [start, *(Action(Pose.of(spot, start.tool.quat_xyzw), 0.08) for spot in spots)]
    sent = [world.step(action)[1] for action in asked[1:]]
    for n, action in enumerate(reached):
        wanted = asked[n].towards(asked[n + 1], 1.0 - share)
        assert np.allclose(action.row(), wanted.row(), atol=1e-9)
    assert np.array_equal(reached[-1].row(), asked[-1].row())
    assert np.allclose([one.row() for one in sent], [one.row() for one in asked[1:]], atol=1e-6)


@pytest.mark.parametrize("name", NAMES)
def test_the_operator_does_its_work_at_another_table(name):
    blind = make("fruit_swap_regrasp", cameras=False)
    world, done = Disturbed(blind, parse(name)), 0
    operator = ScriptedOperator(blind)
    for seed in range(3):
        seen = world.reset(seed)
        operator.start(seen, seed)
        for _ in range(world.episode_steps):
            seen, _ = world.step(operator.act(seen).action)
        done += world.judge().success
    assert done >= 2
