"""Records what a robot says and is told, from its topics, whoever drives it.

Run it with `python -m df_policy.ros_nodes.recorder_node --ros-args -p out:=recordings/a.zarr`.
"""

from __future__ import annotations

import json
import sys
from contextlib import ExitStack
from functools import partial
from typing import Any

from df_policy.align import RobotStreams, Stream
from df_policy.errors import DfPolicyError
from df_policy.frames import JOINTS, TOOL, Action, camera_stream
from df_policy.geometry import Pose
from df_policy.ros_nodes import missing_ros
from df_policy.ros_nodes.described_robot import robot_of
from df_policy.ros_nodes.recorder_config import RecorderNodeConfig
from df_policy.teleop.reading import Press, Wish

try:
    from df_policy.ros_nodes import topics
    from df_policy.ros_nodes.intake import RobotIntake
    from df_policy.ros_nodes.managed import ManagedNode
    from df_policy.ros_nodes.running import run_node
    from df_policy.ros_nodes.target_intake import TargetIntake
except ImportError as error:
    raise SystemExit(missing_ros(error)) from None

_LOOK_S = 0.02
_MOST_WAITING = 20
"""Messages of a topic: a recorder that was held up for a while loses none."""
_LONG_S = 3600.0
"""A robot holds its last target, however long ago it was told."""
_COMMANDED = (
    "somebody sends target_pose while the arm is led by hand: stop the sender; keep what was "
    "recorded before, or drop it"
)


class RecorderNode(ManagedNode[RecorderNodeConfig]):
    """Hears all topics of a robot, and writes episodes as its services say.

    Args:
        overrides: rclpy's arguments, for tests.
    """

    def __init__(self, **overrides: Any) -> None:
        super().__init__("recorder_node", RecorderNodeConfig, **overrides)
        self._resources = ExitStack()
        if self.config.autostart:
            self.start()

    def configure(self) -> None:
        """Open the recording, and listen.

        Raises:
            DfPolicyError: if the recording or the robot's description cannot be used.
        """
        from df_policy import __version__
        from df_policy.data.writer import EpisodeWriter
        from df_policy.teleop.actions import Commanded, Guided
        from df_policy.teleop.background import BackgroundSink
        from df_policy.teleop.listening import ListeningRecorder

        config = self.config
        if not config.out:
            raise DfPolicyError("expected the parameter out, got none: -p out:=recordings/a.zarr")
        self.spec = spec = robot_of(config.robot, config.task)
        about = (config.out, spec, config.task, config.operator, __version__)
        writer = self._resources.enter_context(EpisodeWriter.open(*about))
        self.sink = BackgroundSink(writer, writer.episodes)
        self._resources.callback(self._finish)
        state_s = 1.0 / (config.state_rate_hz or spec.control_rate_hz)
        image_s = 1.0 / (config.camera_rate_hz or spec.action_rate_hz)
        periods = dict.fromkeys(map(camera_stream, spec.cameras), image_s)
        periods |= {JOINTS: state_s, TOOL: state_s}
        limits = (config.max_image_age_s, config.max_state_age_s)
        streams = RobotStreams(spec.cameras, *limits, periods)
        self._targets: Stream[Action] = Stream("target_pose", _LONG_S, 256)
        self._gripper_m: float | None = None
        actions = Guided(streams) if config.guided else Commanded(self._targets)
        gather_ns = round(1e9 * config.gather_s)
        self.recorder = ListeningRecorder(spec, streams, actions, self.sink, gather_ns)
        self.intake = RobotIntake(
            self,
            spec,
            streams,
            self._advance,
            best_effort_images=config.best_effort_images,
            depth=_MOST_WAITING,
        )
        self._heard = TargetIntake(self, self._on_pose, self._on_gripper, _MOST_WAITING)
        topics.subscribe(self, topics.NOTE, self._on_note)
        topics.subscribe(self, topics.SEED, self._on_seed)

    def activate(self) -> None:
        """Take wishes."""
        for press, service in topics.RECORDER.items():
            answer = partial(self._answer, press)
            self.create_service(topics.TRIGGER, service.name, answer)
        self.steady_ticker(_LOOK_S, self._advance)
        self.get_logger().info(
            f"recording {self.spec.name} into {self.config.out}: {self.sink.kept} episodes there"
        )

    def deactivate(self) -> None:
        """Drop the open episode."""
        self.sink.drop()

    def cleanup(self) -> None:
        """Wait until all is written.

        Raises:
            DfPolicyError: if it cannot be.
        """
        self._resources.close()

    def obey(self, wish: Wish) -> str:
        """Do what a person wants; says what was done.

        Raises:
            DfPolicyError: if it is not the time for it, or the store refuses.
        """
        return self.recorder.obey(wish, self._now_ns)

    @property
    def complete(self) -> bool:
        """Whether all episodes that were asked for are on the disk."""
        return self.active and 0 < self.config.episodes <= self.sink.kept

    @property
    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _advance(self) -> None:
        before = self.recorder.status.problem
        self.recorder.advance(self._now_ns)
        problem = self.recorder.status.problem
        if problem and problem != before:
            self.get_logger().error(problem)

    def _answer(self, press: Press, _request: Any, response: Any) -> Any:
        try:
            said, response.success = self.obey(Wish(press)), True
        except DfPolicyError as error:
            said, response.success = str(error), False
        status = self.recorder.status
        held = {"stage": status.stage.value, "kept": self.sink.kept, "asked": self.sink.asked}
        response.message = json.dumps({"said": said, **held})
        return response

    def _on_gripper(self, opening_m: float) -> None:
        self._gripper_m = opening_m

    def _on_pose(self, stamp_ns: int, pose: Pose) -> None:
        if self.config.guided:
            self.recorder.interrupt(_COMMANDED)
        elif self._gripper_m is not None:
            self._targets.add(stamp_ns, Action(pose, self._gripper_m))

    def _on_note(self, message: Any) -> None:
        self.recorder.obey(Wish(Press.NOTE, str(message.data)), self._now_ns)

    def _on_seed(self, message: Any) -> None:
        self.recorder.starts_from(int(message.data))

    def _finish(self) -> None:
        self.sink.drop()
        self.sink.close()


def main(args: list[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run_node("recorder_node", RecorderNode, args, until=lambda node: node.complete)


if __name__ == "__main__":
    sys.exit(main())
