"""Time spent on a run counts whatever stopped it; time between two parts does not."""

import time

import pytest

from df_policy.stopwatch import Stopwatch


def test_parts_add_up_and_pauses_do_not_count(tmp_path):
    file = tmp_path / "state" / "minutes.txt"
    first = Stopwatch(file)
    assert first.minutes == 0.0
    time.sleep(0.06)
    first.lap()
    time.sleep(0.3)  # after the last lap: lost, as are the steps since then
    second = Stopwatch(file)
    assert second.minutes == first.minutes
    time.sleep(0.06)
    second.lap()
    assert 0.12 <= 60 * second.minutes < 0.25
    assert Stopwatch(file).minutes == pytest.approx(second.minutes)


def test_a_file_that_cannot_be_read_counts_for_nothing(tmp_path):
    (tmp_path / "minutes.txt").write_text("some")
    assert Stopwatch(tmp_path / "minutes.txt").minutes == 0.0
