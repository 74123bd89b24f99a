"""The protocol simulator with a task's scene: an arm that only libfranka's protocol can move.

It publishes the clock and the cameras, and resets and judges; joints and poses come from
`franka_node`, which reaches this robot as it would a real one. Run it with
`python -m df_policy.ros_nodes.franka_sim_node --ros-args -p address:=127.0.0.1`.
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from df_policy.errors import DfPolicyError
from df_policy.ros_nodes import missing_ros
from df_policy.ros_nodes.health import health
from df_policy.ros_nodes.monitor import TOO_BUSY, Spread
from df_policy.ros_nodes.params import autostart, parameter

try:
    from rclpy.clock import Clock
    from rclpy.clock_type import ClockType

    from df_policy.ros_nodes import convert, hardware_topics, topics
    from df_policy.ros_nodes.managed import ManagedNode
    from df_policy.ros_nodes.running import run_node
except ImportError as error:
    raise SystemExit(missing_ros(error)) from None


@dataclass(frozen=True)
class FrankaSimNodeConfig:
    """Parameters of the protocol simulator."""

    address: str = parameter("127.0.0.1", "loopback address at which the robot is reached")
    task: str = parameter("fruit_swap", "what stands on the table; picks the verdict")
    seed: int = parameter(0, "seed of the first episode; each reset adds one")
    real_time_factor: float = parameter(1.0, "simulated seconds per second, if the machine can")
    autostart: bool = autostart()

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        if not self.address.startswith("127."):
            raise ValueError(
                f"expected an address of this machine alone, 127.x.y.z, got {self.address!r}: "
                "whoever reaches a simulated robot can move it"
            )
        if not 0.0 < self.real_time_factor <= 2.0:
            raise ValueError(
                f"expected real_time_factor above 0 and up to 2, got {self.real_time_factor}"
            )


class FrankaSimNode(ManagedNode[FrankaSimNodeConfig]):
    """Serves the protocol in a thread; shows what cameras see, resets and judges.

    Args:
        overrides: rclpy's arguments, for tests.
    """

    def __init__(self, **overrides: Any) -> None:
        super().__init__("franka_sim_node", FrankaSimNodeConfig, **overrides)
        self.robot: Any = None
        if self.config.autostart:
            self.start()

    def configure(self) -> None:
        """Build the world and open the robot's ports."""
        from df_policy.sim.protocol_robot import ProtocolRobot
        from df_policy.sim.tasks import find

        self._woken = self.create_guard_condition(self._show)
        config = self.config
        self.robot = ProtocolRobot(
            find(config.task), config.address, self._woken.trigger, config.real_time_factor
        )
        self._spec, model = self.robot.world.spec, self.robot.world.model
        self._fovy_deg = {name: float(model.camera(name).fovy[0]) for name in self._spec.cameras}
        self._episodes, self._seed, self._pressed = 0, config.seed, False
        self._render_ms = Spread()
        self._clock_out = topics.publisher(self, topics.CLOCK)
        self._report_out = topics.publisher(self, topics.DIAGNOSTICS)
        self._truth_out = topics.publisher(self, topics.TRUTH)
        self._images_out = {
            camera: (
                topics.publisher(self, topics.IMAGES, camera),
                topics.publisher(self, topics.CAMERA_INFO, camera),
            )
            for camera in self._spec.cameras
        }
        offered: dict[str, Callable[[], str]] = {
            topics.RESET.name: self._reset,
            topics.JUDGE.name: self._judge,
            hardware_topics.REFLEX.name: self._reflex,
            hardware_topics.USER_STOP.name: self._user_stop,
        }
        for name, work in offered.items():
            self.create_service(topics.TRIGGER, name, _answer(work))

    def activate(self) -> None:
        """Let time pass."""
        self.robot.start()
        wall = Clock(clock_type=ClockType.STEADY_TIME)
        self._steady, self._last = wall, (wall.now().nanoseconds, self.robot.time_ns)
        self._report_timer = self.steady_ticker(1.0, self._report)
        self.get_logger().info(f"a robot answers at {self.config.address}")

    def deactivate(self) -> None:
        """End the robot: its protocol knows no pause."""
        self._end_robot()

    def cleanup(self) -> None:
        """Free the ports and the graphics."""
        self._end_robot()

    def _end_robot(self) -> None:
        if self.robot is not None:
            self.robot.close()
            self.robot = None
            self.destroy_guard_condition(self._woken)

    def _show(self) -> None:
        """Clock and images of what has happened since the last time."""
        if self.robot is None:
            return
        for moment in self.robot.moments():
            self._clock_out.publish(convert.clock_message(moment.time_ns))
            truth = convert.truth_message(moment.time_ns, self._seed, moment.qpos)
            self._truth_out.publish(truth)
            if moment.time_ns % self._spec.period_ns == 0:
                self._publish_images(moment)

    def _publish_images(self, moment: Any) -> None:
        began_ns = self._steady.now().nanoseconds
        for camera, image in self.robot.render(moment).items():
            image_out, info_out = self._images_out[camera]
            image_out.publish(convert.image_message(moment.time_ns, image, camera))
            size, fovy_deg = (image.shape[0], image.shape[1]), self._fovy_deg[camera]
            info = convert.camera_info_message(moment.time_ns, size, fovy_deg, camera)
            info_out.publish(info)
        self._render_ms.add((self._steady.now().nanoseconds - began_ns) * 1e-6)

    def _reset(self) -> str:
        self._seed = self.config.seed + self._episodes
        try:
            stamp_ns = self.robot.reset(self._seed)
        except DfPolicyError as error:  # it passes: an arm that nobody drives stands soon
            raise DfPolicyError(f"{topics.NOT_YET}{error}") from None
        self._episodes += 1
        return json.dumps({"seed": self._seed, "stamp_ns": stamp_ns})

    def _judge(self) -> str:
        verdict, stamp_ns = self.robot.judge(), self.robot.time_ns
        return json.dumps(
            {
                "success": bool(verdict.success),
                "reason": verdict.reason,
                "seed": self._seed,
                "stamp_ns": stamp_ns,
            }
        )

    def _reflex(self) -> str:
        self.robot.reflex()
        return "the robot is in a reflex"

    def _user_stop(self) -> str:
        self._pressed = not self._pressed
        self.robot.user_stop(self._pressed)
        return "the user stop is pressed" if self._pressed else "the user stop is released"

    def _report(self) -> None:
        now = (self._steady.now().nanoseconds, self.robot.time_ns)
        factor = (now[1] - self._last[1]) / max(1, now[0] - self._last[0])
        self._last = now
        values = {
            "real_time_factor": round(factor, 3),
            "slips": self.robot.slips,
            "render_ms_p99": round(self._render_ms.percentile(99), 2),
        }
        slow = factor < 0.9 * self.config.real_time_factor
        state = health(warning=TOO_BUSY if slow else "")
        message = convert.diagnostics_message(now[1], self.full_name, state, values)
        self._report_out.publish(message)


def _answer(work: Callable[[], str]) -> Callable[[Any, Any], Any]:
    """A service from what it does."""

    def answer(_request: Any, response: Any) -> Any:
        try:
            response.success, response.message = True, work()
        except DfPolicyError as error:
            response.success, response.message = False, str(error)
        return response

    return answer


def main(args: list[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run_node("franka_sim_node", FrankaSimNode, args)


if __name__ == "__main__":
    sys.exit(main())
