"""The simulated robot behind the topics of a real one: time runs by the wall clock.

Run it with `python -m df_policy.ros_nodes.sim_node --ros-args -p seed:=0`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack
from pathlib import Path
from typing import Any

from df_policy.align import JointReading
from df_policy.ros_nodes import missing_ros
from df_policy.ros_nodes.film_log import FilmLog
from df_policy.ros_nodes.health import health
from df_policy.ros_nodes.monitor import TOO_BUSY, Pace, Spread
from df_policy.ros_nodes.sim_clock import SimClock
from df_policy.ros_nodes.sim_config import LIVE, SimNodeConfig
from df_policy.ros_nodes.simulated_world import NewestTarget, SimulatedWorld

try:
    from df_policy.ros_nodes import convert, topics
    from df_policy.ros_nodes.commander import rivals
    from df_policy.ros_nodes.managed import ManagedNode
    from df_policy.ros_nodes.running import run_node
    from df_policy.ros_nodes.target_intake import TargetIntake
except ImportError as error:
    raise SystemExit(missing_ros(error)) from None


class SimNode(ManagedNode[SimNodeConfig]):
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
        super().__init__("sim_node", SimNodeConfig, LIVE, **overrides)
        self._make_world = make_world
        self._resources = ExitStack()
        if self.config.autostart:
            self.start()

    def configure(self) -> None:
        """Build the world, and offer to reset and judge it."""
        world, self._fovy_deg = self._make_world(self.config.task)
        self._resources.callback(world.close)
        self._world, self._spec = world, world.spec
        self._log = FilmLog(Path(self.config.record_path)) if self.config.record_path else None
        if self._log is not None:
            self._resources.callback(self._log.write)
        self._episodes = 0
        self._seed = self.config.seed
        self._reset_ns = 0
        tick_ns = round(1e9 / self._spec.control_rate_hz)
        self._robot_clock = SimClock(tick_ns, wall=self.config.wall_clock)
        self._late_ticks = 0
        self._pace, self._work_ms = Pace(), Spread()
        self._newest = NewestTarget(self._spec, world.home)
        self._reason = ""
        self._viewer = _open_viewer(world) if self.config.viewer else None
        if self._viewer is not None:
            self._resources.callback(self._viewer.close)
        self._publish_to()
        self._listen_to()
        self._reset_world()

    def activate(self) -> None:
        """Let time pass."""
        self._timer = self.steady_ticker(self._period_s, self._tick)
        self._report_timer = self.steady_ticker(1.0, self._report)
        self.get_logger().info(
            f"simulating {self._spec.name} at {self.config.real_time_factor:g} x real time"
        )

    def cleanup(self) -> None:
        """Free the graphics, write the film's moments.

        Raises:
            DfPolicyError: if they cannot be written.
        """
        self._resources.close()

    @property
    def _period_s(self) -> float:
        return 1.0 / (self._spec.control_rate_hz * self.config.real_time_factor)

    def changed(self, names: set[str]) -> None:
        """Run as fast as asked from now on."""
        if "real_time_factor" in names and self.active:
            self._timer.timer_period_ns = round(1e9 * self._period_s)

    def _publish_to(self) -> None:
        wall = self.config.wall_clock
        self._clock_out = None if wall else topics.publisher(self, topics.CLOCK)
        self._joints_out = topics.publisher(self, topics.JOINT_STATES)
        self._pose_out = topics.publisher(self, topics.CURRENT_POSE)
        self._report_out = topics.publisher(self, topics.DIAGNOSTICS)
        self._truth_out = topics.publisher(self, topics.TRUTH)
        self._images_out = {
            camera: (
                topics.publisher(self, topics.IMAGES, camera),
                topics.publisher(self, topics.CAMERA_INFO, camera),
            )
            for camera in self._spec.cameras
        }

    def _listen_to(self) -> None:
        # In the order of sending, which the executor keeps if both have come.
        self._targets = TargetIntake(self, self._newest.pose, self._newest.gripper)
        if self._log is not None:
            topics.subscribe(self, topics.PLAN, self._on_plan)
        self.create_service(topics.TRIGGER, topics.RESET.name, self._on_reset)
        self.create_service(topics.TRIGGER, topics.JUDGE.name, self._on_judge)

    def _tick(self) -> None:
        begin_ns = time.monotonic_ns()
        self._late_ticks += self._pace.tick(begin_ns) > 1.5e9 * self._period_s
        for _ in range(self._robot_clock.due(self._world.time_ns)):
            self._step()
        self._work_ms.add((time.monotonic_ns() - begin_ns) * 1e-6)

    @property
    def _now_ns(self) -> int:
        """The robot's clock."""
        return self._robot_clock.stamp_ns(self._world.time_ns)

    def _step(self) -> None:
        cleared = self._newest.next(self._now_ns, rivals(self, allowed=1))
        if cleared.reason and cleared.reason != self._reason:
            self.get_logger().warning(f"holding: {cleared.reason}", throttle_duration_sec=2.0)
        self._reason = cleared.reason
        self._world.advance(cleared.target)
        self._publish()

    def _publish(self) -> None:
        """What is sensed now; images only at the times of actions, which they define."""
        stamp_ns = self._now_ns
        if self._clock_out is not None:
            self._clock_out.publish(convert.clock_message(stamp_ns))
        with_images = (self._world.time_ns - self._reset_ns) % self._spec.period_ns == 0
        seen = self._world.observe(cameras=with_images)
        reading = JointReading(seen.q_rad, seen.dq_rad_s, seen.gripper_m)
        self._joints_out.publish(convert.joint_message(stamp_ns, reading, self._spec))
        self._pose_out.publish(convert.pose_message(stamp_ns, seen.tool))
        truth = convert.truth_message(stamp_ns, self._seed, self._world.snapshot())
        self._truth_out.publish(truth)
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

    def _on_plan(self, message: Any) -> None:
        if self._log is not None:
            self._log.plan = convert.plan_points(message)

    def _reset_world(self) -> None:
        self._world.reset(self._seed)
        self._reset_ns = self._world.time_ns
        self._robot_clock.set(self._world.time_ns)
        self._newest.reset(self._now_ns, self._world.home)
        self._publish()

    def _on_reset(self, _request: Any, response: Any) -> Any:
        self._seed = self.config.seed + self._episodes
        self._episodes += 1
        if self._log is not None:
            self._log.begin(self._seed)
        self._reset_world()
        response.success = True
        response.message = json.dumps({"seed": self._seed, "stamp_ns": self._now_ns})
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
                "stamp_ns": self._now_ns,
            }
        )
        return response

    def _report(self) -> None:
        values = {
            "real_time_factor": round(self._pace.rate_hz / self._spec.control_rate_hz, 3),
            "late_ticks": self._late_ticks,
            "bad_targets": self._targets.bad,
            "work_ms_p50": round(self._work_ms.percentile(50), 2),
            "work_ms_p99": round(self._work_ms.percentile(99), 2),
        }
        slow = values["real_time_factor"] < 0.9 * self.config.real_time_factor
        state = health(
            error=rivals(self, allowed=1),
            warning=self._reason or (TOO_BUSY if slow else ""),
        )
        message = convert.diagnostics_message(self._now_ns, self.full_name, state, values)
        self._report_out.publish(message)


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
