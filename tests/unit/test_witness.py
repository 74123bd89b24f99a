"""Who says when the machine itself stood still."""

import os
import signal
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.witness import Witness

TIME = st.integers(0, 200).map(lambda n: n / 8)


@given(st.lists(st.tuples(TIME, TIME)), TIME, TIME)
def test_time_is_counted_once_however_many_cores_stood_still(stalls, first, last):
    witness = Witness()
    witness.stalls = sorted((min(pair), max(pair)) for pair in stalls)
    moments = [n / 8 for n in range(201) if first <= n / 8 < last]
    still = [t for t in moments if any(a <= t < b for a, b in witness.stalls)]
    assert witness.stalled_s(first, last) == len(still) / 8


def test_a_watcher_that_is_stopped_for_a_while_tells_when():
    with Witness() as witness:
        time.sleep(1.0)
        begin = time.time()
        for watcher in witness._watchers:
            os.kill(watcher.pid, signal.SIGSTOP)
        time.sleep(0.2)
        for watcher in witness._watchers:
            os.kill(watcher.pid, signal.SIGCONT)
        end = time.time()
        time.sleep(0.1)
    if not witness.knows:
        pytest.skip("no right to real-time priority here")
    assert witness.stalled_s(begin, end) > 0.1
