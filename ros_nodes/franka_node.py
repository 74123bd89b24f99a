"""A Franka arm behind the topics that the policy drives: states out, targets in.

Run it with `python -m df_policy.ros_nodes.franka_node --ros-args -p robot_ip:=172.16.0.2`.
"""

from __future__ import annotations

import sys
import time
from typing import Any

import numpy as np

from df_policy.align import JointReading
from df_policy.errors import DfPolicyError
from df_policy.geometry import Pose
from df_policy.hardware.arm import ArmState
from df_policy.hardware.robot_clock import RobotClock
from df_policy.ros_nodes import missing_ros
from df_policy.ros_nodes.arm_drive import ArmDrive
from df_policy.ros_nodes.franka_config import FrankaNodeConfig, drivers
from df_policy.ros_nodes.health import health
from df_policy.ros_nodes.monitor import Pace, Spread

try:
    from df_policy.ros_nodes import convert, hardware_topics, topics
    from df_policy.ros_nodes.commander import rivals
    from df_policy.ros_nodes.managed import ManagedNode
    from df_policy.ros_nodes.running import run_node
    from df_policy.ros_nodes.target_intake import TargetIntake
except ImportError as error:
    raise SystemExit(missing_ros(error)) from None

START_Q_RAD = np.array([0.0, -0.494, 0.0, -2.752, 0.0, 2.258, 0.785])
"""The tool at (0.36, 0, 0.26) m, pointing down: where the tasks' episodes start."""


