"""What a robot says, made into streams; bad messages are counted and skipped."""

from __future__ import annotations

import math
import time
from collections import Counter
from collections.abc import Callable
from functools import partial
from typing import Any

from rclpy.node import Node

from df_policy.align import LateStreamError, RobotStreams, Stream
from df_policy.clock import steady_clock
from df_policy.errors import DfPolicyError
from df_policy.gate import Measured
from df_policy.robot import RobotSpec
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.injection import Injection

AHEAD_NS = 1_000_000_000
"""How far a stamp may lie in the future: clocks of two machines are never quite the same."""
SILENT_S = 2.0
"""What was heard and is not for so long, by a clock that nobody sets, has gone."""


class RobotIntake:
    """Subscribes to all that an observation needs.

    Args:
        node: who listens.
        spec: which joints and cameras to expect.
        streams: are filled.
        on_sample: called after each sample.
        best_effort_images: see `topics.subscribe`.
        depth: messages that may wait for each stream, if not as many as the table says.
        injection: what happens to messages on their way.
        listen: hears of each message as it comes, with its topic and camera.
    """

    def __init__(
        self,
        node: Node,
        spec: RobotSpec,
        streams: RobotStreams,
        on_sample: Callable[[], None],
        *,
        best_effort_images: bool = False,
        depth: int = 0,
        injection: Injection | None = None,
        listen: Callable[[topics.Topic, str, Any], None] = lambda *_: None,
    ) -> None:
        self._logger = node.get_logger()
        self._clock = node.get_clock()
        self._wall_ns = steady_clock()
        self._on_sample = on_sample
        self._injection = injection or Injection(0, 0.0)
        self._listen = listen
        self._streams = streams
        self._problems: dict[str, str] = {}
        self._heard_s: dict[str, float] = {}
        self._used_s: dict[str, float] = {}
        self.bad: Counter[str] = Counter()
        """Bad messages by stream."""
        joints = partial(convert.joints_from, spec=spec)
        into_joints = self._into(streams.joints, joints, topics.JOINT_STATES)
        into_tool = self._into(streams.tool, convert.pose_from, topics.CURRENT_POSE)
        topics.subscribe(node, topics.JOINT_STATES, into_joints, depth=depth)
        topics.subscribe(node, topics.CURRENT_POSE, into_tool, depth=depth)
        for camera, size in spec.cameras.items():
            image = partial(convert.image_from, size=size)
            topics.subscribe(
                node,
                topics.IMAGES,
                self._into(streams.images[camera], image, topics.IMAGES, camera),
                camera=camera,
                best_effort=best_effort_images,
                depth=depth,
            )

    @property
    def lost(self) -> int:
        """Messages lost on purpose."""
        return self._injection.lost

    def release(self) -> None:
        """Take in what was held back on purpose, once its time has come."""
        self._injection.release(self._clock.now().nanoseconds)

    def measured(self) -> Measured | None:
        """What the robot last said of itself, however long ago; None until it has."""
        joints, tool = self._streams.joints, self._streams.tool
        if joints.newest_ns is None or tool.newest_ns is None:
            return None
        reading, pose = joints.at(joints.newest_ns).value, tool.at(tool.newest_ns).value
        stamp_ns = min(joints.newest_ns, tool.newest_ns)
        return Measured(stamp_ns, pose, reading.q_rad, reading.dq_rad_s)

    def check(self, now_ns: int) -> None:
        """Nothing, if every stream is fresh and fits the schema.

        Raises:
            LateStreamError: naming a stream that is late and may still come.
            DfPolicyError: naming a stream that is late because its messages cannot be used.
        """
        try:
            self._streams.check(now_ns)
        except LateStreamError as late:
            problem = self._problems.get(late.stream)
            if problem is None:
                raise
            raise DfPolicyError(f"{late}; {problem}") from late

    def silent(self) -> str:
        """Which streams were heard and are no more; empty if none."""
        now_s = time.monotonic()
        gone = {n: now_s - at_s for n, at_s in self._heard_s.items() if now_s - at_s > SILENT_S}
        if not gone:
            return ""
        names = ", ".join(stream.name for stream in self._streams.all() if stream.name in gone)
        return f"expected {names} to go on, got nothing for {max(gone.values()):.0f} s"

    def unusable(self) -> str:
        """What is wrong with a stream of which nothing can be used any more; empty if none is."""
        now_s = time.monotonic()
        for name, problem in self._problems.items():
            since_s = now_s - self._used_s.get(name, -math.inf)
            if since_s > SILENT_S >= now_s - self._heard_s[name]:
                return f"{name}: {problem}"
        return ""

    def _into(
        self,
        stream: Stream[Any],
        convert_message: Callable[[Any], tuple[int, Any]],
        topic: topics.Topic,
        camera: str = "",
    ) -> Callable[[Any], None]:
        def take(message: Any) -> None:
            now_ns = self._clock.now().nanoseconds
            try:
                stamp_ns, value = convert_message(message)
                check_stamp(stamp_ns, now_ns)
            except convert.BadMessageError as error:
                self.bad[stream.name] += 1
                self._problems[stream.name] = str(error)
                text = f"{stream.name}: message skipped: {error}"
                self._logger.warning(text, throttle_duration_sec=2.0)
                return
            self._problems.pop(stream.name, None)
            self._used_s[stream.name] = time.monotonic()
            if (stream.newest_ns or 0) > now_ns + AHEAD_NS:
                stream.clear()  # the clock was set back
            stream.add(stamp_ns, value, self._wall_ns(), now_ns)
            self._on_sample()

        def receive(message: Any) -> None:
            self._listen(topic, camera, message)
            self._heard_s[stream.name] = time.monotonic()
            now_ns = self._clock.now().nanoseconds
            if now_ns:  # else a simulated clock that was not heard yet: nothing has a time
                self._injection.pass_on(now_ns, partial(take, message))

        return receive


def check_stamp(stamp_ns: int, now_ns: int) -> None:
    """Nothing, if a message with this stamp may have been sent by now.

    Raises:
        BadMessageError: if it lies further ahead of the clock than two clocks may differ.
    """
    if stamp_ns > now_ns + AHEAD_NS:
        raise convert.BadMessageError(
            f"expected a stamp by this node's clock, got one {(stamp_ns - now_ns) * 1e-9:.1f} s "
            "ahead of it: set the machines' clocks, and use_sim_time alike on all nodes"
        )
