"""A real camera's pictures as messages: raw, with its calibration, and if asked depth and JPEG."""

from __future__ import annotations

from typing import Any

import numpy as np
from sensor_msgs.msg import CameraInfo, CompressedImage
from sensor_msgs.msg import Image as ImageMessage

from df_policy.frames import Image
from df_policy.hardware.camera import Depth, Intrinsics, jpeg
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.delivery import IMAGE
from df_policy.ros_nodes.topics import Topic

DEPTH = Topic(
    "camera/{camera}/aligned_depth_to_color/image_raw",
    ImageMessage,
    "depth of each pixel of the picture as taken, `16UC1` [mm]",
    "15 Hz",
    "camera_node",
    IMAGE,
)
COMPRESSED = Topic(
    "camera/{camera}/image_raw/compressed",
    CompressedImage,
    "the picture as JPEG",
    "15 Hz",
    "camera_node",
    IMAGE,
)


class PictureTopics:
    """Publishes one camera's pictures.

    Args:
        node: who publishes.
        camera: its name.
        depth: whether depth comes too.
        compressed: whether JPEG is sent beside the raw picture.
    """

    def __init__(self, node: Any, camera: str, depth: bool, compressed: bool) -> None:
        self._camera = camera
        self._image = topics.publisher(node, topics.IMAGES, camera)
        self._info = topics.publisher(node, topics.CAMERA_INFO, camera)
        self._depth = topics.publisher(node, DEPTH, camera) if depth else None
        self._compressed = topics.publisher(node, COMPRESSED, camera) if compressed else None

    def publish(self, stamp_ns: int, image: Image, seen: Intrinsics, depth: Depth | None) -> None:
        """One picture, and what belongs to it."""
        self._image.publish(convert.image_message(stamp_ns, image, self._camera))
        self._info.publish(info_message(stamp_ns, seen, self._camera))
        if self._depth is not None and depth is not None:
            self._depth.publish(depth_message(stamp_ns, depth, self._camera))
        if self._compressed is not None:
            self._compressed.publish(jpeg_message(stamp_ns, image, self._camera))


def info_message(stamp_ns: int, seen: Intrinsics, frame: str) -> CameraInfo:
    """A camera's calibration; zeros where there is none."""
    height, width = seen.size
    message = CameraInfo(height=height, width=width, distortion_model="plumb_bob")
    message.header.stamp = convert.time_of(stamp_ns)
    message.header.frame_id = frame
    message.d = [float(value) for value in seen.distortion]
    message.r = np.eye(3).ravel().tolist()
    if seen.focal_px[0] > 0.0:
        message.k = seen.matrix.ravel().tolist()
        message.p = np.column_stack([seen.matrix, np.zeros(3)]).ravel().tolist()
    return message


def depth_message(stamp_ns: int, depth: Depth, frame: str) -> ImageMessage:
    """Depth in whole units of the camera, mostly millimetres."""
    message = ImageMessage(encoding="16UC1", is_bigendian=0, step=2 * depth.shape[1])
    message.header.stamp = convert.time_of(stamp_ns)
    message.header.frame_id = frame
    message.height, message.width = depth.shape
    message.data.frombytes(np.ascontiguousarray(depth).data)
    return message


def jpeg_message(stamp_ns: int, image: Image, frame: str) -> CompressedImage:
    """A picture as JPEG."""
    message = CompressedImage(format="rgb8; jpeg compressed bgr8")
    message.header.stamp = convert.time_of(stamp_ns)
    message.header.frame_id = frame
    message.data.frombytes(jpeg(image))
    return message
