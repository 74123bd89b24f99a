"""The Franka Hand through franky: goals instead of a servo, and nobody waits for it.

The hand takes one command at a time, and each takes up to a second. So a thread of its own gives
them and waits; it keeps the newest wish alone. Another reads the width, and cuts a command short
whose end nobody wishes for any more.
"""

from __future__ import annotations

import math
import threading
from dataclasses import replace
from typing import Any

from df_policy.errors import DfPolicyError
from df_policy.hardware.arm import HandState
from df_policy.hardware.franky_link import HAND_PORT, check_port, load
from df_policy.hardware.hand_goals import HandGoal, HandGoals, HandSettings

_POLL_S = 0.02
_AGAIN_S = 0.5


class FrankyHand:
    """See `df_policy.hardware.arm.HandDriver`.

    Args:
        settings: how it is to behave.
    """

    def __init__(self, settings: HandSettings) -> None:
        self._settings = settings
        self._gripper: Any = None
        self._goals = HandGoals(settings)
        self._busy = False
        self._go = threading.Event()
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self._state = HandState(0.0, False)
        self._widest_m = math.inf

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
        self._goals.want(opening_m)

    def recover(self) -> None:
        """Try again what failed; see the protocol."""
        self._goals.forget()
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

    def _watch(self) -> None:
        """Read the width; start what is wished for, cut short what is not any more."""
        while not self._ended.wait(_POLL_S):
            try:
                self._state = self._look(self._state.fault)
            except Exception as error:
                self._say(f"expected the hand to answer, got: {_line(error)}")
                self._reach_again()
                continue
            if self._goals.due():
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
        self._goals.forget()

    def _command(self) -> None:
        """Give commands one after the other, and wait for each."""
        while True:
            self._go.wait()
            if self._ended.is_set():
                return
            self._go.clear()
            goal, self._busy = self._goals.begin(), True
            try:
                if goal is not None:
                    self._give(goal)
            except Exception as error:
                if self._goals.wanted(goal):  # else it was cut short on purpose
                    self._say(f"expected the hand to obey, got: {_line(error)}")
            finally:
                self._busy = False

    def _give(self, goal: HandGoal) -> None:
        chosen = self._settings
        if goal.grasp:
            # Whatever its size, what is held is held: the widest tolerance.
            self._gripper.grasp(0.0, chosen.speed_m_s, chosen.force_n, 0.0, 0.08)
        else:
            self._gripper.move(min(goal.opening_m, self._widest_m), chosen.speed_m_s)
        self._say("")

    def _stop(self) -> None:
        try:
            self._gripper.stop()
        except Exception as error:
            self._say(f"expected the hand to stop, got: {_line(error)}")

    def _look(self, fault: str) -> HandState:
        state = self._gripper.state
        # As its homing found it, 0 without one; a move beyond is refused.
        self._widest_m = float(state.max_width) or math.inf
        stamp_ns = round(1e9 * state.time.to_sec())
        return HandState(float(state.width), bool(state.is_grasped), fault, stamp_ns)

    def _say(self, fault: str) -> None:
        self._state = replace(self._state, fault=fault)


def _line(error: Exception) -> str:
    return str(error).splitlines()[0] if str(error) else type(error).__name__
