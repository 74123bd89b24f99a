"""The safety gate: between whoever wants a robot to move and the robot, on by default.

It is asked once a tick. What it gives keeps the limits of `RobotSpec` whatever it was asked: the
target stands still, or moves on from where the last one was. When it holds, it brakes as fast as
the limits allow and stays; it says why. Whoever publishes takes nothing but `Cleared`, which only
a gate makes.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64

from df_policy.errors import DfPolicyError
from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.motion import Motion, brake, follow
from df_policy.robot import RobotSpec

STALL_S = 0.08
"""After so long without a tick the robot is taken to stand at the last target."""
_AT_ONCE_S = 1e-4
"""Two ticks nearer than this are one."""
_UNIT = 1e-3
"""By how much a quaternion's length may differ from 1."""
_ENDLESS = 1e6
"""No metre, radian or share is as large; beyond this, squares may overflow."""
_AHEAD_S = 1.0
"""How far a state's stamp may lie in the future: two clocks are never quite the same."""
_FINGER_M = 0.1
_OUTSIDE_M = 0.05
"""How far outside the workspace the tool may be to begin; from there it may come in."""


@dataclass(frozen=True)
class Measured:
    """What the robot last said of itself."""

    stamp_ns: int
    """Of the older of the two messages."""
    tool: Pose
    q_rad: Float64[np.ndarray, "n"]
    dq_rad_s: Float64[np.ndarray, "n"]


@dataclass(frozen=True)
class Cleared:
    """A target that may be sent."""

    stamp_ns: int
    target: Action
    reason: str
    """Why the target does not follow what was asked for; empty while it does."""
    moving: bool
    """Whether it still needs a brake to stand still."""


