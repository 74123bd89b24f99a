"""Work in a child process: its answer, its error and its end all reach the user in words."""

from __future__ import annotations

import os
import signal

import pytest

from df_policy.commands.isolated import isolated, patience
from df_policy.errors import DfPolicyError


def test_what_the_work_returns_comes_back() -> None:
    assert isolated(lambda: "done: ü\nhere", 4.0, "it") == "done: ü\nhere"


def test_an_error_comes_back_as_one() -> None:
    def work() -> str:
        raise DfPolicyError("expected b, got a \ud800 \x1b[2J")

    with pytest.raises(DfPolicyError, match=r"got a \\xd800 \\x1b\[2J"):
        isolated(work, 4.0, "it")


def test_a_crash_is_told() -> None:
    def work() -> str:
        os.kill(os.getpid(), signal.SIGSEGV)
        return ""

    with pytest.raises(DfPolicyError, match=r"a.hdf5, got a crash .*SIGSEGV"):
        isolated(work, 4.0, "a.hdf5")


def test_greed_is_told() -> None:
    with pytest.raises(DfPolicyError, match="at most 1 GB"):
        isolated(lambda: str(len(bytearray(3 * 10**9))), 1.0, "it")


def test_what_the_caller_already_has_does_not_count() -> None:
    mine = bytearray(2 * 10**9)
    assert isolated(lambda: str(len(bytearray(10**8))), 1.0, "it") == str(10**8)
    assert len(mine) == 2 * 10**9


def test_what_goes_round_in_circles_is_ended() -> None:
    def work() -> str:
        with patience(0.1):
            while True:
                pass

    with pytest.raises(DfPolicyError, match="no end of it"):
        isolated(work, 4.0, "it")


def test_patience_ends_with_the_work() -> None:
    def work() -> str:
        with patience(0.0):
            pass
        return str(sum(range(10**7)))

    assert isolated(work, 4.0, "it").isdigit()
