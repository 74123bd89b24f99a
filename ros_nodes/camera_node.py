"""A camera behind the topics that the policy reads: RealSense, V4L2, or a file.

Run it with `python -m df_policy.ros_nodes.camera_node --ros-args -p camera:=front -p
source:=realsense:123456789012`.
"""

from __future__ import annotations

import sys
import threading
import time
from dataclasses import dataclass
from typing import Any

from df_policy.errors import DfPolicyError
from df_policy.hardware.camera import CameraFrame, CameraSource, Intrinsics, LostCameraError, View
from df_policy.hardware.camera_sources import camera_source, size_of
from df_policy.hardware.robot_clock import RobotClock
from df_policy.ros_nodes import missing_ros
from df_policy.ros_nodes.health import health
from df_policy.ros_nodes.monitor import Pace
from df_policy.ros_nodes.params import autostart, parameter

try:
    from df_policy.ros_nodes import convert, topics
    from df_policy.ros_nodes.managed import ManagedNode
    from df_policy.ros_nodes.picture_topics import PictureTopics
    from df_policy.ros_nodes.running import run_node
except ImportError as error:
    raise SystemExit(missing_ros(error)) from None

_PATIENCE_S = 3.0
"""For the thread that reads to end."""


@dataclass(frozen=True)
class CameraNodeConfig:
    """Parameters of the camera node."""

    camera: str = parameter("front", "its name in topics, and in the checkpoint")
    source: str = parameter("", "`realsense:SERIAL`, `v4l:/dev/v4l/by-id/...`, `file:PATH`")
    capture: str = parameter("480x640", "height x width of what the camera takes [px]")
    capture_hz: int = parameter(30, "pictures that it takes per second")
    size: str = parameter("64x64", "height x width of what is published; empty: as taken")
    rate_hz: float = parameter(15.0, "pictures published per second at most")
    depth: bool = parameter(False, "depth too, aligned to the picture (RealSense)")
    exposure_us: float = parameter(0.0, "exposure time; 0: the camera chooses")
    compressed: bool = parameter(False, "JPEG beside the raw picture, as image_transport has it")
    retry_s: float = parameter(1.0, "how often a camera that is gone is looked for")
    autostart: bool = autostart()

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        for text in (self.capture, self.size):
            if text:
                size_of(text)
        if not 1 <= self.capture_hz <= 300 or not 0.0 < self.rate_hz <= 300.0:
            raise ValueError(
                "expected capture_hz from 1 to 300 and rate_hz above 0, up to 300, got "
                f"{self.capture_hz} and {self.rate_hz}"
            )
        if not 0.0 < self.retry_s <= 60.0 or not 0.0 <= self.exposure_us <= 1e6:
            raise ValueError(
                "expected retry_s above 0, up to 60, and exposure_us up to 1000000, got "
                f"{self.retry_s} and {self.exposure_us}"
            )


class CameraNode(ManagedNode[CameraNodeConfig]):
    """Publishes what a camera sees, and looks for it again when it is gone.

    Args:
        overrides: rclpy's arguments, for tests.
    """

    def __init__(self, **overrides: Any) -> None:
        super().__init__("camera_node", CameraNodeConfig, **overrides)
        self._thread: threading.Thread | None = None
        if self.config.autostart:
            self.start()

    def configure(self) -> None:
        """Know the camera; it need not be there yet."""
        wanted = self.config
        self._source: CameraSource = camera_source(
            wanted.source,
            size_of(wanted.capture),
            wanted.capture_hz,
            depth=wanted.depth,
            exposure_us=wanted.exposure_us,
        )
        self._pace, self._lost, self._trouble = Pace(), 0, "expected a picture, got none yet"
        self._out = PictureTopics(self, wanted.camera, wanted.depth, wanted.compressed)
        self._report_out = topics.publisher(self, topics.DIAGNOSTICS)

    def activate(self) -> None:
        """Publish pictures."""
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._run, name="camera", daemon=True)
        self._thread.start()
        self._report_timer = self.steady_ticker(1.0, self._report)

    def deactivate(self) -> None:
        """Let go of the camera."""
        if self._thread is not None:
            self._ended.set()
            self._thread.join(_PATIENCE_S)
            self._thread = None

    def _run(self) -> None:
        """In a thread: reading waits for the camera, and the node must not."""
        while not self._ended.is_set():
            try:
                self._watch(View(self._source.open(), self._size))
            except LostCameraError as error:
                self._lost += 1
                self._say(str(error))
            except Exception as error:
                mendable = isinstance(error, DfPolicyError)
                self._say(str(error) if mendable else f"{type(error).__name__}: {error}")
            finally:
                self._source.close()
            self._ended.wait(self.config.retry_s)

    @property
    def _size(self) -> tuple[int, int] | None:
        return size_of(self.config.size) if self.config.size else None

    def _watch(self, view: View) -> None:
        """Publish until the camera is gone, or its file at its end."""
        clock, due_ns = RobotClock(), 0
        period_ns = round(1e9 / self.config.rate_hz)
        while not self._ended.is_set():
            frame = self._source.read()
            if frame is None:
                self._say("the file is at its end")
                self._ended.wait()
                return
            now_ns = self._now_ns
            stamp_ns = clock.host_ns(frame.stamp_ns, now_ns) if frame.own_clock else frame.stamp_ns
            self._say("")
            if stamp_ns < due_ns - period_ns // 4:
                continue
            kept_up = stamp_ns < due_ns + period_ns
            due_ns = (due_ns if kept_up else stamp_ns) + period_ns
            self._publish(stamp_ns, frame, view)

    def _publish(self, stamp_ns: int, frame: CameraFrame, view: View) -> None:
        self._pace.tick(stamp_ns)
        seen: Intrinsics = view.intrinsics
        self._out.publish(stamp_ns, view.show(frame.rgb), seen, frame.depth)

    def _say(self, problem: str) -> None:
        if problem and problem != self._trouble:
            self.get_logger().warning(f"{self.config.camera}: {problem}")
        elif self._trouble and not problem:
            self.get_logger().info(f"{self.config.camera}: pictures come")
        self._trouble = problem

    @property
    def _now_ns(self) -> int:
        """This machine's clock, which stamps are by."""
        return time.time_ns()

    def _report(self) -> None:
        values = {
            "rate_hz": round(self._pace.rate_hz, 2),
            "pictures": self._pace.count,
            "worst_gap_ms": round(self._pace.worst_gap_ns * 1e-6, 1),
            "lost": self._lost,
        }
        seen = self._pace.count > 0
        state = health(error="" if seen else self._trouble, stale=self._trouble if seen else "")
        message = convert.diagnostics_message(self._now_ns, self.full_name, state, values)
        self._report_out.publish(message)


def main(args: list[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run_node("camera_node", CameraNode, args)


if __name__ == "__main__":
    sys.exit(main())
