"""Drives a robot with a policy: looks, plans in a thread of its own, sends targets by the clock.

Run it with `python -m df_policy.ros_nodes.policy_node --ros-args -p checkpoint:=fruit_swap`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from df_policy.align import LateStreamError, RobotStreams
from df_policy.errors import DfPolicyError
from df_policy.plan import Planner
from df_policy.ros_nodes import missing_ros
from df_policy.ros_nodes.monitor import Pace
from df_policy.ros_nodes.params import declare, parameter
from df_policy.ros_nodes.planning import PlanningThread
from df_policy.ros_nodes.session import WAITING, PolicySession, Timing

try:
    from rclpy.callback_groups import MutuallyExclusiveCallbackGroup
    from rclpy.clock import Clock
    from rclpy.clock_type import ClockType
    from rclpy.node import Node

    from df_policy.ros_nodes import convert, topics
    from df_policy.ros_nodes.intake import RobotIntake
    from df_policy.ros_nodes.running import run_node
except ImportError as error:
    raise SystemExit(missing_ros(error)) from None

SLOWEST_SHARE = 0.98
"""Of the asked rate of targets; below it the node warns."""


@dataclass(frozen=True)
class PolicyNodeConfig:
    """Parameters of the policy node."""

    checkpoint: str = parameter("fruit_swap", "a shipped checkpoint's name, or a folder")
    device: str = parameter("cpu", "where the network runs: `cpu` or `cuda`")
    seed: int = parameter(0, "seed of the first start's plans; each start adds one")
    rate_hz: float = parameter(50.0, "targets per second, at least two per action")
    max_image_age_s: float = parameter(0.15, "hold when a camera's newest image is older")
    max_state_age_s: float = parameter(0.1, "hold when joints or tool pose are older")
    gather_s: float = parameter(0.06, "how long a look waits for samples that are under way")
    best_effort_images: bool = parameter(False, "for camera drivers that are not reliable")

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        if not 1.0 <= self.rate_hz <= 1000.0:
            raise ValueError(f"expected rate_hz from 1 to 1000, got {self.rate_hz}")
        for name in ("max_image_age_s", "max_state_age_s", "gather_s"):
            if not getattr(self, name) > 0.0:
                raise ValueError(f"expected {name} above 0, got {getattr(self, name)}")


class PolicyNode(Node):
    """From `policy/start` to `policy/stop` it sends targets; else it is silent.

    Args:
        load: makes the planner, which the planning thread alone will use.
        overrides: rclpy's arguments, for tests.

    Raises:
        DfPolicyError: for parameters or a checkpoint that cannot be used.
    """

    def __init__(self, load: Callable[[PolicyNodeConfig], Planner], **overrides: Any) -> None:
        super().__init__(
            "policy_node", automatically_declare_parameters_from_overrides=True, **overrides
        )
        self.config = declare(self, PolicyNodeConfig)
        planner = load(self.config)
        self._spec = planner.spec
        if self.config.rate_hz < 2.0 * self._spec.action_rate_hz:
            raise DfPolicyError(
                f"expected rate_hz of at least {2.0 * self._spec.action_rate_hz:g}, two targets "
                f"per action, got {self.config.rate_hz:g}: slower, the policy would not be told "
                "what the robot did"
            )
        self._timing = Timing(
            tick_ns=round(1e9 / self.config.rate_hz),
            every=planner.every,
            commit=planner.commit,
            gather_ns=round(self.config.gather_s * 1e9),
        )
        self._planning = PlanningThread(planner)
        self._streams = RobotStreams(
            self._spec.cameras, self.config.max_image_age_s, self.config.max_state_age_s
        )
        self._session: PolicySession | None = None
        self._starts = 0
        self._pace, self._late_ticks = Pace(), 0
        self._reason = ""
        self._pose_out = topics.publisher(self, topics.TARGET_POSE)
        self._gripper_out = topics.publisher(self, topics.TARGET_GRIPPER)
        self._plan_out = topics.publisher(self, topics.PLAN)
        self._report_out = topics.publisher(self, topics.DIAGNOSTICS)
        self._intake = RobotIntake(
            self,
            self._spec,
            self._streams,
            self._look,
            best_effort_images=self.config.best_effort_images,
        )
        self.create_service(topics.TRIGGER, topics.START.name, self._on_start)
        self.create_service(topics.TRIGGER, topics.STOP.name, self._on_stop)
        self._timer = self.create_timer(
            1.0 / self.config.rate_hz, self._tick, MutuallyExclusiveCallbackGroup()
        )
        # Reports go on while a simulated clock stands still.
        wall = Clock(clock_type=ClockType.STEADY_TIME)
        self._report_timer = self.create_timer(1.0, self._report, clock=wall)
        self._planning.start()
        self.get_logger().info(f"ready to drive {self._spec.name}: call {topics.START.name}")

    def close(self) -> None:
        """End the planning thread."""
        self._timer.cancel()
        self._session = None
        if not self._planning.close():
            self.get_logger().warning("the planner did not end within 5 s")

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _look(self) -> None:
        if self._session is not None:
            self._session.look(self._now_ns())

    def _tick(self) -> None:
        if self._session is None:
            return
        now_ns = self._now_ns()
        self._late_ticks += self._pace.tick(now_ns) > 1.5 * self._timing.tick_ns
        self._session.look(now_ns)
        target, plan, reason = self._session.target(now_ns)
        # In this order: the gripper's target waits at the receiver for the pose it belongs to.
        self._gripper_out.publish(convert.gripper_message(target.gripper_m))
        self._pose_out.publish(convert.pose_message(now_ns, target.tool))
        if plan is not None:
            self._plan_out.publish(convert.plan_message(plan))
        self._reason = reason
        if reason and reason != WAITING:
            self.get_logger().warning(f"holding: {reason}", throttle_duration_sec=2.0)

    def _on_start(self, _request: Any, response: Any) -> Any:
        now_ns = self._now_ns()
        try:
            self._intake.check(now_ns)
            seed = self.config.seed + self._starts
            self._session = PolicySession(
                self._starts, seed, self._spec, self._timing, self._streams, self._planning, now_ns
            )
        except DfPolicyError as error:
            heals = isinstance(error, LateStreamError)
            kind = topics.NOT_YET if heals else topics.REFUSED
            response.success, response.message = False, f"{kind}{error}"
            self.get_logger().warning(response.message, throttle_duration_sec=2.0)
            return response
        self._starts += 1
        self._pace, self._late_ticks, self._reason = Pace(), 0, ""
        response.success, response.message = True, f"started with seed {seed}"
        return response

    def _on_stop(self, _request: Any, response: Any) -> Any:
        response.message = "stopped" if self._session is not None else "was not started"
        response.success = True
        self._session = None
        self._reason = ""
        return response

    def _report(self) -> None:
        now_ns = self._now_ns()
        values: dict[str, Any] = {
            "driving": self._session is not None,
            "control_rate_hz": round(self._pace.rate_hz, 2),
            "worst_gap_ms": round(self._pace.worst_gap_ns * 1e-6, 1),
            "late_ticks": self._late_ticks,
            "looks_waiting": self._planning.waiting,
        }
        for stream in self._streams.all():
            newest = stream.newest_ns
            age_s = "never" if newest is None else round((now_ns - newest) * 1e-9, 3)
            values[f"age_s {stream.name}"] = age_s
            if self._intake.bad[stream.name]:
                values[f"bad_messages {stream.name}"] = self._intake.bad[stream.name]
        if self._session is not None:
            values |= self._session.report()
            self._warn_of_slow_control()
        self._report_out.publish(
            convert.diagnostics_message(now_ns, "policy_node", self._reason, values)
        )

    def _warn_of_slow_control(self) -> None:
        if self._pace.full and self._pace.rate_hz < SLOWEST_SHARE * self.config.rate_hz:
            self.get_logger().warning(
                f"expected {self.config.rate_hz:.0f} targets per second, got "
                f"{self._pace.rate_hz:.1f}: stop what else uses this machine, or lower rate_hz",
                throttle_duration_sec=5.0,
            )


def load_policy(config: PolicyNodeConfig) -> Planner:
    """The policy behind a checkpoint, limited to one core: the control loop needs another."""
    import torch

    from df_policy.policy import Policy

    torch.set_num_threads(1)
    policy = Policy.load(config.checkpoint, device=config.device)
    policy.warm_up()
    return policy


def main(args: list[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run_node("policy_node", lambda: PolicyNode(load_policy), args)


if __name__ == "__main__":
    sys.exit(main())