class FrankaNode(ManagedNode[FrankaNodeConfig]):
    """Publishes what the arm senses, and lets it follow the targets that come.

    With `use_sim_time` the robot is simulated and its clock is the graph's; else its stamps are
    turned into this machine's time.

    Args:
        overrides: rclpy's arguments, for tests.
    """

    def __init__(self, **overrides: Any) -> None:
        super().__init__("franka_node", FrankaNodeConfig, **overrides)
        if self.config.autostart:
            self.start()

    def configure(self) -> None:
        """Reach the robot and publish its states; no target is obeyed yet."""
        self._spec = self.config.spec
        self._arm, self._hand = drivers(self.config, self)
        self._state = self._arm.connect()
        self._hand.connect()
        self._drive = ArmDrive(self._arm, self._spec, self.config.silence_s, self.config.ahead_s)
        self._session, self._robot_clock = self._drive.session, RobotClock()
        self._pace, self._error_mm, self._read_ms = Pace(), Spread(), Spread()
        self._target: Pose | None = None
        self._publish_to()
        self._timer = self.ticker(1.0 / self.config.rate_hz, self._tick)
        self._report_timer = self.steady_ticker(1.0, self._report)
        self.get_logger().info(
            f"{self._spec.name} through {self.config.driver}: "
            f"{self._state.fault or self._state.mode}"
        )

    def activate(self) -> None:
        """Obey targets."""
        self._targets = TargetIntake(
            self,
            lambda _, pose: self._session.pose(self._now_ns, pose),
            self._session.gripper,
        )

    def deactivate(self) -> None:
        """Come to a stop."""
        self._session.release()
        self._halt()

    def cleanup(self) -> None:
        """Let go of the robot; also after `configure` failed half-way."""
        for driver in (getattr(self, "_arm", None), getattr(self, "_hand", None)):
            if driver is not None:
                driver.close()

    def _publish_to(self) -> None:
        self._joints_out = topics.publisher(self, topics.JOINT_STATES)
        self._pose_out = topics.publisher(self, topics.CURRENT_POSE)
        self._report_out = topics.publisher(self, topics.DIAGNOSTICS)
        self.create_service(topics.TRIGGER, hardware_topics.RECOVER.name, self._on_recover)
        self.create_service(topics.TRIGGER, hardware_topics.HOME.name, self._on_home)

    @property
    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _tick(self) -> None:
        """One state out; one target to the arm, if there is any."""
        began_ns = time.monotonic_ns()
        try:
            self._state = self._arm.read()
        except DfPolicyError as error:
            self._stop_for(str(error))
            return
        self._read_ms.add((time.monotonic_ns() - began_ns) * 1e-6)
        stamp_ns = self._stamp_ns(self._state)
        self._pace.tick(stamp_ns)
        self._publish(stamp_ns)
        if self._state.fault:
            self._stop_for(self._state.fault)
        elif self.active:
            self._obey(stamp_ns)

    def _stamp_ns(self, state: ArmState) -> int:
        """When the state was, by the clock of the graph."""
        if self.get_parameter("use_sim_time").value:
            return state.robot_ns
        return self._robot_clock.host_ns(state.robot_ns, self._now_ns)

    def _publish(self, stamp_ns: int) -> None:
        state, hand = self._state, self._hand.read()
        reading = JointReading(state.q_rad, state.dq_rad_s, hand.opening_m)
        self._joints_out.publish(convert.joint_message(stamp_ns, reading, self._spec))
        self._pose_out.publish(convert.pose_message(stamp_ns, state.tool))

    def _obey(self, stamp_ns: int) -> None:
        why = rivals(self, allowed=1)
        before, self._target = self._target, None
        try:
            cleared = self._drive.tick(stamp_ns, self._state, self._hand.read().opening_m, why)
        except DfPolicyError as error:
            self._stop_for(str(error))
            return
        if cleared is None:
            return
        self._hand.want(cleared.target.gripper_m)
        if before is not None:
            far_m = np.linalg.norm(self._state.tool.position_m - before.position_m)
            self._error_mm.add(1e3 * float(far_m))
        self._target = cleared.target.tool

    def _halt(self) -> None:
        """Nobody drives any more."""
        self._target = None
        try:
            self._drive.halt()
        except DfPolicyError as error:
            self._stop_for(str(error))

    def _stop_for(self, reason: str) -> None:
        """Latch a fault: from now on nobody is obeyed."""
        if not self._session.blocked:
            self.get_logger().error(f"stopped: {reason}; then call {hardware_topics.RECOVER.name}")
        self._session.block(reason)
        self._target = None
        self._drive.forget()

    def _on_recover(self, _request: Any, response: Any) -> Any:
        before = self._session.blocked
        try:
            self._state = self._arm.recover()
            self._hand.recover()
        except DfPolicyError as error:
            response.success, response.message = False, str(error)
            return response
        self._session.release()
        response.success = True
        response.message = f"recovered from: {before}" if before else "there was no fault"
        return response

    def _on_home(self, _request: Any, response: Any) -> Any:
        response.success = False
        if self._session.blocked or self._session.active or not self.active:
            response.message = (
                self._session.blocked
                or "expected an active node and no targets; stop their sender"
            )
            return response
        try:
            self._arm.home(START_Q_RAD)
        except DfPolicyError as error:
            response.message = str(error)
            return response
        response.success, response.message = True, "going to the start posture"
        return response

    def _report(self) -> None:
        hand, session = self._hand.read(), self._session
        values = {
            "mode": self._state.mode,
            "stopped": session.blocked or "no",
            "state_rate_hz": round(self._pace.rate_hz, 2),
            "read_ms_p99": round(self._read_ms.percentile(99), 2),
            "commands_received": round(self._state.received, 3),
            "restarts": self._state.restarts,
            "tracking_error_mm_p50": round(self._error_mm.percentile(50), 1),
            "tracking_error_mm_p99": round(self._error_mm.percentile(99), 1),
            "gripper_m": round(hand.opening_m, 4),
            "gripper_holds": hand.holds,
            "bad_targets": self._targets.bad,
            **{f"gate_held_ticks {kind}": n for kind, n in session.gate.held.items()},
        }
        state = health(
            error=session.blocked or hand.fault or rivals(self, allowed=1), warning=session.reason
        )
        message = convert.diagnostics_message(self._now_ns, self.full_name, state, values)
        self._report_out.publish(message)


def main(args: list[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run_node("franka_node", FrankaNode, args)


if __name__ == "__main__":
    sys.exit(main())
