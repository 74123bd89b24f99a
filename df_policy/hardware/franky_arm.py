"""A Panda or FR3 through franky, a client on libfranka whose control loop is a thread in C++."""

from __future__ import annotations

import re
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, TypeVar

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from df_policy.errors import DfPolicyError
from df_policy.geometry import Pose
from df_policy.hardware.arm import BY_HAND, ArmState, LostRobotError, why_stopped
from df_policy.hardware.feed_forward import MovingTarget
from df_policy.hardware.franky_link import ROBOT_PORT, check_port, in_time, load
from df_policy.processes import lending_priority

T = TypeVar("T")
_RECOVER_S = 1.0
_END_S = 2.0
_SPEED_SHARE = 0.85
"""Of the joints' largest speeds; beyond them the robot stops in a reflex."""
_TOLD_MS = 150
"""So long the arm goes on as it was told last; then it stops without a jerk."""
_UNPLANNED = "Motion planner failed"
"""How franky says that Ruckig found no way on from a state; the arm has stopped, and no more."""
_MOST_UNPLANNED = 3
"""In a row; beyond, what is asked is at fault."""
_HOME_SHARE = 0.08
"""Of the robot's speed, on the way to a posture: slow enough to step aside."""
_STIFFNESS = (3000.0, 3000.0, 3000.0, 2500.0, 2500.0, 2000.0, 2000.0)
"""Of the joints, as libfranka's examples set them [Nm/rad]."""


@dataclass(frozen=True)
class ArmSettings:
    """How the arm is to behave."""

    address: str
    patience_s: float = 0.0
    """So long a robot is waited for that does not answer yet."""
    real_time: bool = True
    """Refuse a kernel without real-time preemption, on which packets come late."""
    speed: float = 0.7
    acceleration: float = 1.0
    jerk: float = 0.6
    """Shares of what the robot can do (1.7 m/s, 13 m/s2, 6500 m/s3) that motions keep to."""
    gain: float = 4.0
    """By how much of its distance from the target the tool comes nearer in a second."""
    contact_torque_nm: float = 30.0
    contact_force_n: float = 30.0
    """Thresholds beyond which the robot takes contact for a collision, and stops."""
    stiffness: float = 1.0
    """Of the joints, as a share of libfranka's usual one."""
    joint_speeds_rad_s: tuple[float, ...] = ()
    """What the joints can do; faster targets are followed more slowly. Empty: not watched."""


