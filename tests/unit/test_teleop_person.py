"""A person at a device: what presses do, who drives, and what happens when the device goes."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from hand import Hand, Memory
from tiny_world import SPEC, TinyWorld

from df_policy.data.label import Label
from df_policy.frames import Action, Control, Frame, Observation
from df_policy.geometry import Pose
from df_policy.plan import Plan
from df_policy.teleop.autopilot import Autopilot
from df_policy.teleop.mapping import Handling
from df_policy.teleop.person import NOTE_BYTES, Person, fitting
from df_policy.teleop.recorder import Outcome, run_episode
from df_policy.teleop.status import Stage
from df_policy.teleop.workers import Recorded

D, P, N = Control.DEVICE, Control.POLICY, Control.NOBODY
CHUNK = 4


class Planner:
    """Plans to go left, a centimetre an action, from where the robot is."""

    spec, every, commit = SPEC, CHUNK, 1

    def __init__(self, away_m: float = 0.0) -> None:
        self.away_m = away_m
        self.told: list[list[Action]] = []
        self.seen: list[Observation] = []

    def reset(self, seed: int) -> None:
        self.told, self.seen = [], []

    def plan(
        self,
        observation: Observation,
        executed: Sequence[Action],
        committed: Sequence[Action] = (),
    ) -> Plan:
        self.told.append(list(executed))
        self.seen.append(observation)
        here = observation.hold().row() + self.away_m * np.eye(10)[1]
        rows = np.stack([here + 0.01 * (i + 1) * np.eye(10)[1] for i in range(2 * CHUNK)])
        return Plan(observation.stamp_ns, SPEC.period_ns, rows, observation.stamp_ns)


def play(
    script: dict[int, str],
    planner: Planner | None = None,
    *,
    most_steps: int = 1000,
    hindrance: str = "",
    seed: int = 0,
) -> tuple[Recorded, Memory]:
    hand, memory, episode = Hand(script), Memory(), Recorded(seed)
    autopilot = None if planner is None else Autopilot(planner, Handling())
    person = Person(
        hand.read,
        SPEC,
        Handling(),
        [memory],
        autopilot,
        most_steps=most_steps,
        hindrance=lambda: hindrance,
    )

    def stop() -> bool:
        return hand.tick > 200

    episode.outcome = run_episode(TinyWorld(), person, seed, episode, stop=stop, most_steps=10_000)
    return episode, memory


def controls(frames: list[Frame]) -> list[Control]:
    return [frame.control for frame in frames]


def xs(frames: list[Frame]) -> list[float]:
    return [round(float(frame.sent.tool.position_m[0]), 6) for frame in frames]


def test_nothing_is_recorded_before_the_start_and_while_paused() -> None:
    episode, memory = play({3: "start", 6: "pause", 9: "start", 11: "keep"})
    assert episode.outcome is Outcome.KEPT
    assert len(episode.frames) == 3 + 2 + 1
    stamps = np.diff([frame.observation.stamp_ns for frame in episode.frames])
    assert set(stamps) == {SPEC.period_ns}, "a pause leaves no gap"
    stages = [status.stage for status in memory.seen]
    assert stages[:3] == [Stage.READY] * 3
    assert stages[6:9] == [Stage.PAUSED] * 3


@pytest.mark.parametrize(
    ("press", "outcome"),
    [("drop", Outcome.DROPPED), ("rerecord", Outcome.AGAIN), ("quit", Outcome.QUIT)],
)
def test_an_episode_that_is_not_wanted_leaves_nothing(press: str, outcome: Outcome) -> None:
    episode, _ = play({0: "start", 5: press})
    assert (episode.outcome, episode.frames) == (outcome, [])


@pytest.mark.parametrize(
    ("seed", "mark", "success"),
    [
        (0, "", True),  # the tiny world's own verdict
        (3, "", False),
        (0, "failure", False),
        (3, "success", True),
        (3, "failure;success", True),
    ],
)
def test_the_persons_mark_goes_before_the_tasks_verdict(
    seed: int, mark: str, success: bool
) -> None:
    episode, _ = play({0: "start", 2: mark, 4: "note: a good one ;keep"}, seed=seed)
    assert (episode.outcome, episode.success) == (Outcome.KEPT, success)
    assert episode.note == "a good one"


def test_a_keep_before_the_start_is_refused_with_a_word() -> None:
    episode, memory = play({1: "keep", 2: "start", 4: "keep"})
    assert len(episode.frames) == 3
    assert "press start" in memory.seen[1].message


def test_toggle_starts_and_pauses() -> None:
    episode, _ = play({0: "toggle", 2: "toggle", 5: "toggle", 6: "keep"})
    assert len(episode.frames) == 2 + 1 + 1


def test_an_episode_that_is_as_long_as_may_be_waits_for_a_word() -> None:
    episode, memory = play({0: "start", 20: "start", 25: "keep"}, most_steps=10)
    assert len(episode.frames) == 10 + 1
    assert memory.seen[15].stage is Stage.PAUSED
    assert "keep or drop" in memory.seen[15].message


def test_a_hindrance_pauses_and_is_named() -> None:
    episode, memory = play({0: "start", 5: "drop"}, hindrance="the disk is slow")
    assert episode.frames == []
    assert memory.seen[2].stage is Stage.PAUSED
    assert memory.seen[2].message == "the disk is slow"


def test_a_device_that_goes_leaves_the_robot_at_its_last_target() -> None:
    episode, memory = play({0: "start;push", 4: "gone", 9: "back", 11: "rest", 13: "keep"})
    assert controls(episode.frames) == [D] * 4 + [N] * 5 + [D] * 5
    moved = np.diff(xs(episode.frames))
    assert np.all(moved[:3] > 0.01)
    assert np.all(moved[3:8] == 0.0), "not to zero, not onward: held"
    assert np.all(moved[8:10] > 0.01), "it goes on by itself when the device is back"
    assert [status.problem for status in memory.seen[4:9]] == ["hand: gone"] * 5
    assert memory.seen[9].problem == ""


def test_a_policy_drives_until_the_person_pushes_and_goes_on_after_handing_back() -> None:
    planner = Planner()
    episode, _ = play({0: "start", 6: "push", 9: "rest", 13: "hand_back", 20: "keep"}, planner)
    #           policy   person   its plan is from before the correction until 16
    assert controls(episode.frames)[:21] == [P] * 6 + [D] * 7 + [P] * 8
    ys = np.array([frame.sent.tool.position_m[1] for frame in episode.frames])
    assert np.allclose(np.diff(ys)[:5], 0.01)
    assert np.allclose(np.diff(ys)[8:15], 0.0), "no jump back to the old plan"
    assert np.allclose(np.diff(ys)[15:19], 0.01)


def test_the_planner_is_told_every_token_as_it_was_sent_whoever_drove() -> None:
    planner = Planner()
    episode, _ = play({0: "start", 6: "push", 14: "rest;hand_back", 20: "keep"}, planner)
    sent = [frame.sent for frame in episode.frames]
    assert planner.told[0] == []
    for index, told in enumerate(planner.told[1:]):
        assert [a is b for a, b in zip(told, sent[CHUNK * index :], strict=False)] == [
            True
        ] * CHUNK
    assert len(planner.told) == 5
    assert planner.seen[0].before is None
    for seen, frame in zip(planner.seen[1:], episode.frames[CHUNK - 1 :: CHUNK], strict=False):
        assert seen.before is not None
        assert seen.before.q_rad is frame.observation.q_rad


def test_a_policy_that_nobody_watches_stops_and_waits_to_be_handed_back() -> None:
    episode, memory = play(
        {0: "start", 5: "gone", 20: "back", 24: "hand_back", 32: "keep"}, Planner()
    )
    assert controls(episode.frames)[:32] == [P] * 5 + [N] * 15 + [D] * 4 + [P] * 8
    assert "nobody watched" in memory.seen[18].message
    ys = np.array([frame.sent.tool.position_m[1] for frame in episode.frames])
    assert np.allclose(np.diff(ys)[4:23], 0.0)


def test_a_policy_goes_on_with_a_new_plan_after_a_hiccup() -> None:
    episode, _ = play({0: "start", 5: "gone", 7: "back", 20: "keep"}, Planner())
    assert controls(episode.frames)[:20] == [P] * 5 + [N] * 2 + [P] * 13
    ys = np.array([frame.sent.tool.position_m[1] for frame in episode.frames])
    assert np.allclose(np.diff(ys)[4:7], 0.0), "its plan was for where the robot is not"
    assert np.all(np.diff(ys)[8:18] > 0.0)


def test_a_policy_is_not_taken_away_before_the_episode_begins() -> None:
    episode, _ = play({0: "gone", 20: "back;start", 25: "keep"}, Planner())
    assert set(controls(episode.frames)) == {P}


def test_a_plan_that_begins_far_away_is_joined_at_a_persons_speed() -> None:
    script = {0: "start", 2: "take_over", 4: "hand_back", 24: "keep"}
    episode, _ = play(script, Planner(away_m=0.1))
    ys = np.array([frame.sent.tool.position_m[1] for frame in episode.frames])
    gentle, fast = Handling().speed_m_s * 0.1, SPEC.max_speed_m_s * 0.1
    assert np.diff(ys)[:1].max() <= fast
    assert ys[1] > 0.1, "at the start of an episode it may go as fast as it likes"
    joining = np.diff(ys)[3:8]
    assert np.all(joining > 0.0)
    assert np.all(joining <= gentle + 1e-9)


def test_buttons_take_over_too() -> None:
    episode, _ = play({0: "start", 3: "take_over", 6: "keep"}, Planner())
    assert controls(episode.frames) == [P] * 3 + [D] * 4


def test_every_episode_begins_afresh() -> None:
    hand = Hand({0: "start;success;note:x", 3: "keep", 4: "start", 6: "keep"})
    person = Person(hand.read, SPEC, Handling())
    first, second = Recorded(0), Recorded(3)
    world = TinyWorld()
    for episode in (first, second):
        run_episode(world, person, episode.seed, episode, most_steps=100)
    assert (first.note, first.success) == ("x", True)
    assert (second.note, second.success) == ("", False)
    assert len(second.frames) == 3


def test_a_target_that_is_held_is_the_one_that_was_sent() -> None:
    """Where the world limits more than the person's own side, its word counts."""
    episode, _ = play({0: "start;push", 3: "rest", 6: "keep"})
    last = episode.frames[2].sent
    for frame in episode.frames[3:]:
        assert np.array_equal(frame.requested.row(), last.row())
    assert isinstance(last.tool, Pose)


@pytest.mark.parametrize("note", ["🙂" * 400, "a\0b", "\ud800", "  x  "])
def test_a_note_always_fits_into_a_recording(note: str) -> None:
    kept = fitting(note)
    assert Label(note=kept).rows()["note"].shape == (NOTE_BYTES,)
    assert "\ufffd" not in kept
