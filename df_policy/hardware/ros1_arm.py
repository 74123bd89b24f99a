"""A Panda through franka_ros_interface, a package of ROS 1, behind an adapter in its own Python.

That package follows positions and speeds of joints, so poses become those here. See
`ros1/adapter.py` for the other side.
"""

from __future__ import annotations

import contextlib
import socket
import time
from dataclasses import dataclass
from typing import Any

import numpy as np
from jaxtyping import Float64

from df_policy.errors import DfPolicyError
from df_policy.geometry import Pose
from df_policy.hardware.arm import BY_HAND, ArmState, LostRobotError, why_stopped
from df_policy.hardware.feed_forward import MovingTarget
from df_policy.hardware.patience import once_well
from df_policy.hardware.resolved_rate import Jacobian, JointLimits, Joints, ResolvedRate
from df_policy.hardware.ros1 import messages

_LOOK_S = 0.01
_SETTLE_S = 8.0
"""RobotEnable waits for five seconds."""
_HOME_SHARE = 0.08
"""Of the joints' speed, on the way to a posture: slow enough to step aside."""
ADAPTER = "`python3 df_policy/hardware/ros1/adapter.py`"


@dataclass(frozen=True)
class Ros1ArmSettings:
    """How the arm is to behave."""

    port: int = messages.PORT
    patience_s: float = 3.0
    silence_s: float = 0.25
    """An adapter, or a robot behind it, that says nothing new for so long is gone."""
    gain: float = 4.0
    contact_torque_nm: float = 30.0
    contact_force_n: float = 30.0


