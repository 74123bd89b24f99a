"""When an arm obeys targets: from the first of a stream, near the arm, until they cease."""

from __future__ import annotations

from df_policy.errors import DfPolicyError
from df_policy.frames import Action
from df_policy.gate import Cleared, Gate, Measured
from df_policy.geometry import Pose
from df_policy.robot import RobotSpec


class ArmSession:
    """Targets as they come, through a gate of the robot's own: a receiver trusts no sender.

    After a fault it obeys again once nobody has sent anything for `silence_s`: a sender that did
    not notice moves nothing.

    Args:
        spec: the limits.
        silence_s: a stream that pauses for longer has ended, and the arm stops.
    """

    def __init__(self, spec: RobotSpec, silence_s: float) -> None:
        self._silence_ns = round(silence_s * 1e9)
        tick_s = 1.0 / spec.control_rate_hz
        self.gate = Gate(spec, tick_s, max_age_s=5.0 * tick_s)
        self._opening_m: float | None = None
        self._wanted: Action | None = None
        self._heard_ns = 0
        self._ceased = False
        self._blocked = ""
        self.active = False
        """Whether targets are obeyed now."""
        self.reason = ""
        """Why they are not, or not as they are."""

    def gripper(self, opening_m: float) -> None:
        """A target for the gripper, sent ahead of the pose that it belongs to: it waits for it."""
        self._opening_m = opening_m

    def pose(self, now_ns: int, pose: Pose) -> None:
        """A target for the tool came now."""
        self._heard_ns = now_ns
        if self._opening_m is not None:
            self._wanted = Action(pose, self._opening_m)

    def block(self, reason: str) -> None:
        """The robot stopped: obey nobody until `release`; the first reason counts."""
        self._blocked = self._blocked or reason
        self._end(self._blocked)

    @property
    def blocked(self) -> str:
        """Why nobody is obeyed until `release`; empty if that is not so."""
        return self._blocked or self.gate.stopped

    def release(self) -> None:
        """Obey again, from the next stream on."""
        self._blocked = ""
        self.gate.release()
        self._end("")
        self._ceased = False

    def tick(
        self, now_ns: int, measured: Measured, opening_m: float, why: str = ""
    ) -> Cleared | None:
        """The target of this tick; None if there is none, and the arm shall not be told.

        Args:
            now_ns: the time.
            measured: what the robot says.
            opening_m: of the gripper.
            why: if not empty, hold for this reason.
        """
        silent = now_ns - self._heard_ns > self._silence_ns
        self._ceased = self._ceased or silent
        if self._blocked:
            return None
        if not self.active and not self._begin(silent, measured, opening_m):
            return None
        if silent:
            why = f"expected a target every {self._silence_ns * 1e-9:g} s, got none"
        cleared = self.gate.pass_on(now_ns, None if why else self._wanted, measured, why)
        self.reason = cleared.reason
        if (silent or self.gate.stopped) and not cleared.moving:
            self._end(self.gate.stopped)
        return cleared

    def _begin(self, silent: bool, measured: Measured, opening_m: float) -> bool:
        """Whether a stream begins now."""
        if silent or self._wanted is None or self.gate.stopped:
            return False
        if not self._ceased:  # a stream that went on over the fault
            self.reason = "expected the old targets to cease, got more; stop their sender first"
            return False
        try:
            self.gate.begin(Action(measured.tool, opening_m))
        except DfPolicyError as error:
            self.reason = str(error)
            return False
        self.active = True
        return True

    def _end(self, reason: str) -> None:
        self.active, self.reason = False, reason
        self._wanted = self._opening_m = None
