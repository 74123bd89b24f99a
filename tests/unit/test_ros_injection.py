"""Latency and loss on purpose: as much as asked for, in order, and bounded."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from df_policy.ros_nodes.injection import MOST_HELD, Injection


def test_without_either_all_comes_at_once():
    heard = []
    Injection(0, 0.0).pass_on(0, lambda: heard.append(1))
    assert heard == [1]


@given(st.lists(st.integers(0, 50), max_size=40), st.integers(1, 100))
def test_each_message_comes_in_order_and_as_late_as_asked(gaps, delay):
    injection, clock, sent, heard = Injection(delay, 0.0), [0], [], []
    for gap in gaps:
        clock[0] += gap
        injection.release(clock[0])
        sent.append(clock[0])
        injection.pass_on(clock[0], lambda at=clock[0]: heard.append((at, clock[0])))
    for _ in range(200):
        clock[0] += 1
        injection.release(clock[0])
    assert [at for at, _ in heard] == sent
    assert all(came - at >= delay for at, came in heard)


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
def test_so_large_a_share_is_lost_and_counted(share):
    injection, heard = Injection(0, share), []
    for number in range(2000):
        injection.pass_on(0, lambda n=number: heard.append(n))
    assert injection.lost == 2000 - len(heard)
    assert injection.lost / 2000 == pytest.approx(share, abs=0.05)


def test_it_never_holds_more_than_so_many():
    injection, heard = Injection(10**12, 0.0), []
    for number in range(MOST_HELD + 5):
        injection.pass_on(0, lambda n=number: heard.append(n))
    assert heard == list(range(5))


def test_a_clock_that_is_set_back_keeps_nothing_back_for_ever():
    injection, heard = Injection(100, 0.0), []
    injection.pass_on(10**9, lambda: heard.append("old"))
    injection.release(5)
    injection.pass_on(5, lambda: heard.append("new"))
    injection.release(106)
    assert heard == ["new"]
