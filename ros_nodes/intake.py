"""What a robot says, made into streams; bad messages are counted and skipped."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.node import Node

from df_policy.align import LateStreamError, RobotStreams, Stream
from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec
from df_policy.ros_nodes import convert, topics


class RobotIntake:
    """Subscribes to all that an observation needs.

    Args:
        node: who listens.
        spec: which joints and cameras to expect.
        streams: are filled.
        on_sample: called after each sample.
        best_effort_images: see `topics.subscribe`.
    """

    def __init__(
        self,
        node: Node,
        spec: RobotSpec,
        streams: RobotStreams,
        on_sample: Callable[[], None],
        *,
        best_effort_images: bool = False,
    ) -> None:
        self._logger = node.get_logger()
        self._on_sample = on_sample
        self._streams = streams
        self._problems: dict[str, str] = {}
        self.bad: Counter[str] = Counter()
        """Bad messages by stream."""
        joints = partial(convert.joints_from, spec=spec)
        topics.subscribe(node, topics.JOINT_STATES, self._into(streams.joints, joints))
        topics.subscribe(node, topics.CURRENT_POSE, self._into(streams.tool, convert.pose_from))
        for camera, size in spec.cameras.items():
            topics.subscribe(
                node,
                topics.IMAGES,
                self._into(streams.images[camera], partial(convert.image_from, size=size)),
                camera=camera,
                best_effort=best_effort_images,
            )

    def check(self, now_ns: int) -> None:
        """Nothing, if every stream is fresh and fits the schema.

        Raises:
            DfPolicyError: naming the stream that is late, and what its last bad message was.
        """
        try:
            self._streams.check(now_ns)
        except LateStreamError as late:
            problem = self._problems.get(late.stream)
            raise DfPolicyError(f"{late}; {problem}" if problem else str(late)) from late

    def _into(
        self, stream: Stream[Any], convert_message: Callable[[Any], tuple[int, Any]]
    ) -> Callable[[Any], None]:
        def receive(message: Any) -> None:
            try:
                stamp_ns, value = convert_message(message)
            except convert.BadMessageError as error:
                self.bad[stream.name] += 1
                self._problems[stream.name] = str(error)
                text = f"{stream.name}: message skipped: {error}"
                self._logger.warning(text, throttle_duration_sec=2.0)
                return
            self._problems.pop(stream.name, None)
            stream.add(stamp_ns, value)
            self._on_sample()

        return receive
