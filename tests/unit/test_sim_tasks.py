"""All tasks as logic: what they ask for, and that what is seen now does not tell what to do.

An episode is played without physics: each move carries a fruit into the middle of a place.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from df_policy.errors import DfPolicyError
from df_policy.sim.tasks import find, names
from df_policy.sim.tasks.fruit_order import CUE_S, TRAYS
from df_policy.sim.tasks.fruit_return import PLATE, REST_S
from df_policy.sim.tasks.fruit_swap_anywhere import HIGH_M, LOW_M, RADIUS_M, SPACING_M
from df_policy.sim.tasks.task import HOME, OPEN_M, Move, Scene, Start, Task

MEMORY_TASKS = ("fruit_swap", "fruit_swap_anywhere", "fruit_cycle", "fruit_return", "fruit_order")
SEEDS = st.integers(0, 2**32)
LOOK_S = 0.8
MOVE_S = 4.0
"""About what a move takes."""

View = tuple[object, ...]
Choice = Move | None


@dataclass(frozen=True)
class Moment:
    """The whole truth of a moment between moves, without what was before."""

    scene: Scene
    cue: str | None

    def view(self, start: Start) -> View:
        """What anybody could see: which fruit lies in which place, and what the panel shows."""
        where = start.places_of(self.scene.positions_m)
        return (*sorted(where.items(), key=str), self.cue)


def begin(task: Task, start: Start) -> Moment:
    where = {fruit: start.in_place(fruit, place) for fruit, place in start.slots.items()}
    scene = Scene(where, dict.fromkeys(where, 0.0), HOME.position_m, OPEN_M)
    return Moment(scene, task.cue(start, 0.0))


def after(task: Task, start: Start, now: Moment, choice: Choice) -> Moment:
    """The next moment at which the hand is home: a look later, or a move later."""
    scene, time_s = now.scene, now.scene.time_s + (LOOK_S if choice is None else MOVE_S)
    if choice is not None:
        there = start.in_place(choice.fruit, choice.place)
        scene = replace(scene, positions_m={**scene.positions_m, choice.fruit: there})
    if task.station is not None and task.station in start.places_of(scene.positions_m).values():
        scene = replace(scene, rested_s=max(scene.rested_s, LOOK_S))
        if choice is None:
            scene = replace(scene, rested_s=scene.rested_s + LOOK_S)
    return Moment(replace(scene, time_s=time_s), task.cue(start, time_s))


def told(task: Task, start: Start, seed: int) -> Iterator[tuple[Moment, Choice]]:
    """An episode of one who knows all, as pairs of a moment and what it asks for."""
    order = task.order(start, np.random.default_rng(seed))
    now = begin(task, start)
    while now.scene.time_s < 0.1 * task.steps:
        choice = task.next_move(start, order, now.scene)
        yield now, choice
        now = after(task, start, now, choice)


def demanded(task: Task, seeds: range) -> dict[View, Counter[Choice]]:
    """For everything that can be seen, what was to be done, and how often."""
    table: dict[View, Counter[Choice]] = defaultdict(Counter)
    for seed in seeds:
        start = common_places(task, task.draw_start(seed))
        for now, choice in told(task, start, seed):
            table[now.view(start)][choice] += 1
    return table


def common_places(task: Task, start: Start) -> Start:
    """The same start with the places where the model has them, so that views compare."""
    return replace(start, places_m=task.inventory.places_m)


def play(task: Task, start: Start, choose: Callable[[View], Choice]) -> bool:
    """Whether one who chooses by what is seen now solves the episode."""
    now = begin(task, start)
    while now.scene.time_s < 0.1 * task.steps - MOVE_S:
        choice = choose(now.view(start))
        if choice is not None and choice.place in start.places_of(now.scene.positions_m).values():
            choice = None  # there lies another
        now = after(task, start, now, choice)
    return task.judge(start, now.scene).success


@pytest.mark.parametrize("name", MEMORY_TASKS)
def test_who_remembers_solves_every_episode(name: str) -> None:
    task = find(name)
    for seed in range(100):
        start = task.draw_start(seed)
        *_, (last, choice) = told(task, start, seed)
        assert choice is None
        assert task.judge(start, last.scene).success
        assert not task.judge(start, begin(task, start).scene).success


@pytest.mark.parametrize("name", MEMORY_TASKS)
def test_one_and_the_same_sight_asks_for_different_moves(name: str) -> None:
    task = find(name)
    table = demanded(task, range(300))
    torn = [view for view, choices in table.items() if len(choices) > 1]
    assert torn
    if name in ("fruit_swap", "fruit_swap_anywhere", "fruit_cycle", "fruit_return"):
        # Even whether anything is left to do.
        assert any(None in table[view] and len(table[view]) > 1 for view in torn)


@pytest.mark.parametrize("name", MEMORY_TASKS)
@pytest.mark.parametrize("manner", ["most often right", "as often as right"])
def test_the_best_guess_from_what_is_seen_fails_at_least_half_of_the_time(
    name: str, manner: str
) -> None:
    task = find(name)
    table = demanded(task, range(1000, 1600))
    rng = np.random.default_rng(0)

    def guess(view: View) -> Choice:
        choices = table.get(view)
        if not choices:
            return None
        options, counts = list(choices), np.array(list(choices.values()), dtype=float)
        if manner == "most often right":
            counts = (counts == counts.max()).astype(float)
        return options[int(rng.choice(len(options), p=counts / counts.sum()))]

    solved = sum(
        play(task, common_places(task, task.draw_start(seed)), guess) for seed in range(200)
    )
    assert solved <= 100


@pytest.mark.parametrize("name", names())
@settings(max_examples=25)
@given(seed=SEEDS)
def test_a_start_is_drawn_by_its_seed_and_is_possible(name: str, seed: int) -> None:
    task = find(name)
    start, again = task.draw_start(seed), task.draw_start(seed)
    assert repr(start) == repr(again)
    assert set(start.slots) == set(start.goals) == set(start.positions_m) == set(task.fruits)
    assert len(set(start.slots.values())) == len(set(start.goals.values())) == len(task.fruits)
    assert len(start.places_m) == len(task.inventory.kinds)
    assert task.steps % 8 == 0


@given(SEEDS)
def test_anywhere_means_anywhere(seed: int) -> None:
    start = find("fruit_swap_anywhere").draw_start(seed)
    assert (start.places_m >= LOW_M).all()
    assert (start.places_m <= HIGH_M).all()
    for place in range(3):
        others = np.delete(start.places_m, place, axis=0)
        assert np.linalg.norm(others - start.places_m[place], axis=1).min() >= SPACING_M
    for fruit, radius_m in start.radii_m.items():
        assert RADIUS_M[0] <= radius_m <= RADIUS_M[1]
        assert start.positions_m[fruit][2] == radius_m


def test_the_area_is_forty_by_fifty_centimetres() -> None:
    task = find("fruit_swap_anywhere")
    places = np.concatenate([task.draw_start(seed).places_m for seed in range(300)])
    assert (np.ptp(places, axis=0) > [0.39, 0.49]).all()


def test_each_cue_is_long_enough_to_be_seen_once_whatever_the_phase() -> None:
    task = find("fruit_order")
    for seed in range(20):
        start = task.draw_start(seed)
        for phase in np.arange(0.0, LOOK_S, 0.1):
            shown = [task.cue(start, phase + LOOK_S * look) for look in range(8)]
            assert [cue for cue in dict.fromkeys(shown) if cue is not None] == list(start.cue)
            assert shown[-1] is None
        assert task.cue(start, 2.0 * CUE_S) is None


def test_the_cue_alone_tells_what_belongs_into_the_trays() -> None:
    task = find("fruit_order")
    goals = defaultdict(set)
    for seed in range(400):
        start = task.draw_start(seed)
        named = {fruit: start.goals[fruit] for fruit in start.cue}
        assert tuple(named.values()) == TRAYS
        goals[tuple(start.slots.items())].add(start.cue)
    assert {len(cues) for cues in goals.values()} == {6}  # each order from each start


@pytest.mark.parametrize(
    ("places", "reason"),
    [
        ((0, 0, 0), "not moved"),
        ((3, 4, 0), "success"),
        ((4, 3, 0), "trays in the wrong order"),
        ((3, 0, 0), "a tray is empty"),
        ((3, 0, 4), "a wrong fruit in a tray"),
    ],
)
def test_what_went_wrong_with_the_order_is_named(places: tuple[int, ...], reason: str) -> None:
    task = find("fruit_order")
    start = task.draw_start(1)
    third = next(fruit for fruit in task.fruits if fruit not in start.cue)
    scene = begin(task, start).scene
    moved = dict(scene.positions_m)
    for fruit, place in zip((*start.cue, third), places, strict=True):
        if place:
            moved[fruit] = start.in_place(fruit, place)
    assert task.judge(start, replace(scene, positions_m=moved)).reason == reason


@pytest.mark.parametrize(
    ("place", "rested_s", "reason"),
    [
        (None, 0.0, "never rested on the plate"),
        (None, REST_S, "success"),
        (PLATE, REST_S, "left on the plate"),
        (3, 0.0, "carried to a wrong slot"),
        (3, REST_S, "returned to a wrong slot"),
    ],
)
def test_what_went_wrong_with_the_return_is_named(
    place: int | None, rested_s: float, reason: str
) -> None:
    task = find("fruit_return")
    start = next(s for s in map(task.draw_start, range(50)) if s.slots["apple"] == 0)
    scene = replace(begin(task, start).scene, rested_s=rested_s)
    if place is not None:
        scene = replace(scene, positions_m={"apple": start.in_place("apple", place)})
    assert task.judge(start, scene).reason == reason


@pytest.mark.parametrize(
    ("moves", "reason"),
    [
        (0, "not moved"),
        (1, "none of three fruits in place"),
        (2, "one of three fruits in place"),
        (3, "two of three fruits in place"),
        (4, "success"),
    ],
)
def test_the_reason_tells_how_far_the_cycle_came(moves: int, reason: str) -> None:
    task = find("fruit_cycle")
    for seed in range(20):
        start = task.draw_start(seed)
        made = [now for now, _ in told(task, start, seed)]
        assert task.judge(start, made[moves].scene).reason == reason


@given(SEEDS, st.integers(0, 2), st.floats(0.0, 1.0))
def test_a_swap_is_finished_from_wherever_somebody_put_the_fruits(
    seed: int, moves: int, share: float
) -> None:
    task = find("fruit_swap")
    start = task.draw_start(seed)
    order = task.order(start, np.random.default_rng(seed))
    now = [now for now, _ in told(task, start, seed)][moves]
    fruit = order[int(share > 0.5)]
    off = np.array([0.44, -0.2 + 0.4 * share, 0.028])  # beside all slots
    scene = replace(now.scene, positions_m={**now.scene.positions_m, fruit: off})
    for _ in range(5):
        choice = task.next_move(start, order, scene)
        if choice is None:
            break
        assert choice.place not in start.places_of(scene.positions_m).values()
        there = start.in_place(choice.fruit, choice.place)
        scene = replace(scene, positions_m={**scene.positions_m, choice.fruit: there})
    assert task.judge(start, scene).success


def test_a_fallen_fruit_is_off_the_other_and_within_reach() -> None:
    task = find("fruit_swap_regrasp")
    strayed = 0
    for seed in range(200):
        start = task.draw_start(seed)
        assert not task.judge(start, begin_as_drawn(start)).success
        fallen = next(f for f in task.fruits if start.goals[f] != start.slots[f])
        apple, orange = (start.positions_m[f][:2] for f in task.fruits)
        assert np.linalg.norm(apple - orange) > 0.07
        near = start.hand.tool.position_m - start.positions_m[fallen]
        assert np.abs(near[:2]).max() <= 0.05
        strayed += start.place_of(fallen, start.positions_m[fallen]) is None
    assert 80 <= strayed <= 160


def begin_as_drawn(start: Start) -> Scene:
    rest = dict.fromkeys(start.positions_m, 0.0)
    return Scene(start.positions_m, rest, start.hand.tool.position_m, start.hand.gripper_m)


def test_an_unknown_task_is_named() -> None:
    with pytest.raises(DfPolicyError, match="did you mean 'fruit_cycle'"):
        find("fruit_cicle")