class Ros1Arm:
    """See `df_policy.hardware.arm.ArmDriver`.

    Args:
        settings: how it is to behave.
        joints: their names.
    """

    def __init__(self, settings: Ros1ArmSettings, joints: tuple[str, ...]) -> None:
        self._settings, self._joints = settings, joints
        self._line: messages.Line | None = None
        self._rate: ResolvedRate | None = None
        self._state: messages.State | None = None
        self._greeting: messages.Hello | None = None
        self._fresh_s = 0.0

    @property
    def connected(self) -> bool:
        """Whether there is a line to the adapter."""
        return self._line is not None

    def connect(self) -> ArmState:
        """Reach the adapter and set the robot up; see the protocol."""
        try:
            self._set_up()
            return self.read()
        except DfPolicyError:
            self.close()
            raise

    def _set_up(self) -> None:
        wanted = self._settings
        self._line = messages.Line(self._reach())
        hello = once_well(self._hello, wanted.patience_s, _LOOK_S)
        if tuple(hello.names) != self._joints:
            raise DfPolicyError(
                f"expected joints {', '.join(self._joints)}, got {', '.join(hello.names)}; set "
                f"name:={hello.names[0].split('_')[0]}"
            )
        ends = (hello.low_rad, hello.high_rad, hello.speed_rad_s)
        limits = JointLimits(*(np.array(end, dtype=np.float64) for end in ends))
        self._rate = ResolvedRate(limits, wanted.gain)
        self._do(messages.Setup(wanted.contact_force_n, wanted.contact_torque_nm))

    def read(self) -> ArmState:
        """What the robot said last; see the protocol."""
        said = self._look()
        tool, q_rad, jacobian = _parts(said)
        return ArmState(
            robot_ns=said.stamp_ns,
            q_rad=q_rad,
            dq_rad_s=np.array(said.dq_rad_s, dtype=np.float64),
            tool=tool,
            desired=tool if self._rate is None else self._rate.desired(tool, q_rad, jacobian),
            mode=said.busy or said.mode,
            fault=why_stopped(said.mode, said.errors) or said.problem,
        )

    def follow(self, target: MovingTarget, state: ArmState) -> None:
        """Be at the target soon; see the protocol."""
        said = self._look()
        if self._rate is None or said.busy:
            raise DfPolicyError(f"expected an arm that stands, got one that is {said.busy}")
        tool, q_rad, jacobian = _parts(said)
        told = self._rate.step(time.monotonic(), target, tool, q_rad, jacobian)
        self.tell(messages.Command(*(joints.tolist() for joints in told)))

    def halt(self) -> None:
        """Come to a stop; see the protocol."""
        if self._rate is not None:
            self._rate.clear()
            self.tell(messages.Halt())

    def home(self, q_rad: Float64[np.ndarray, "n"]) -> None:
        """Begin to go to a posture; see the protocol."""
        self.tell(messages.Home([float(q) for q in q_rad], _HOME_SHARE))

    def recover(self) -> ArmState:
        """Leave a fault; see the protocol."""
        try:
            state = self.read()
        except LostRobotError:
            self.close()
            return self.connect()
        if state.fault and state.mode not in BY_HAND:
            self._do(messages.Recover())
            state = self.read()
        if state.fault:
            raise DfPolicyError(
                f"expected a robot that can go on, got: {state.fault}; free the arm from what it "
                "touches by hand, then try again"
            )
        return state

    def close(self) -> None:
        """Come to a stop and hang up; see the protocol."""
        with contextlib.suppress(DfPolicyError):
            self.halt()
        line, self._line, self._rate = self._line, None, None
        self._state = self._greeting = None
        if line is not None:
            line.close()  # which stops the arm too

    @property
    def said(self) -> messages.State | None:
        """What was read last, for the hand."""
        return self._state

    def tell(self, record: Any) -> None:
        """Say something to the adapter.

        Raises:
            LostRobotError: if it is not there any more.
        """
        if self._line is None:
            raise LostRobotError("expected an adapter, got no connection to one yet")
        try:
            self._line.send(record)
        except messages.LineCutError as error:
            raise _lost(error) from error

    def _do(self, record: Any) -> None:
        """Have the adapter do something that takes long, and wait for it.

        Raises:
            DfPolicyError: if it fails.
        """
        done = self._look().done
        self.tell(record)
        said = once_well(lambda: self._done_since(done), _SETTLE_S, _LOOK_S)
        if said.problem:
            raise DfPolicyError(f"expected the robot to obey, got: {said.problem}")

    def _done_since(self, done: int) -> messages.State:
        said = self._look()
        if said.done <= done:
            raise DfPolicyError("expected the robot to obey, got no answer")
        return said

    def _look(self) -> messages.State:
        """Read what has come; the newest state.

        Raises:
            LostRobotError: if it is old, or the adapter is gone.
        """
        if self._line is None:
            raise LostRobotError("expected an adapter, got no connection to one yet")
        try:
            records = self._line.receive()
        except messages.LineCutError as error:
            raise _lost(error) from error
        for record in records:
            if isinstance(record, messages.Hello):
                self._greeting = record
            elif isinstance(record, messages.State):
                if self._state is None or record.stamp_ns != self._state.stamp_ns:
                    self._fresh_s = time.monotonic()
                self._state = record
        age_s = time.monotonic() - self._fresh_s
        if self._state is None or age_s > self._settings.silence_s:
            raise LostRobotError(
                f"expected a state of the robot every {self._settings.silence_s:g} s, got none; "
                "is franka_ros_interface running, and no other driver at its adapter?"
            )
        return self._state

    def _hello(self) -> messages.Hello:
        self._look()
        if self._greeting is None:
            raise LostRobotError("expected the adapter to say what robot it has, got nothing")
        return self._greeting

    def _reach(self) -> socket.socket:
        deadline_s = time.monotonic() + self._settings.patience_s
        while True:
            try:
                return socket.create_connection(("127.0.0.1", self._settings.port), timeout=3.0)
            except OSError as error:
                if time.monotonic() >= deadline_s:
                    raise DfPolicyError(
                        f"expected the adapter at 127.0.0.1:{self._settings.port}, got: {error}; "
                        f"start {ADAPTER} in a terminal with ROS 1 and franka_ros_interface"
                    ) from error
                time.sleep(0.2)


def _parts(said: messages.State) -> tuple[Pose, Joints, Jacobian]:
    """The tool, the joints, and how one moves the other."""
    tool = Pose.of(said.position_m, said.quat_xyzw)
    q_rad = np.array(said.q_rad, dtype=np.float64)
    return tool, q_rad, np.array(said.jacobian, dtype=np.float64).reshape(6, len(q_rad))


def _lost(error: messages.LineCutError) -> LostRobotError:
    return LostRobotError(f"expected the adapter to go on, got: {error}; start {ADAPTER} again")
