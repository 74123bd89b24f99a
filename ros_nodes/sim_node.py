"""The simulated robot behind the topics of a real one: time runs by the wall clock.

Run it with `python -m df_policy.ros_nodes.sim_node --ros-args -p seed:=0`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from df_policy.align import JointReading
from df_policy.errors import DfPolicyError
from df_policy.ros_nodes import missing_ros
from df_policy.ros_nodes.film_log import FilmLog
from df_policy.ros_nodes.graph import FASTEST
from df_policy.ros_nodes.monitor import Pace, Spread
from df_policy.ros_nodes.params import declare, parameter
from df_policy.ros_nodes.simulated_world import SimulatedWorld, TargetGate

try:
    from rclpy.clock import Clock
    from rclpy.clock_type import ClockType
    from rclpy.node import Node

    from df_policy.ros_nodes import convert, topics
    from df_policy.ros_nodes.running import run_node
except ImportError as error:
    raise SystemExit(missing_ros(error)) from None


@dataclass(frozen=True)
class SimNodeConfig:
    """Parameters of the simulation node."""

    task: str = parameter("fruit_swap", "what is to be done; picks the scene and the verdict")
    seed: int = parameter(0, "seed of the first episode; each reset adds one")
    real_time_factor: float = parameter(1.0, "simulated seconds per second")
    record_path: str = parameter("", "an .npz file for making a film later")
    viewer: bool = parameter(False, "show MuJoCo's window; needs a display")

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        if not 0.0 < self.real_time_factor <= FASTEST:
            raise ValueError(
                f"expected real_time_factor above 0 and up to {FASTEST:g}, "
                f"got {self.real_time_factor}"
            )


class SimNode(Node):
    """Advances a world, publishes what its robot senses, and obeys the newest target.

    A tick that comes late makes the simulated clock slip; ticks are never caught up in a burst.

    Args:
        make_world: from a task's name, a world, which is closed with the node, and the vertical
            fields of view of its cameras, as far as known.
        overrides: rclpy's arguments, for tests.
    """

    def __init__(
        self,
        make_world: Callable[[str], tuple[SimulatedWorld, Mapping[str, float]]],
        **overrides: Any,
    ) -> None:
        super().__init__(
            "sim_node", automatically_declare_parameters_from_overrides=True, **overrides
        )
        self.config = declare(self, SimNodeConfig)
        world, self._fovy_deg = make_world(self.config.task)
        self._world, self._spec = world, world.spec
        self._period_s = 1.0 / (self._spec.control_rate_hz * self.config.real_time_factor)
        self._log = FilmLog(Path(self.config.record_path)) if self.config.record_path else None
        self._episodes = 0
        self._seed = self.config.seed
        self._bad_targets = 0
        self._reset_ns = 0
        self._late_ticks = 0
        self._pace, self._work_ms = Pace(), Spread()
        self._gate = TargetGate(self._spec, world.home)
        self._viewer = _open_viewer(world) if self.config.viewer else None
        self._publish_to()
        self._listen_to()
        self._reset_world()
        wall = Clock(clock_type=ClockType.STEADY_TIME)
        self._timer = self.create_timer(self._period_s, self._tick, clock=wall)
        self._report_timer = self.create_timer(1.0, self._report, clock=wall)
        self.get_logger().info(
            f"simulating {self._spec.name} at {self.config.real_time_factor:g} x real time"
        )

    def close(self) -> None:
        """Stop the clock, free the graphics, write the film's moments.

        Raises:
            DfPolicyError: if they cannot be written.
        """
        self._timer.cancel()
        if self._viewer is not None:
            self._viewer.close()
        self._world.close()
        if self._log is not None:
            self._log.write()

    def _publish_to(self) -> None:
        self._clock_out = topics.publisher(self, topics.CLOCK)
        self._joints_out = topics.publisher(self, topics.JOINT_STATES)
        self._pose_out = topics.publisher(self, topics.CURRENT_POSE)
        self._report_out = topics.publisher(self, topics.DIAGNOSTICS)
        self._images_out = {
            camera: (
                topics.publisher(self, topics.IMAGES, camera),
                topics.publisher(self, topics.CAMERA_INFO, camera),
            )
            for camera in self._spec.cameras
        }

    def _listen_to(self) -> None:
        # In the order of sending, which the executor keeps if both have come.
        topics.subscribe(self, topics.TARGET_GRIPPER, self._on_target_gripper)
        topics.subscribe(self, topics.TARGET_POSE, self._on_target_pose)
        if self._log is not None:
            topics.subscribe(self, topics.PLAN, self._on_plan)
        self.create_service(topics.TRIGGER, topics.RESET.name, self._on_reset)
        self.create_service(topics.TRIGGER, topics.JUDGE.name, self._on_judge)

    def _tick(self) -> None:
        begin_ns = time.monotonic_ns()
        self._late_ticks += self._pace.tick(begin_ns) > 1.5e9 * self._period_s
        self._world.advance(self._gate.next())
        self._publish()
        self._work_ms.add((time.monotonic_ns() - begin_ns) * 1e-6)

    def _publish(self) -> None:
        """What is sensed now; images only at the times of actions, which they define."""
        stamp_ns = self._world.time_ns
        self._clock_out.publish(convert.clock_message(stamp_ns))
        with_images = (stamp_ns - self._reset_ns) % self._spec.period_ns == 0
        seen = self._world.observe(cameras=with_images)
        reading = JointReading(seen.q_rad, seen.dq_rad_s, seen.gripper_m)
        self._joints_out.publish(convert.joint_message(stamp_ns, reading, self._spec))
        self._pose_out.publish(convert.pose_message(stamp_ns, seen.tool))
        if not with_images:
            return
        if self._viewer is not None:
            self._viewer.sync()
        for camera, image in seen.images.items():
            image_out, info_out = self._images_out[camera]
            image_out.publish(convert.image_message(stamp_ns, image, camera))
            size, fovy_deg = (image.shape[0], image.shape[1]), self._fovy_deg.get(camera)
            info_out.publish(convert.camera_info_message(stamp_ns, size, fovy_deg, camera))
        if self._log is not None:
            self._log.add(stamp_ns, self._world.snapshot())

    def _on_target_pose(self, message: Any) -> None:
        try:
            self._gate.pose(*convert.pose_from(message))
        except convert.BadMessageError as error:
            self._refuse(topics.TARGET_POSE, error)

    def _on_target_gripper(self, message: Any) -> None:
        try:
            self._gate.gripper(convert.gripper_from(message))
        except convert.BadMessageError as error:
            self._refuse(topics.TARGET_GRIPPER, error)

    def _refuse(self, topic: topics.Topic, error: DfPolicyError) -> None:
        self._bad_targets += 1
        self.get_logger().warning(
            f"{topic.name}: target skipped: {error}", throttle_duration_sec=2.0
        )

    def _on_plan(self, message: Any) -> None:
        if self._log is not None:
            self._log.plan = convert.plan_points(message)

    def _reset_world(self) -> None:
        self._world.reset(self._seed)
        self._reset_ns = self._world.time_ns
        self._gate.reset(self._reset_ns, self._world.home)
        self._publish()

    def _on_reset(self, _request: Any, response: Any) -> Any:
        self._seed = self.config.seed + self._episodes
        self._episodes += 1
        if self._log is not None:
            self._log.begin(self._seed)
        self._reset_world()
        response.success = True
        response.message = json.dumps({"seed": self._seed, "stamp_ns": self._reset_ns})
        return response

    def _on_judge(self, _request: Any, response: Any) -> Any:
        verdict = self._world.judge()
        if self._log is not None:
            self._log.end(verdict)
        response.success = True
        response.message = json.dumps(
            {
                "success": bool(verdict.success),
                "reason": verdict.reason,
                "seed": self._seed,
                "stamp_ns": self._world.time_ns,
            }
        )
        return response

    def _report(self) -> None:
        values = {
            "real_time_factor": round(self._pace.rate_hz / self._spec.control_rate_hz, 3),
            "late_ticks": self._late_ticks,
            "bad_targets": self._bad_targets,
            "work_ms_p50": round(self._work_ms.percentile(50), 2),
            "work_ms_p99": round(self._work_ms.percentile(99), 2),
        }
        slow = values["real_time_factor"] < 0.9 * self.config.real_time_factor
        problem = "slower than asked: this machine is too busy" if slow else ""
        self._report_out.publish(
            convert.diagnostics_message(self._world.time_ns, "sim_node", problem, values)
        )


def _open_viewer(world: SimulatedWorld) -> Any:
    from df_policy.sim.viewer import open_viewer

    return open_viewer(world)


def main(args: list[str] | None = None) -> int:
    """Run the node; returns the exit code."""

    def world_of(task: str) -> tuple[SimulatedWorld, Mapping[str, float]]:
        from df_policy.sim.tasks import find
        from df_policy.sim.world import World

        world = World(find(task))
        cameras = world.spec.cameras
        return world, {name: float(world.model.camera(name).fovy[0]) for name in cameras}

    return run_node("sim_node", lambda: SimNode(world_of), args)


if __name__ == "__main__":
    sys.exit(main())