class Gate:
    """Lets targets pass that the robot can follow safely, and brakes where there are none.

    A tick that comes late moves the target no farther than one in time: what was missed is not
    made up for. A stamp that repeats, or goes back, moves nothing.

    Args:
        spec: the limits.
        tick_s: time between two targets.
        max_age_s: holds if what was measured is older, or was never measured; None for a gate on
            the robot's own side, which has nothing to compare with.
    """

    def __init__(self, spec: RobotSpec, tick_s: float, max_age_s: float | None = None) -> None:
        self._spec, self._tick_s, self.max_age_s = spec, tick_s, max_age_s
        self._motion: Motion | None = None
        self._gripper_m = 0.0
        self._last_ns: int | None = None
        self._stopped = ""
        self._first = True
        self._inside: Pose | None = None
        self.held: Counter[str] = Counter()
        """Ticks on hold, by the kind of reason."""

    @property
    def stopped(self) -> str:
        """Why it holds until `release`; empty if it does not."""
        return self._stopped

    @property
    def moving(self) -> bool:
        """Whether its target still needs a brake to stand still."""
        return self._motion is not None and self._motion.moving

    def begin(self, here: Action, now_ns: int = 0) -> None:
        """Start from rest at `here`; where targets still go out, go on from the last of them.

        But not where the robot is too far from that to follow: it was put elsewhere.

        The first target after this must be as near as every other: so nothing begins to drive a
        robot that is somewhere else than it believes.

        Args:
            here: where the robot is.
            now_ns: the time by the clock that ticks are counted by; targets that stopped long
                before are of no account.

        Raises:
            DfPolicyError: if `here` is no pose, or well outside the workspace.
        """
        self._first = True
        goes_on = self._last_ns is not None and abs(now_ns - self._last_ns) <= STALL_S * 1e9
        if goes_on and not self._left_behind(here.tool):
            return
        if problem := _bad(here):
            raise DfPolicyError(f"expected to know where the robot is, got {problem}")
        low, high = (np.array(corner) for corner in self._spec.workspace_m)
        position = here.tool.position_m
        outside = float(np.abs(position - np.clip(position, low, high)).max())
        if outside > _OUTSIDE_M:
            raise DfPolicyError(
                f"expected the tool in the workspace {self._spec.workspace_m}, got it "
                f"{outside:.2f} m outside at {np.round(position, 3).tolist()}; move it in by hand"
            )
        self._motion = Motion.rest(Pose.of(position, here.tool.quat_xyzw))
        self._gripper_m = float(np.clip(here.gripper_m, *self._spec.gripper_range_m))
        self._last_ns = None

    def stop(self, reason: str) -> None:
        """Brake, and hold until `release`; the first reason counts."""
        self._stopped = self._stopped or reason

    def release(self) -> None:
        """Let targets pass again."""
        self._stopped = ""
        self._first = True

    def pass_on(
        self,
        now_ns: int,
        wanted: Action | None,
        measured: Measured | None = None,
        why: str = "",
        steady_ns: int | None = None,
    ) -> Cleared:
        """What may be sent now.

        Args:
            now_ns: the time, by the clock of all stamps.
            wanted: where the tool shall be at the end of this tick; None to hold.
            measured: what the robot last said.
            why: the reason for None.
            steady_ns: the time by a clock that nobody sets, always given or never.

        Raises:
            DfPolicyError: before `begin`: nobody has said where the robot is.
        """
        if self._motion is None:
            raise DfPolicyError(
                "expected a start that says where the robot is, got a target before"
            )
        dt_s = self._elapsed(now_ns if steady_ns is None else steady_ns)
        kind, reason = self._reason_to_hold(now_ns, wanted, measured, why)
        if reason or wanted is None:
            self.held[kind] += 1
            if dt_s > 0.0:
                self._motion = brake(self._spec, self._motion, dt_s)
        else:
            self._first = False
            if dt_s > 0.0:
                self._motion = follow(self._spec, self._motion, wanted.tool, dt_s)
            self._gripper_m = float(np.clip(wanted.gripper_m, *self._spec.gripper_range_m))
        target = Action(self._motion.pose, self._gripper_m)
        return Cleared(now_ns, target, reason, self._motion.moving)

    def _elapsed(self, now_ns: int) -> float:
        """Seconds by which the target may move; time that was missed does not count."""
        assert self._motion is not None
        passed_s = self._tick_s if self._last_ns is None else (now_ns - self._last_ns) * 1e-9
        if 0.0 <= passed_s < _AT_ONCE_S:
            return 0.0
        self._last_ns = now_ns
        if passed_s > max(STALL_S, 2.0 * self._tick_s):
            self._motion = Motion.rest(self._motion.pose)
        return min(max(passed_s, 0.0), self._tick_s)

    def _reason_to_hold(
        self, now_ns: int, wanted: Action | None, measured: Measured | None, why: str
    ) -> tuple[str, str]:
        """Kind of reason, for counting, and the reason; both empty if there is none."""
        if self._stopped:
            return "stopped", self._stopped
        if wanted is None:
            return "no target", why or "expected a target, got none"
        if problem := self._blind(now_ns, measured):
            return "state", problem
        if problem := _bad(wanted):
            return "bad target", f"expected a target that is a pose, got {problem}"
        if measured is not None:
            if problem := self._strained(wanted, measured):
                return "joints", problem
            if problem := self._left_behind(measured.tool):
                self.stop(problem)
                return "stopped", problem
        if problem := self._too_far(wanted):
            return "jump", problem
        return "", ""

    def _blind(self, now_ns: int, measured: Measured | None) -> str:
        if self.max_age_s is None:
            return ""
        if measured is None:
            return "expected the robot's state, got none yet"
        age_s = (now_ns - measured.stamp_ns) * 1e-9
        if not -_AHEAD_S <= age_s <= self.max_age_s:
            return f"expected the robot's state within {self.max_age_s:g} s, got {age_s:.2f} s"
        numbers = np.array([*measured.q_rad, *measured.dq_rad_s])
        if not (np.abs(numbers) < _ENDLESS).all() or _bad(Action(measured.tool, 0.0)):
            return "expected a finite state of the robot, got another"
        return ""

    def _strained(self, wanted: Action, measured: Measured) -> str:
        """What is wrong with the joints; near the end of one the tool may only go back."""
        if problem := self._spec.joint_too_fast(measured.dq_rad_s):
            return problem
        assert self._motion is not None
        here, problem = self._motion.pose, self._spec.joint_at_end(measured.q_rad)
        if not problem:
            self._inside = here
            return ""
        back = self._inside
        if back is not None and _apart(wanted.tool, back) < _apart(here, back):
            return ""
        return f"{problem}: only the way back is open"

    def _left_behind(self, tool: Pose) -> str:
        assert self._motion is not None
        far_m, far_rad = _gap(self._motion.pose, tool)
        if far_m <= self._spec.max_lag_m and far_rad <= self._spec.max_lag_rad:
            return ""
        return (
            f"expected the robot within {self._spec.max_lag_m:g} m and {self._spec.max_lag_rad:g} "
            f"rad of its target, got {far_m:.2f} m and {far_rad:.2f} rad: is it blocked?"
        )

    def _too_far(self, wanted: Action) -> str:
        assert self._motion is not None
        leap = self._spec.leap(self._motion.pose, wanted.tool)
        of = "where the robot is" if self._first else "the last target"
        return leap and f"expected a target near {of}, {leap}"


def _gap(one: Pose, other: Pose) -> tuple[float, float]:
    """Metres and radians between two poses."""
    return float(np.linalg.norm(one.position_m - other.position_m)), one.angle_to(other)


def _apart(one: Pose, other: Pose) -> float:
    """Both in one number; a radian counts as much as it moves a fingertip [m]."""
    far_m, far_rad = _gap(one, other)
    return far_m + _FINGER_M * far_rad


def _bad(target: Action) -> str:
    """What is wrong with a target as such, whatever the robot; empty if nothing is."""
    pose = target.tool
    numbers = np.array([*pose.position_m, *pose.quat_xyzw, target.gripper_m])
    if not (np.abs(numbers) < _ENDLESS).all():  # also if one is not a number
        return "numbers that are not finite"
    length = float(np.linalg.norm(pose.quat_xyzw))
    if abs(length - 1.0) > _UNIT:
        return f"a quaternion of length {length:.3g}"
    return ""
