"""A Panda behind franka_ros_interface, for a driver that lives in another Python.

ROS 1 and ROS 2 do not share an interpreter, so this program runs in that of ROS 1. It needs Python
3.8 and nothing else of this package, and may be copied into a container with `messages.py`. In a
terminal in which the robot's `franka.sh` was sourced:

    python3 df_policy/hardware/ros1/adapter.py

It listens on this machine alone, for one driver at a time. Told no more, the arm stops.

Source: ArmInterface, GripperInterface and RobotEnable of franka_interface,
https://github.com/justagist/franka_ros_interface
"""

from __future__ import annotations

import argparse
import contextlib
import signal
import socket
import sys
import threading
import time
from collections.abc import Callable
from typing import Any

try:
    from df_policy.hardware.ros1 import messages
except ImportError:  # run by itself
    import messages  # type: ignore[import-not-found, no-redef]

RATE_HZ = 100.0
HOLD_S, BRAKE_S = 0.06, 0.2
"""Without news the joints go on as told for so long, then come to a stop in so long; after that
nothing is sent, and franka_ros_interface holds the arm with its own controller."""
_WIDEST_M = 0.08
_HELD_M = 0.002
_HOME_S, _NEAR_RAD = 60.0, 0.01


def braking(age_s: float) -> tuple[float, float]:
    """How far to go on by a command of this age.

    Returns:
        Seconds' worth of its speed, and the share of that speed that is left.
    """
    late_s = min(max(0.0, age_s - HOLD_S), BRAKE_S)
    return min(age_s, HOLD_S) + late_s - late_s**2 / (2 * BRAKE_S), 1.0 - late_s / BRAKE_S


class Arm:
    """What the driver wants of the arm, and what it is told.

    Args:
        interface: an ArmInterface.
        enable: makes a RobotEnable.
    """

    def __init__(self, interface: Any, enable: Callable[[], Any]) -> None:
        self._interface, self._enable = interface, enable
        self._command: messages.Command | None = None
        self._heard_s = 0.0
        self._halted = False
        self.busy = self.problem = ""
        self.done = 0

    def obey(self, record: Any, now_s: float) -> None:
        """Take over what the driver said."""
        if isinstance(record, messages.Command):
            self._command, self._heard_s = record, now_s
        elif isinstance(record, messages.Halt):
            self.halt(now_s)
        elif isinstance(record, messages.Setup):
            self._alone("setting up", lambda: self._set_up(record))
        elif isinstance(record, messages.Home):
            self._alone("homing", lambda: self._home(record))
        elif isinstance(record, messages.Recover):
            self._alone("recovering", lambda: self._enable().enable())

    def halt(self, now_s: float) -> None:
        """Come to a stop from now on."""
        self._heard_s, self._halted = min(self._heard_s, now_s - HOLD_S), True

    def tick(self, now_s: float) -> bool:
        """Tell the joints what to do now; whether they are being told."""
        command = self._command
        if command is None or self.busy:
            self._command = None
            return False
        ahead_s, share = braking(now_s - self._heard_s)
        moved = [q + ahead_s * dq for q, dq in zip(command.q_rad, command.dq_rad_s)]
        speeds = [share * dq for dq in command.dq_rad_s]
        self._interface.set_joint_positions_velocities(moved, speeds)
        if share == 0.0:
            self._command = None
        return share > 0.0

    def _set_up(self, record: messages.Setup) -> None:
        taken = self._interface.set_collision_threshold(
            cartesian_forces=[record.force_n] * 6, joint_torques=[record.torque_nm] * 7
        )
        if not taken:
            raise RuntimeError("the robot did not take the thresholds of contact")

    def _home(self, record: messages.Home) -> None:
        names, self._halted = self._interface.joint_names(), False
        self._interface.set_joint_position_speed(record.speed)
        goal = dict(zip(names, record.q_rad))
        self._interface.move_to_joint_positions(
            goal, timeout=_HOME_S, threshold=_NEAR_RAD, test=lambda: self._halted, use_moveit=False
        )

    def _alone(self, name: str, work: Callable[[], object]) -> None:
        """Do what takes long in a thread of its own, one thing at a time."""
        if self.busy:
            self.problem = f"expected an arm that stands, got one that is {self.busy}"
            self.done += 1
            return
        self.busy, self.problem, self._command = name, "", None

        def attempt() -> None:
            try:
                work()
            except Exception as error:
                self.problem = f"{name} failed: {error}"
            self.busy = ""
            self.done += 1

        threading.Thread(target=attempt, daemon=True).start()


