"""The loop that records: who decides what becomes of an episode, and what its frames hold."""

from __future__ import annotations

import itertools
import sys
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from tiny_world import STEPS, TinyOperator, TinyWorld

from df_policy.environment import Command, Event
from df_policy.frames import Observation
from df_policy.teleop.recorder import Outcome, run_episode
from df_policy.teleop.workers import Recorded, here, record_one


class Presses:
    """Holds still and presses one key at one step."""

    def __init__(self, event: Event | None, at: int) -> None:
        self._event, self._at = event, at

    def start(self, observation: Observation, seed: int) -> None:
        self._step = 0

    def act(self, observation: Observation) -> Command:
        self._step += 1
        event = self._event if self._step == self._at else None
        return Command(observation.hold(), event)


def run(event: Event | None, at: int, seed: int = 0) -> Recorded:
    return record_one((TinyWorld(), Presses(event, at)), seed)


def test_a_frame_is_what_was_seen_before_its_action() -> None:
    world = TinyWorld()
    episode = Recorded(1)
    clock = itertools.count(100)
    run_episode(world, TinyOperator(world), 1, episode, now_ns=lambda: next(clock))
    assert [f.observation.stamp_ns for f in episode.frames] == [
        i * world.spec.period_ns for i in range(STEPS)
    ]
    assert [f.received_ns for f in episode.frames] == list(range(100, 100 + STEPS))
    for now, then in itertools.pairwise(episode.frames):
        assert then.observation.tool is now.sent.tool
    assert any(
        abs(f.requested.tool.position_m - f.sent.tool.position_m).max() > 1e-6
        for f in episode.frames
    ), "the limits must show in the action that was sent"


def test_stamps_do_not_depend_on_what_the_world_did_before() -> None:
    world = TinyWorld()
    first, second = (record_one((world, TinyOperator(world)), 1).frames for _ in range(2))
    for one, two in zip(first, second, strict=True):
        assert one.observation.stamp_ns == two.observation.stamp_ns
        assert one.observation.image_stamps_ns == two.observation.image_stamps_ns


def test_keeping_ends_the_episode_with_that_action() -> None:
    episode = run(Event.KEEP, at=4)
    assert (episode.outcome, len(episode.frames), episode.success) == (Outcome.KEPT, 4, True)


def test_a_kept_failure_is_marked_as_one() -> None:
    episode = run(Event.KEEP, at=4, seed=3)
    assert (episode.outcome, episode.success) == (Outcome.KEPT, False)


@pytest.mark.parametrize(
    ("event", "outcome"), [(Event.DROP, Outcome.DROPPED), (Event.QUIT, Outcome.QUIT)]
)
def test_dropping_and_quitting_leave_no_frames(event: Event, outcome: Outcome) -> None:
    episode = run(event, at=4)
    assert (episode.outcome, episode.frames) == (outcome, [])


@pytest.mark.parametrize(("seed", "outcome"), [(0, Outcome.KEPT), (3, Outcome.DROPPED)])
def test_without_a_word_the_verdict_decides(seed: int, outcome: Outcome) -> None:
    assert run(None, at=0, seed=seed).outcome is outcome


def test_a_request_to_stop_ends_the_episode_at_once() -> None:
    answers = iter([False, False, True])
    world = TinyWorld()
    episode = record_one((world, Presses(None, 0)), 0, stop=lambda: next(answers))
    assert (episode.outcome, episode.frames) == (Outcome.QUIT, [])


def test_a_world_that_breaks_leaves_nothing_in_the_sink() -> None:
    world = TinyWorld()
    episode = Recorded(0)

    def stop() -> bool:
        if len(episode.frames) == 3:
            raise ArithmeticError
        return False

    with pytest.raises(ArithmeticError):
        run_episode(world, Presses(None, 0), 0, episode, stop=stop)
    assert episode.frames == []


def test_seeds_follow_one_another_and_the_world_is_closed() -> None:
    made: list[TinyWorld] = []

    def build() -> tuple[TinyWorld, Presses]:
        made.append(TinyWorld())
        return made[0], Presses(None, 0)

    episodes = here(build, 5, lambda: False)
    assert [next(episodes).seed for _ in range(3)] == [5, 6, 7]
    episodes.close()
    assert made[0].closed
