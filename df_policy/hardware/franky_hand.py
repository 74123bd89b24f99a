"""The Franka Hand through franky: goals instead of a servo, and nobody waits for it.

The hand takes one command at a time, and each takes up to a second. So a thread of its own gives
them and waits; it keeps the newest wish alone. Another reads the width, and cuts a command short
whose end nobody wishes for any more.
"""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import Any

from df_policy.errors import DfPolicyError
from df_policy.hardware.arm import HandState
from df_policy.hardware.franky_link import HAND_PORT, check_port, load

_POLL_S = 0.02
_AGAIN_S = 0.5
_SETTLED = 2
"""Looks for which a wish must stay as it is before the fingers open to it: while it changes, each
would cut the last one short."""


@dataclass(frozen=True)
class HandSettings:
    """How the hand is to behave."""

    address: str
    grasp_below_m: float = 0.04
    """A wish for less than this is one to hold what is between the fingers."""
    force_n: float = 30.0
    speed_m_s: float = 0.1
    """Of the opening."""
    deadband_m: float = 0.004
    """A wish that differs by less from the last is the same."""
    homing: bool = False
    """Find the end stops when connecting: the fingers move."""


@dataclass(frozen=True)
class _Goal:
    opening_m: float
    grasp: bool


class FrankyHand:
    """See `df_policy.hardware.arm.HandDriver`.

    Args:
        settings: how it is to behave.
    """

    def __init__(self, settings: HandSettings) -> None:
        self._settings = settings
        self._gripper: Any = None
        self._lock = threading.Lock()
        self._wished: _Goal | None = None
        self._settled = 0
        self._done: _Goal | None = None
        self._busy = False
        self._go = threading.Event()
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._state = HandState(0.0, False)

    def connect(self) -> HandState:
        """Reach the hand; see the protocol."""
        franky = load()
        check_port(self._settings.address, HAND_PORT, "the hand")
        try:
            self._gripper = franky.Gripper(self._settings.address)
            if self._settings.homing:
                self._gripper.homing()
            self._state = self._look("")
        except franky.Exception as error:
            raise DfPolicyError(f"expected the hand to answer, got: {error}") from error
        self._threads = [
            threading.Thread(target=work, name=f"hand {name}", daemon=True)
            for name, work in (("commands", self._command), ("state", self._watch))
        ]
        for thread in self._threads:
            thread.start()
        return self._state

    def read(self) -> HandState:
        """What it said last; see the protocol."""
        return self._state

    def want(self, opening_m: float) -> None:
        """The opening that it shall take; see the protocol."""
        grasp = opening_m < self._settings.grasp_below_m
        goal = _Goal(0.0 if grasp else opening_m, grasp)
        with self._lock:
            if self._wished is None or self._differ(goal, self._wished):
                self._wished, self._settled = goal, 0

    def recover(self) -> None:
        """Try again what failed; see the protocol."""
        with self._lock:
            self._done = None
        self._say("")

    def close(self) -> None:
        """Let go of it; see the protocol."""
        self._ended.set()
        self._go.set()
        if self._busy:
            self._stop()
        for thread in self._threads:
            thread.join(2.0)
        self._threads, self._gripper = [], None

    def _differ(self, one: _Goal, other: _Goal) -> bool:
        apart_m = abs(one.opening_m - other.opening_m)
        return one.grasp != other.grasp or apart_m > self._settings.deadband_m

    def _watch(self) -> None:
        """Read the width; start what is wished for, cut short what is not any more."""
        while not self._ended.wait(_POLL_S):
            try:
                self._state = self._look(self._state.fault)
            except Exception as error:
                self._say(f"expected the hand to answer, got: {_line(error)}")
                self._reach_again()
                continue
            with self._lock:
                self._settled += 1
                wished, done = self._wished, self._done
                due = wished is not None and (wished.grasp or self._settled >= _SETTLED)
            if due and wished is not None and (done is None or self._differ(wished, done)):
                if self._busy:
                    self._stop()
                else:
                    self._go.set()

    def _reach_again(self) -> None:
        """After one lost answer libfranka's connection is of no more use: make a new one."""
        self._gripper = None  # the hand serves one client: the old one goes first
        if self._ended.wait(_AGAIN_S):
            return
        try:
            self._gripper = load().Gripper(self._settings.address)
            self._state = self._look("")
        except Exception as error:
            self._say(f"expected the hand to answer again, got: {_line(error)}")
            return
        with self._lock:
            self._done = None  # whether it was carried out, nobody knows

    def _command(self) -> None:
        """Give commands one after the other, and wait for each."""
        while True:
            self._go.wait()
            if self._ended.is_set():
                return
            self._go.clear()
            with self._lock:
                goal = self._done = self._wished
                self._busy = True
            try:
                if goal is not None:
                    self._give(goal)
            except Exception as error:
                if goal == self._wished:  # else it was cut short on purpose
                    self._say(f"expected the hand to obey, got: {_line(error)}")
            finally:
                self._busy = False

    def _give(self, goal: _Goal) -> None:
        chosen = self._settings
        if goal.grasp:
            # Whatever its size, what is held is held: the widest tolerance.
            self._gripper.grasp(0.0, chosen.speed_m_s, chosen.force_n, 0.0, 0.08)
        else:
            self._gripper.move(goal.opening_m, chosen.speed_m_s)
        self._say("")

    def _stop(self) -> None:
        try:
            self._gripper.stop()
        except Exception as error:
            self._say(f"expected the hand to stop, got: {_line(error)}")

    def _look(self, fault: str) -> HandState:
        state = self._gripper.state
        return HandState(float(state.width), bool(state.is_grasped), fault)

    def _say(self, fault: str) -> None:
        self._state = HandState(self._state.opening_m, self._state.holds, fault)


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