class Hand:
    """The newest goal of the fingers, given by a thread of its own: each takes up to a second.

    Args:
        interface: a GripperInterface.
    """

    def __init__(self, interface: Any) -> None:
        self._interface = interface
        self._newest: messages.Fingers | None = None
        self._given, self._go = False, threading.Event()
        self.holds, self.problem = False, "" if interface.exists else "no gripper was found"
        if interface.exists:
            threading.Thread(target=self._work, daemon=True).start()

    @property
    def opening_m(self) -> float:
        """Between the fingers."""
        if not self._interface.exists:
            return 0.0
        return float(sum(self._interface.joint_ordered_positions()))

    def obey(self, record: messages.Fingers) -> None:
        """Do this instead of anything else."""
        self._newest = record
        self._go.set()

    def _work(self) -> None:
        while True:
            self._go.wait()
            self._go.clear()
            try:
                self._give(self._newest)
            except Exception as error:
                self.problem = f"expected the hand to obey, got: {error}"

    def _give(self, goal: messages.Fingers | None) -> None:
        if goal is None:
            return
        if self._given:  # a hand that is still busy would not listen
            self._interface.stop_action()
        self._given, self.holds, self.problem = True, False, ""
        if not goal.grasp:
            self._interface.move_joints(
                goal.opening_m, speed=goal.speed_m_s, wait_for_result=False
            )
            return

        def on_end(_status: Any, result: Any) -> None:
            self.holds = bool(result and result.success and self.opening_m > _HELD_M)

        # Whatever its size, what is held is held: the widest tolerance.
        self._interface.grasp(
            0.0, goal.force_n, speed=goal.speed_m_s, epsilon_inner=0.0, epsilon_outer=_WIDEST_M,
            wait_for_result=False, cb=on_end,
        )  # fmt: skip


def hello(interface: Any) -> messages.Hello:
    """What the robot is."""
    limits = interface.get_joint_limits()
    ends = (limits.position_lower, limits.position_upper, limits.velocity)
    return messages.Hello(
        list(interface.joint_names()), *([float(x) for x in end] for end in ends)
    )


def state(interface: Any, arm: Arm, hand: Hand) -> messages.State:
    """What the robot says now."""
    tip, status, speeds = (
        interface.tip_states(), interface.get_robot_status(), interface.joint_velocities()
    )  # fmt: skip
    turn = tip.pose["orientation"]
    return messages.State(
        stamp_ns=int(tip.timestamp.to_nsec()),
        q_rad=[float(q) for q in interface.joint_ordered_angles()],
        dq_rad_s=[float(speeds[name]) for name in interface.joint_names()],
        position_m=[float(x) for x in tip.pose["position"]],
        quat_xyzw=[float(turn.x), float(turn.y), float(turn.z), float(turn.w)],
        jacobian=[float(x) for row in interface.zero_jacobian() for x in row],
        mode=status["robot_mode"].name.replace("ROBOT_MODE_", "").lower(),
        errors=list(interface.what_errors() or []),
        busy=arm.busy,
        done=arm.done,
        problem=arm.problem,
        opening_m=hand.opening_m,
        holds=hand.holds,
        hand_problem=hand.problem,
    )


def serve(interface: Any, arm: Arm, hand: Hand, line: Any, ended: Callable[[], bool]) -> None:
    """Do what one driver says until it is gone; then come to a stop."""
    next_s = time.monotonic()
    try:
        line.send(hello(interface))
        while not ended():
            for record in line.receive():
                if isinstance(record, messages.Fingers):
                    hand.obey(record)
                else:
                    arm.obey(record, time.monotonic())
            arm.tick(time.monotonic())
            line.send(state(interface, arm, hand))
            next_s = max(next_s + 1.0 / RATE_HZ, time.monotonic())
            time.sleep(max(0.0, next_s - time.monotonic()))
    except messages.LineCutError as error:
        print(f"the driver is gone: {error}; the arm stops", flush=True)
    finally:
        arm.halt(time.monotonic())
        while arm.tick(time.monotonic()):
            time.sleep(1.0 / RATE_HZ)
        line.close()


def main() -> int:
    """Run the adapter; returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    options.add_argument("--port", type=int, default=messages.PORT)
    port = options.parse_args().port
    try:
        import rospy
        from franka_interface import ArmInterface, GripperInterface, RobotEnable
    except ImportError as error:
        print(
            f"expected ROS 1 and franka_ros_interface, got: {error}; source its franka.sh first",
            file=sys.stderr,
        )
        return 1
    told = threading.Event()
    rospy.init_node("df_policy_adapter", disable_signals=True)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, lambda *_: told.set())
    interface = ArmInterface()
    arm, hand = Arm(interface, RobotEnable), Hand(GripperInterface())
    with socket.create_server(("127.0.0.1", port)) as server:
        server.settimeout(0.2)
        print(f"waiting for a driver at 127.0.0.1:{server.getsockname()[1]}", flush=True)

        def ended() -> bool:
            return told.is_set() or bool(rospy.is_shutdown())

        while not ended():
            with contextlib.suppress(socket.timeout):  # of `accept`; Python 3.8 has no other name
                serve(interface, arm, hand, messages.Line(server.accept()[0]), ended)
    return 0


if __name__ == "__main__":
    sys.exit(main())
