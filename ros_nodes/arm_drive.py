"""An arm that follows what a gate cleared of the targets that come, tick by tick."""

from __future__ import annotations

from df_policy.gate import Cleared, Measured
from df_policy.hardware.arm import ArmDriver, ArmState
from df_policy.hardware.feed_forward import FeedForward
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.arm_session import ArmSession


class ArmDrive:
    """From a session's targets to an arm's motion; whoever ticks it latches what goes wrong.

    Args:
        arm: connected.
        spec: the limits.
        silence_s: a stream that pauses for longer has ended, and the arm stops.
        ahead_s: the arm's own lag, by which targets are carried on.
    """

    def __init__(
        self, arm: ArmDriver, spec: RobotSpec, silence_s: float, ahead_s: float = 0.0
    ) -> None:
        self._arm, self._ahead_s = arm, ahead_s
        self.session = ArmSession(spec, silence_s)
        self._feed = FeedForward()
        self._was_driven = False

    def tick(
        self, stamp_ns: int, state: ArmState, opening_m: float, why: str = ""
    ) -> Cleared | None:
        """Tell the arm the target of this tick; None if nobody drives it.

        Args:
            stamp_ns: when the state was, by the clock that targets are stamped by.
            state: what the arm said last.
            opening_m: of the gripper.
            why: if not empty, hold for this reason.

        Raises:
            DfPolicyError: if the arm refuses, or stopped by itself.
        """
        measured = Measured(stamp_ns, state.tool, state.q_rad, state.dq_rad_s)
        cleared = self.session.tick(stamp_ns, measured, opening_m, why)
        if cleared is None:
            if self._was_driven:
                self.halt()
            return None
        self._was_driven = True
        moving = self._feed.move(stamp_ns, cleared.target.tool).after(self._ahead_s)
        self._arm.follow(moving, state)
        return cleared

    def halt(self) -> None:
        """Nobody drives any more: come to a stop.

        Raises:
            DfPolicyError: if the arm refuses.
        """
        self.forget()
        self._arm.halt()

    def forget(self) -> None:
        """The next target has nothing to do with those before."""
        self._was_driven = False
        self._feed.clear()