class FrankyArm:
    """See `df_policy.hardware.arm.ArmDriver`.

    Args:
        settings: how it is to behave.
    """

    def __init__(self, settings: ArmSettings) -> None:
        self._settings = settings
        self._robot: Any = None
        self._seen: Any = None  # franky's own state, as read last
        self._unplanned = self._unplanned_in_a_row = 0

    def connect(self) -> ArmState:
        """Reach the robot and set it up; see the protocol."""
        franky = load()
        wanted = self._settings
        check_port(wanted.address, ROBOT_PORT, "the robot", wanted.patience_s)
        real_time = (
            franky.RealtimeConfig.Enforce if wanted.real_time else franky.RealtimeConfig.Ignore
        )
        self._robot = in_time(
            lambda: franky.Robot(wanted.address, realtime_config=real_time),
            f"the robot at {wanted.address} to let us in; does another client hold it?",
        )
        self._call(self._set_up)
        return self.read()

    def read(self) -> ArmState:
        """What the robot says now; see the protocol."""
        state = self._call(lambda: self._robot.state, LostRobotError)
        self._seen = state
        mode = _snake(state.robot_mode.name)
        errors = _set_flags(state.current_errors)
        pose, desired = state.O_T_EE, state.O_T_EE_d
        return ArmState(
            robot_ns=round(state.time.to_sec() * 1e9),
            q_rad=np.array(state.q, dtype=np.float64),
            dq_rad_s=np.array(state.dq, dtype=np.float64),
            tool=Pose.of(pose.translation, pose.quaternion),
            desired=Pose.of(desired.translation, desired.quaternion),
            mode=mode,
            fault=why_stopped(mode, errors),
            received=float(state.control_command_success_rate) if mode == "move" else 1.0,
            restarts=self._unplanned,
        )

    def follow(self, target: MovingTarget, state: ArmState) -> None:
        """Be at the target soon; see the protocol.

        A speed and not a pose is commanded: a pose is approached to stop there, which at 0.9 m/s
        left the arm 85 mm (rms) behind a moving one, in place of 7 mm. Distances are taken from
        where the controller wants the tool, so that what blocks it is not pressed ever harder.
        """
        franky = load()
        gain, desired = self._settings.gain, state.desired
        here, there = (Rotation.from_quat(p.quat_xyzw) for p in (desired, target.pose))
        linear = target.linear_m_s + gain * (target.pose.position_m - desired.position_m)
        angular = target.angular_rad_s + gain * (there * here.inv()).as_rotvec()
        share = self._share(np.concatenate([linear, angular]))
        velocity = franky.RobotVelocity(franky.Twist(share * linear, share * angular))
        motion = franky.CartesianVelocityMotion(velocity, franky.Duration(_TOLD_MS))
        self._call(self._poll)
        self._begin(motion)

    def _poll(self) -> None:
        """Hear why an earlier motion ended; one that was only not planned may begin anew."""
        try:
            self._robot.poll_motion()
        except RuntimeError as error:
            self._unplanned_in_a_row += 1
            if _UNPLANNED not in str(error) or self._unplanned_in_a_row > _MOST_UNPLANNED:
                self._unplanned_in_a_row = 0
                raise
            self._unplanned += 1
        else:
            self._unplanned_in_a_row = 0

    def _share(self, twist: Float64[np.ndarray, "6"]) -> float:
        """Of this motion of the tool, as much as the joints can do."""
        limits = np.array(self._settings.joint_speeds_rad_s)
        if not limits.size:
            return 1.0
        model, frame = self._robot.model, load().Frame.EndEffector
        jacobian = self._call(lambda: model.zero_jacobian(frame, self._seen))
        speeds = np.linalg.lstsq(np.asarray(jacobian), twist)[0]
        return float(1.0 / max(1.0, np.max(np.abs(speeds) / (_SPEED_SHARE * limits))))

    def halt(self) -> None:
        """Come to a stop; see the protocol."""
        franky = load()
        if self._robot is not None and self._robot.is_in_control:
            self._begin(franky.CartesianVelocityStopMotion())

    def home(self, q_rad: Float64[np.ndarray, "n"]) -> None:
        """Begin to go to a posture; see the protocol."""
        franky = load()
        goal = [float(q) for q in q_rad]  # a whole number among them is refused
        motion = franky.JointMotion(goal, relative_dynamics_factor=_HOME_SHARE)
        self._begin(motion)

    def recover(self) -> ArmState:
        """Leave a fault; see the protocol."""
        try:
            state = self.read()
        except LostRobotError:
            self._robot = None
            return self.connect()
        if state.mode in BY_HAND:  # released a moment ago, it takes one to say so
            state = self._until_well(lambda seen: seen.mode not in BY_HAND)
        if state.fault:
            self._call(self._robot.recover_from_errors)
            # What it returns may tell of the time before: only the state counts.
            state = self._until_well(lambda seen: not seen.fault)
        try:
            self._robot.poll_motion()
        except Exception:
            return state  # the motion that the fault ended, told for the last time
        return state

    def close(self) -> None:
        """Come to a stop and let go; see the protocol."""
        if self._robot is None:
            return
        if not self._is_over(self.halt):
            self._is_over(self._robot.stop)  # its thread must not outlive it
        self._robot = None

    def _begin(self, motion: Any) -> None:
        """Begin a motion, or go over to it.

        The first one starts franky's control loop, a thread with the priority of its starter.
        """
        with lending_priority():
            self._call(lambda: self._robot.move(motion, asynchronous=True))

    def _is_over(self, end: Callable[[], object]) -> bool:
        """Whether the motion is over soon after `end`."""
        try:
            end()
            return bool(self._robot.join_motion(timeout=_END_S))
        except Exception:
            return not self._robot.is_in_control  # lost, or stopped

    def _set_up(self) -> None:
        franky = load()
        wanted, robot = self._settings, self._robot
        robot.relative_dynamics_factor = franky.RelativeDynamicsFactor(
            wanted.speed, wanted.acceleration, wanted.jerk
        )
        robot.set_collision_behavior(wanted.contact_torque_nm, wanted.contact_force_n)
        robot.set_joint_impedance([wanted.stiffness * value for value in _STIFFNESS])

    def _until_well(self, well: Callable[[ArmState], bool]) -> ArmState:
        waited = threading.Event()
        for _ in range(round(_RECOVER_S / 0.02)):
            state = self.read()
            if well(state):
                return state
            waited.wait(0.02)
        raise DfPolicyError(
            f"expected a robot that can go on, got: {state.fault}; free the arm from what it "
            "touches by hand, then try again"
        )

    def _call(self, what: Callable[[], T], kind: type[DfPolicyError] = DfPolicyError) -> T:
        """The answer.

        Raises:
            DfPolicyError: of this kind, or LostRobotError, for whatever franky raises.
        """
        if self._robot is None:
            raise LostRobotError("expected a robot, got no connection to one yet")
        franky = load()
        try:
            return what()
        except franky.NetworkException as error:
            raise LostRobotError(f"expected an answer of the robot, got: {error}") from error
        except (franky.Exception, RuntimeError) as error:
            # RuntimeError: franky's planner.
            said = str(error).splitlines()[0]
            raise kind(f"expected the robot to obey, got: {said}") from error


def _set_flags(errors: Any) -> list[str]:
    names = (name for name in dir(errors) if not name.startswith("_"))
    return [name for name in names if getattr(errors, name) is True]


def _snake(name: str) -> str:
    return re.sub(r"(?<!^)(?=[A-Z])", "_", name).lower()
