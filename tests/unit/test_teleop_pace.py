"""The rhythm: even where it can be, never hurried, and honest about what came late."""

from __future__ import annotations

import pytest

from df_policy.teleop.pace import Pace


class Clock:
    """Time passes when somebody works or sleeps."""

    def __init__(self) -> None:
        self.now_s = 100.0
        self.woken: list[float] = []

    def __call__(self) -> float:
        return self.now_s

    def sleep(self, seconds: float) -> None:
        assert seconds > 0.0
        self.now_s += seconds


def run(works: list[float]) -> tuple[Pace, list[float]]:
    clock = Clock()
    pace = Pace(0.1, clock, clock.sleep)
    pace.restart()
    woken = []
    for work in works:
        clock.now_s += work
        pace.wait()
        woken.append(round(clock.now_s - 100.0, 6))
    return pace, woken


def test_ticks_stand_on_a_grid_however_long_the_work_takes() -> None:
    pace, woken = run([0.01, 0.09, 0.0, 0.05])
    assert woken == [0.1, 0.2, 0.3, 0.4]
    assert (pace.ticks, pace.late) == (4, 0)


def test_a_late_tick_is_counted_and_the_next_is_on_the_grid_again() -> None:
    pace, woken = run([0.13, 0.0, 0.0])
    assert woken == [0.13, 0.2, 0.3]
    assert pace.late == 1
    assert pace.worst_s == pytest.approx(0.03)


def test_missed_ticks_are_never_made_up_for_in_a_burst() -> None:
    pace, woken = run([1.0, 0.0, 0.0])
    assert woken == [1.0, 1.1, 1.2]
    assert pace.late == 1


def test_what_went_before_a_restart_makes_nobody_late() -> None:
    clock = Clock()
    pace = Pace(0.1, clock, clock.sleep)
    pace.restart()
    clock.now_s += 5.0
    pace.restart()
    pace.wait()
    assert (pace.late, round(clock.now_s, 6)) == (0, 105.1)
