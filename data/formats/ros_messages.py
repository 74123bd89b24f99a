"""ROS 2 messages in bags: the definitions that we write, and the numbers in any that we read."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data.formats import hdf5
from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec

NS_PER_S = 1_000_000_000

_HEADER = """
================================================================================
MSG: std_msgs/Header
builtin_interfaces/Time stamp
string frame_id
================================================================================
MSG: builtin_interfaces/Time
int32 sec
uint32 nanosec
"""
_POSE = """
================================================================================
MSG: geometry_msgs/Pose
Point position
Quaternion orientation
================================================================================
MSG: geometry_msgs/Point
float64 x
float64 y
float64 z
================================================================================
MSG: geometry_msgs/Quaternion
float64 x
float64 y
float64 z
float64 w
"""
_LAYOUT = """
================================================================================
MSG: std_msgs/MultiArrayLayout
MultiArrayDimension[] dim
uint32 data_offset
================================================================================
MSG: std_msgs/MultiArrayDimension
string label
uint32 size
uint32 stride
"""

DEFINITIONS = {
    "sensor_msgs/msg/JointState": (
        "std_msgs/Header header\nstring[] name\nfloat64[] position\nfloat64[] velocity\n"
        "float64[] effort" + _HEADER
    ),
    "geometry_msgs/msg/PoseStamped": "std_msgs/Header header\nPose pose" + _HEADER + _POSE,
    "sensor_msgs/msg/Image": (
        "std_msgs/Header header\nuint32 height\nuint32 width\nstring encoding\n"
        "uint8 is_bigendian\nuint32 step\nuint8[] data" + _HEADER
    ),
    "std_msgs/msg/Float64MultiArray": "MultiArrayLayout layout\nfloat64[] data" + _LAYOUT,
    "std_msgs/msg/Int64MultiArray": "MultiArrayLayout layout\nint64[] data" + _LAYOUT,
}
"""Type -> its definition with those of its parts, as bags carry them."""

_DEPTH = 5
_LONGEST = 4096
_VECTORS = (("x", "y", "z"), ("x", "y", "z", "w"))
_RAW = {"rgb8": (0, 1, 2), "bgr8": (2, 1, 0)}


def header(stamp_ns: int, frame: str) -> dict[str, Any]:
    """A header's fields."""
    sec, nanosec = divmod(stamp_ns, NS_PER_S)
    return {"stamp": {"sec": sec, "nanosec": nanosec}, "frame_id": frame}


def joints(
    stamp_ns: int, q: NDArray[Any], dq: NDArray[Any], gripper_m: float, spec: RobotSpec
) -> dict[str, Any]:
    """Arm and fingers; each finger's place is half of the opening."""
    fingers = [f"{spec.name}_finger_joint1", f"{spec.name}_finger_joint2"]
    return {
        "header": header(stamp_ns, ""),
        "name": [*spec.joint_names, *fingers],
        "position": [*q.tolist(), gripper_m / 2, gripper_m / 2],
        "velocity": [*dq.tolist(), 0.0, 0.0],
        "effort": [],
    }


def pose(stamp_ns: int, position: NDArray[Any], quat_xyzw: NDArray[Any]) -> dict[str, Any]:
    """A pose in the frame of the robot's base."""
    turn = dict(zip("xyzw", quat_xyzw.tolist(), strict=True))
    place = dict(zip("xyz", position.tolist(), strict=True))
    return {
        "header": header(stamp_ns, "base"),
        "pose": {"position": place, "orientation": turn},
    }


def image(stamp_ns: int, pixels: NDArray[np.uint8], frame: str) -> dict[str, Any]:
    """A picture as rgb8."""
    return {
        "header": header(stamp_ns, frame),
        "height": pixels.shape[0],
        "width": pixels.shape[1],
        "encoding": "rgb8",
        "is_bigendian": 0,
        "step": 3 * pixels.shape[1],
        "data": pixels.tobytes(),
    }


def stamp_of(message: Any) -> int | None:
    """The header's stamp [ns], if there is one."""
    head = getattr(message, "header", None)
    time = getattr(head, "stamp", None)
    return None if time is None else int(time.sec) * NS_PER_S + int(time.nanosec)


def is_image(message: Any) -> bool:
    """Whether it holds a picture."""
    return hasattr(message, "data") and (
        hasattr(message, "encoding") or hasattr(message, "format")
    )


def picture(message: Any, where: str) -> NDArray[np.uint8]:
    """The RGB image of an Image or CompressedImage.

    Raises:
        DfPolicyError: if its encoding is not known or bytes are missing.
    """
    if hasattr(message, "format"):
        return hdf5.decoded(bytes(message.data), None, where)
    height, width, step = int(message.height), int(message.width), int(message.step)
    order = _RAW.get(message.encoding)
    data = np.frombuffer(memoryview(message.data), np.uint8)
    if order is None or width < 1 or step < 3 * width or len(data) != step * height:
        raise DfPolicyError(
            f"expected an image rgb8, bgr8, JPEG or PNG in {where}, got {height}x{width} "
            f"{str(message.encoding)[:20]!r} of {len(data)} bytes"
        )
    rows = data.reshape(height, step)[:, : 3 * width].reshape(height, width, 3)
    return np.ascontiguousarray(rows[..., list(order)])


def names_of(message: Any) -> tuple[str, ...]:
    """The names of its joints, if it has some."""
    names = getattr(message, "name", None)
    return tuple(map(str, names)) if isinstance(names, list) else ()


def numbers(message: Any, names: tuple[str, ...], where: str) -> dict[str, NDArray[Any]]:
    """Every number in a message by its path, points and quaternions as one.

    Args:
        message: decoded.
        names: the order in which joints shall come.
        where: the message, for errors.

    Raises:
        DfPolicyError: if it names other joints.
    """
    found = dict(_numbers(message, "", _DEPTH))
    mine = names_of(message)
    if mine == names:
        return found
    if sorted(mine) != sorted(names):
        raise DfPolicyError(
            f"expected the joints {', '.join(names)} in {where}, got {', '.join(mine) or 'none'}"
        )
    order = [mine.index(name) for name in names]
    return {path: v[order] if len(v) == len(names) else v for path, v in found.items()}


def _numbers(value: Any, path: str, depth: int) -> Iterator[tuple[str, NDArray[Any]]]:
    if isinstance(value, bool | int | float):
        yield path, _array([value])
    elif isinstance(value, list | tuple) or hasattr(value, "typecode"):
        if 0 < len(value) <= _LONGEST and all(isinstance(v, bool | int | float) for v in value):
            yield path, _array(value)
    elif depth and hasattr(value, "__slots__"):
        names = tuple(value.__slots__)
        if names in _VECTORS:
            yield path, np.array([getattr(value, name) for name in names], np.float64)
        elif path.rpartition(".")[2] != "header":
            for name in names:
                yield from _numbers(getattr(value, name), f"{path}.{name}", depth - 1)


def _array(values: Any) -> NDArray[Any]:
    """Whole numbers stay whole: float64 would round a time in nanoseconds."""
    whole = all(isinstance(value, int) and abs(value) < 2**63 for value in values)
    return np.array(values, np.int64 if whole else np.float64)
