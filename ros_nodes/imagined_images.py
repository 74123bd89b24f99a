"""What the plan that is followed expects the cameras to see, as topics beside the real images."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from rclpy.node import Node

from df_policy.plan import Plan
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.planning import Picture


class ImaginedImages:
    """Publishes pictures of the plan that is followed, and of no other.

    Args:
        node: who sends.
        cameras: whose pictures; none if nothing is imagined.
        listen: hears of each message that goes out, with its topic and camera.
    """

    def __init__(
        self,
        node: Node,
        cameras: Iterable[str],
        listen: Callable[[topics.Topic, str, Any], None] = lambda *_: None,
    ) -> None:
        self._out = {camera: topics.publisher(node, topics.IMAGINED, camera) for camera in cameras}
        self._listen = listen
        self._waiting: dict[str, Picture] = {}
        self._stamp_ns: int | None = None

    def add(self, picture: Picture) -> None:
        """Keep it in place of the camera's one before."""
        self._waiting[picture.camera] = picture

    def publish(self, plan: Plan | None) -> None:
        """Send what has come of the plan that is followed.

        Args:
            plan: if it begins to be followed now.
        """
        if plan is not None:
            self._stamp_ns = next(iter(plan.foreseen_ns), None)
        ready = [one for one in self._waiting.values() if one.stamp_ns == self._stamp_ns]
        for picture in ready:
            del self._waiting[picture.camera]
            message = convert.image_message(picture.stamp_ns, picture.rgb, picture.camera)
            self._out[picture.camera].publish(message)
            self._listen(topics.IMAGINED, picture.camera, message)
