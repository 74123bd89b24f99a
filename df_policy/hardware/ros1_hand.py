"""The Franka Hand through franka_ros_interface; its adapter gives one goal after the other."""

from __future__ import annotations

import contextlib

from df_policy.errors import DfPolicyError
from df_policy.hardware.arm import HandState, LostRobotError
from df_policy.hardware.hand_goals import HandGoals, HandSettings
from df_policy.hardware.ros1 import messages
from df_policy.hardware.ros1_arm import Ros1Arm


class Ros1Hand:
    """See `df_policy.hardware.arm.HandDriver`.

    Args:
        arm: whose line to the adapter it shares.
        settings: how it is to behave.
    """

    def __init__(self, arm: Ros1Arm, settings: HandSettings) -> None:
        self._arm, self._settings = arm, settings
        self._goals = HandGoals(settings)
        self._alone = False

    def connect(self) -> HandState:
        """Reach the adapter, if the arm has not yet; see the protocol."""
        if not self._arm.connected:
            self._arm.connect()
            self._alone = True
        state = self.read()
        if state.fault:
            raise DfPolicyError(f"expected the hand to answer, got: {state.fault}")
        return state

    def read(self) -> HandState:
        """What it said last; see the protocol."""
        said = self._arm.said
        if said is None:
            return HandState(0.0, False, "expected the adapter to answer, got nothing")
        return HandState(said.opening_m, said.holds, said.hand_problem)

    def want(self, opening_m: float) -> None:
        """The opening that it shall take; see the protocol."""
        self._goals.want(opening_m)
        if not self._goals.due() or (goal := self._goals.begin()) is None:
            return
        chosen = self._settings
        with contextlib.suppress(LostRobotError):  # the arm says so
            self._arm.tell(
                messages.Fingers(goal.opening_m, goal.grasp, chosen.force_n, chosen.speed_m_s)
            )

    def recover(self) -> None:
        """Try again what failed; see the protocol."""
        self._goals.forget()

    def close(self) -> None:
        """Let go of it; see the protocol."""
        if self._alone:
            self._arm.close()
