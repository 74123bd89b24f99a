"""Drives a simulated robot by the script that knows where the fruits are, as a policy would.

It stands in for `policy_node`, with the same services. Run it with
`python -m df_policy.ros_nodes.scripted_node --ros-args -p task:=fruit_swap`.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from df_policy.errors import DfPolicyError
from df_policy.gate import Gate, Measured
from df_policy.ros_nodes import missing_ros
from df_policy.ros_nodes.health import health
from df_policy.ros_nodes.params import autostart, parameter

try:
    from df_policy.ros_nodes import convert, topics
    from df_policy.ros_nodes.commander import Commander
    from df_policy.ros_nodes.managed import ManagedNode
    from df_policy.ros_nodes.running import run_node
except ImportError as error:
    raise SystemExit(missing_ros(error)) from None

if TYPE_CHECKING:
    from df_policy.sim.mirror import Script


@dataclass(frozen=True)
class ScriptedNodeConfig:
    """Parameters of the node that drives by a script."""

    task: str = parameter("fruit_swap", "what is to be done; what is simulated")
    max_state_age_s: float = parameter(0.1, "hold while what is known of the robot is older")
    autostart: bool = autostart()

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        if self.max_state_age_s <= 0.0:
            raise ValueError(f"expected max_state_age_s above 0, got {self.max_state_age_s}")


class ScriptedNode(ManagedNode[ScriptedNodeConfig]):
    """Tells the robot a target whenever the simulation says where everything is.

    Args:
        overrides: rclpy's arguments, for tests.
    """

    def __init__(self, **overrides: Any) -> None:
        super().__init__("scripted_node", ScriptedNodeConfig, **overrides)
        if self.config.autostart:
            self.start()

    def configure(self) -> None:
        """Build the mirror of the simulation, and listen."""
        from df_policy.sim.mirror import Mirror
        from df_policy.sim.tasks import find

        self._mirror = Mirror(find(self.config.task))
        self._script: Script | None = None
        self._seed: int | None = None
        self._reason = ""
        tick_s = 1.0 / self._mirror.spec.control_rate_hz
        gate = Gate(self._mirror.spec, tick_s, self.config.max_state_age_s)
        self._commands = Commander(self, gate, round(1e9 * tick_s))
        self._report_out = topics.publisher(self, topics.DIAGNOSTICS)
        topics.subscribe(self, topics.TRUTH, self._on_truth)
        self.create_service(topics.TRIGGER, topics.START.name, self._on_start)
        self.create_service(topics.TRIGGER, topics.STOP.name, self._on_stop)

    def activate(self) -> None:
        """Appear on the command topics."""
        self._commands.open()
        self._report_timer = self.steady_ticker(1.0, self._report)
        self.get_logger().info(f"ready to do {self.config.task}: call {topics.START.name}")

    def deactivate(self) -> None:
        """Come to a stop, and leave the command topics."""
        self._script = None
        self._commands.close()

    def cleanup(self) -> None:
        """Let go of the mirror."""
        self._mirror.close()

    def _on_truth(self, message: Any) -> None:
        try:
            stamp_ns, seed, positions = convert.truth_from(message)
            self._mirror.follow(stamp_ns, positions)
        except DfPolicyError as error:
            self.get_logger().error(str(error), throttle_duration_sec=2.0)
            return
        if self._script is not None and seed != self._seed:
            self.get_logger().warning("the simulation was reset: call policy/start again")
            self._script = None
        self._seed = seed
        if not self.active:
            return
        if self._script is None:
            self._commands.settle(stamp_ns)
            return
        seen = self._script.seen
        measured = Measured(stamp_ns, seen.tool, seen.q_rad, seen.dq_rad_s)
        cleared = self._commands.send(stamp_ns, self._script.next(), measured)
        self._script.sent(cleared.target)
        if cleared.reason and cleared.reason != self._reason:
            self.get_logger().warning(f"holding: {cleared.reason}", throttle_duration_sec=2.0)
        self._reason = cleared.reason
        if self._commands.stopped:
            self._script = None

    def _on_start(self, _request: Any, response: Any) -> Any:
        from df_policy.sim.mirror import Script

        if not self.active or self._seed is None:
            response.success = False
            response.message = (
                f"{topics.NOT_YET}expected {topics.TRUTH.name} of a simulation, got none yet"
            )
            return response
        try:
            snapshot, now_ns = self._mirror.snapshot(), self._mirror.time_ns
            self._mirror.lay_out(self._seed)
            self._mirror.follow(now_ns, snapshot)
            self._commands.begin(self._mirror.observe(cameras=False).hold(), now_ns)
            self._script = Script(self._mirror, self._seed)
        except DfPolicyError as error:
            response.success, response.message = False, f"{topics.REFUSED}{error}"
            return response
        response.success, response.message = True, f"started with seed {self._seed}"
        return response

    def _on_stop(self, _request: Any, response: Any) -> Any:
        response.message = "stopped" if self._script is not None else "was not started"
        response.success = True
        self._script = None
        return response

    def _report(self) -> None:
        values = {"driving": self._script is not None, **self._commands.report()}
        state = health(error=self._commands.stopped, warning=self._reason)
        now_ns = self.get_clock().now().nanoseconds
        message = convert.diagnostics_message(now_ns, self.full_name, state, values)
        self._report_out.publish(message)


def main(args: list[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run_node("scripted_node", ScriptedNode, args)


if __name__ == "__main__":
    sys.exit(main())
