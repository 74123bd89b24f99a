"""franky-sim's servers of the robot's protocol, with what they leave out and a test bench needs.

Reflexes and the user stop, a gripper that answers the command that a stop cuts short, a clock that
a new connection does not set back, and sockets on the address asked for alone: franky-sim opens
its datagram sockets on every interface.
"""

from __future__ import annotations

import select
import socket
from typing import Any

import franky_sim
from franky_sim.franka_gripper_protocol import GripperCommandStatus
from franky_sim.franka_gripper_server import FrankaGripperServer
from franky_sim.franka_robot_protocol import (
    AutomaticErrorRecoveryCommand,
    AutomaticErrorRecoveryStatus,
    MoveCommand,
    MoveStatus,
    RobotCommand,
    RobotMode,
)
from franky_sim.franka_server import BaseCommand, NonBlockingReceiver

from df_policy.errors import DfPolicyError

REFLEXES = {"joint_reflex": 6, "cartesian_reflex": 7, "communication_constraints_violation": 25}
"""Errors that can be provoked, with their places among the robot's 41.

Source: libfranka, `franka::Errors` and the order of its array; read off what its client says.
"""
_ERRORS = 41
_LOST_TICKS = 20
"""So many lost commands in a row end a motion.

Source: Franka Control Interface documentation, "communication constraints violation".
"""


def _listen_at(server: Any, port: int) -> None:
    """Open a server's datagram socket on its own address; otherwise as franky-sim does."""
    datagrams = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    datagrams.bind((server._address, 0))
    datagrams.setblocking(False)
    server._FrankaServer__client_udp_port = port
    server._FrankaServer__udp_socket = datagrams
    server._FrankaServer__udp_receiver = NonBlockingReceiver(datagrams)
    server._FrankaServer__message_id = 0


class HandServer(FrankaGripperServer):  # type: ignore[misc]
    """The gripper."""

    def __init__(self, robot: Any, address: str) -> None:
        self._address = address
        super().__init__(robot, address)

    def _setup_udp_connection(self, network_udp_port: int) -> None:
        _listen_at(self, network_udp_port)

    def stop(self, command_id: int, tcp_socket: Any) -> None:
        """Stop, and say so to who waits for the end of the motion, as the real one does."""
        if self._pending_command_id is not None:
            BaseCommand.send_response(
                self._pending_tcp_socket,
                self._pending_command_type,
                self._pending_command_id,
                GripperCommandStatus.kAborted,
                command_type_struct="H",
                status_type_struct="H",
            )
        super().stop(command_id, tcp_socket)


class ArmServer(franky_sim.FrankaRobotServer):  # type: ignore[misc]
    """The arm.

    Args:
        robot: franky-sim's.
        address: a loopback address that no other server uses.

    Raises:
        DfPolicyError: if the address is in use, or none of this machine.
    """

    def __init__(self, robot: Any, address: str) -> None:
        self._address = address
        self._ticks = self._unanswered = 0
        self._mode: RobotMode | None = None
        self._error = ""
        super().__init__(robot, [address])
        commands = self._FrankaServer__command_class_map
        commands |= {RobotCommand.kAutomaticErrorRecovery: _Recovery, RobotCommand.kMove: _Move}
        try:
            self.init()
        except OSError as error:
            raise DfPolicyError(
                f"expected the address {address} to be free for a simulated robot, got: {error}; "
                "end the other one, or choose another address that begins with 127."
            ) from error

    @property
    def driven(self) -> bool:
        """Whether a client moves the arm."""
        return bool(self.current_motion_id)

    def reflex(self, error: str = "cartesian_reflex") -> None:
        """Abort what the arm does, as the robot does when it hits something.

        Raises:
            DfPolicyError: if no such error can be provoked.
        """
        if error not in REFLEXES:
            raise DfPolicyError(f"expected one of {', '.join(REFLEXES)}, got {error!r}")
        self._mode, self._error = RobotMode.kReflex, error
        self._abort(MoveStatus.kReflexAborted)

    def user_stop(self, pressed: bool) -> None:
        """Press or release the stop button."""
        if pressed:
            self._mode = RobotMode.kUserStopped
            self._abort(MoveStatus.kPreemptedDueToActivatedSafetyFunctions)
        elif self._mode == RobotMode.kUserStopped:
            self._mode = None

    def recover(self) -> bool:
        """Leave the reflex; False while the user stop is pressed."""
        if self._mode == RobotMode.kUserStopped:
            return False
        self._mode, self._error = None, ""
        return True

    def hold(self) -> None:
        """Hold the joints where they are now, with nobody in control."""
        self._reset_state()

    def await_command(self, patience_s: float) -> None:
        """Give a client that moves the arm time to answer the last state.

        On a busy machine the robot's time then passes more slowly, in place of losing commands;
        a client that is silent for longer counts as a cable that is cut, as on the robot.
        """
        if not self.driven:
            self._unanswered = 0
            return
        answered, _, _ = select.select([self._FrankaServer__udp_socket], [], [], patience_s)
        self._unanswered = 0 if answered else self._unanswered + 1
        if self._unanswered >= _LOST_TICKS:
            self.reflex("communication_constraints_violation")

    def send_state(self) -> None:
        """Stamped by the robot's clock, which goes on whoever connects."""
        self._ticks += 1
        self._FrankaServer__message_id = self._ticks
        super().send_state()

    @property
    def robot_state(self) -> Any:
        """With the mode and the errors of what was provoked."""
        state = super().robot_state
        if self._mode is None:
            return state
        errors = tuple(index == REFLEXES.get(self._error) for index in range(_ERRORS))
        return state.replace(robot_mode=self._mode, errors=errors, reflex_reason=errors)

    @property
    def stopped(self) -> bool:
        """Whether it is in a reflex, or the user stop is pressed."""
        return self._mode is not None

    def _setup_udp_connection(self, network_udp_port: int) -> None:
        _listen_at(self, network_udp_port)

    def _bind_children(self, hostname: str) -> None:
        hand = HandServer(self.robot, hostname)
        hand.init()
        self._FrankaRobotServer__gripper_server = hand

    def _abort(self, status: MoveStatus) -> None:
        motion = self.current_motion_id
        self.stop_motion(send_preemption_signal=False)
        if motion:
            BaseCommand.send_response(self._tcp_socket, RobotCommand.kMove, motion, status)
            self.reset_current_motion_id()


class _Recovery(AutomaticErrorRecoveryCommand):  # type: ignore[misc]
    """Succeeds unless the user stop is pressed."""

    def handle(self, server: ArmServer) -> None:
        refused = AutomaticErrorRecoveryStatus.kCommandRejectedDueToActivatedSafetyFunctions
        self.reply(AutomaticErrorRecoveryStatus.kSuccess if server.recover() else refused)


class _Move(MoveCommand):  # type: ignore[misc]
    """Refused while the robot is stopped."""

    def handle(self, server: ArmServer) -> None:
        if server.stopped:
            self.reply(MoveStatus.kCommandRejectedDueToActivatedSafetyFunctions)
        else:
            super().handle(server)
