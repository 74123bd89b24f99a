"""Messages to our types and back: the only file that touches the fields of messages."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from builtin_interfaces.msg import Time
from diagnostic_msgs.msg import DiagnosticArray, DiagnosticStatus, KeyValue
from geometry_msgs.msg import PoseStamped
from jaxtyping import Float64
from nav_msgs.msg import Path
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, JointState
from sensor_msgs.msg import Image as ImageMessage
from std_msgs.msg import Float64MultiArray, MultiArrayDimension

from df_policy.align import JointReading
from df_policy.errors import DfPolicyError
from df_policy.frames import Image
from df_policy.geometry import Pose
from df_policy.plan import Plan
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.health import Health
from df_policy.ros_nodes.stages import STAGES, Chain
from df_policy.ros_nodes.topics import FRAME

NS_PER_S = 1_000_000_000
Joints = Float64[np.ndarray, "n"]


class BadMessageError(DfPolicyError):
    """A message that cannot be used; the reader skips it."""


def time_of(stamp_ns: int) -> Time:
    """A stamp as ROS writes it."""
    sec, nanosec = divmod(stamp_ns, NS_PER_S)
    return Time(sec=sec, nanosec=nanosec)


def stamp_of(time: Time) -> int:
    """A stamp in nanoseconds."""
    return int(time.sec) * NS_PER_S + int(time.nanosec)


def clock_message(stamp_ns: int) -> Clock:
    """The simulated time."""
    return Clock(clock=time_of(stamp_ns))


def pose_message(stamp_ns: int, pose: Pose) -> PoseStamped:
    """A tool pose in the frame of the robot's base."""
    message = PoseStamped()
    message.header.stamp = time_of(stamp_ns)
    message.header.frame_id = FRAME
    point, quat = message.pose.position, message.pose.orientation
    point.x, point.y, point.z = pose.position_m.tolist()
    quat.x, quat.y, quat.z, quat.w = pose.quat_xyzw.tolist()
    return message


def pose_from(message: PoseStamped, frame: str | None = FRAME) -> tuple[int, Pose]:
    """Stamp and pose.

    Args:
        message: one that names no frame is taken to be in `frame`.
        frame: expected; None for any.

    Raises:
        BadMessageError: if it is in another frame, a number is not finite or the quaternion has
            no length.
    """
    got = message.header.frame_id.removeprefix("/")
    if frame is not None and got not in ("", frame):
        raise BadMessageError(f"expected a pose in the frame {frame}, got one in {got}")
    point, quat = message.pose.position, message.pose.orientation
    try:
        pose = Pose.of([point.x, point.y, point.z], [quat.x, quat.y, quat.z, quat.w])
    except ValueError as error:
        raise BadMessageError(str(error)) from error
    return stamp_of(message.header.stamp), pose


def finger_names(spec: RobotSpec) -> tuple[str, str]:
    """The fingers' names; each finger's position is half of the opening."""
    return (f"{spec.name}_finger_joint1", f"{spec.name}_finger_joint2")


def joint_message(stamp_ns: int, reading: JointReading, spec: RobotSpec) -> JointState:
    """Arm and fingers, merged."""
    message = JointState()
    message.header.stamp = time_of(stamp_ns)
    message.name = [*spec.joint_names, *finger_names(spec)]
    message.position = [*reading.q_rad.tolist(), reading.gripper_m / 2, reading.gripper_m / 2]
    message.velocity = [*reading.dq_rad_s.tolist(), 0.0, 0.0]
    return message


def joints_from(message: JointState, spec: RobotSpec) -> tuple[int, JointReading]:
    """Stamp and joints in the order of `spec`, whatever the order of the message.

    Raises:
        BadMessageError: if a joint is missing or a number is not finite.
    """
    fingers = finger_names(spec)
    position, velocity = _of_joints(message, (*spec.joint_names, *fingers))
    arm = len(spec.joint_names)
    reading = JointReading(position[:arm], velocity[:arm], float(position[arm:].sum()))
    return stamp_of(message.header.stamp), reading


def arm_from(message: JointState, spec: RobotSpec) -> tuple[int, Joints, Joints]:
    """Stamp, positions [rad] and velocities [rad/s] of the arm, whatever else is in the message.

    Raises:
        BadMessageError: as `joints_from`.
    """
    return stamp_of(message.header.stamp), *_of_joints(message, spec.joint_names)


def opening_from(message: JointState, spec: RobotSpec) -> float:
    """How far the fingers are apart [m], whatever else is in the message.

    Raises:
        BadMessageError: as `joints_from`.
    """
    return float(_of_joints(message, finger_names(spec))[0].sum())


def _of_joints(message: JointState, names: tuple[str, ...]) -> tuple[Joints, Joints]:
    """Positions and velocities in the order of `names`."""
    place = {name: index for index, name in enumerate(message.name)}
    if any(name not in place for name in names):
        raise BadMessageError(
            f"expected joints {', '.join(names)}, got {', '.join(message.name) or 'none'}"
        )
    if not len(message.name) == len(message.position) == len(message.velocity):
        raise BadMessageError(
            f"expected {len(message.name)} positions and velocities, "
            f"got {len(message.position)} and {len(message.velocity)}"
        )
    chosen = [place[name] for name in names]
    position, velocity = np.array(message.position)[chosen], np.array(message.velocity)[chosen]
    if not np.isfinite([*position, *velocity]).all():
        raise BadMessageError("expected finite joint positions and velocities, got others")
    return position, velocity


def image_message(stamp_ns: int, image: Image, frame: str) -> ImageMessage:
    """A picture as rgb8."""
    message = ImageMessage()
    message.header.stamp = time_of(stamp_ns)
    message.header.frame_id = frame
    message.height, message.width = image.shape[:2]
    message.encoding = "rgb8"
    message.step = 3 * image.shape[1]
    # Assigning a numpy array would convert every pixel by itself: a thousand times slower.
    message.data.frombytes(np.ascontiguousarray(image).data)
    return message


def image_from(message: ImageMessage, size: tuple[int, int]) -> tuple[int, Image]:
    """Stamp and RGB picture.

    Args:
        message: rgb8 or bgr8, rows may be padded.
        size: expected (height, width) [px].

    Raises:
        BadMessageError: if size or encoding are others, or bytes are missing.
    """
    if (message.height, message.width) != size or message.encoding not in ("rgb8", "bgr8"):
        raise BadMessageError(
            f"expected {size[0]}x{size[1]} px in rgb8 or bgr8, "
            f"got {message.height}x{message.width} in {message.encoding or 'no encoding'}"
        )
    if message.step < 3 * size[1] or len(message.data) != message.step * size[0]:
        raise BadMessageError(
            f"expected {size[0]} rows of at least {3 * size[1]} bytes, "
            f"got {len(message.data)} bytes in rows of {message.step}"
        )
    rows = np.frombuffer(message.data, np.uint8).reshape(size[0], message.step)
    pixels = rows[:, : 3 * size[1]].reshape(*size, 3)
    rgb = pixels if message.encoding == "rgb8" else pixels[:, :, ::-1]
    return stamp_of(message.header.stamp), np.ascontiguousarray(rgb)


def camera_info_message(
    stamp_ns: int, size: tuple[int, int], fovy_deg: float | None, frame: str
) -> CameraInfo:
    """A pinhole camera without distortion.

    Args:
        stamp_ns: the image's stamp.
        size: (height, width) [px].
        fovy_deg: vertical field of view; without it the intrinsics stay zero: not calibrated.
        frame: the camera's name.
    """
    height, width = size
    message = CameraInfo(height=height, width=width, distortion_model="plumb_bob")
    message.header.stamp = time_of(stamp_ns)
    message.header.frame_id = frame
    message.d = [0.0] * 5
    message.r = [1.0, 0.0, 0.0, 0.0, 1.0, 0.0, 0.0, 0.0, 1.0]
    if fovy_deg is not None:
        focal = height / 2 / float(np.tan(np.deg2rad(fovy_deg) / 2))
        # The middle of the picture, where pixel centres have whole numbers.
        x, y = (width - 1) / 2, (height - 1) / 2
        message.k = [focal, 0.0, x, 0.0, focal, y, 0.0, 0.0, 1.0]
        message.p = [focal, 0.0, x, 0.0, 0.0, focal, y, 0.0, 0.0, 0.0, 1.0, 0.0]
    return message


def gripper_message(opening_m: float) -> Float64MultiArray:
    """The opening that the gripper shall take."""
    return Float64MultiArray(data=[opening_m])


def gripper_from(message: Float64MultiArray) -> float:
    """The opening asked for [m].

    Raises:
        BadMessageError: if it is not one finite number.
    """
    if len(message.data) != 1 or not np.isfinite(message.data[0]):
        raise BadMessageError(f"expected one finite opening in metres, got {list(message.data)}")
    return float(message.data[0])


def truth_message(
    stamp_ns: int, seed: int, positions: Float64[np.ndarray, "n"]
) -> Float64MultiArray:
    """Where everything in a simulation is; a clock of our days is told to the microsecond."""
    return Float64MultiArray(data=[float(stamp_ns), float(seed), *positions.tolist()])


def truth_from(message: Float64MultiArray) -> tuple[int, int, Float64[np.ndarray, "n"]]:
    """The clock [ns], the start's seed, and all positions.

    Raises:
        BadMessageError: if it is none.
    """
    numbers = np.array(message.data, np.float64)
    if numbers.size < 2 or not np.isfinite(numbers).all():
        raise BadMessageError(
            f"expected a clock, a seed and positions, got {numbers.size} numbers"
        )
    return int(numbers[0]), int(numbers[1]), numbers[2:]


def plan_message(plan: Plan) -> Path:
    """The plan's poses, each with the time when it shall be reached."""
    message = Path()
    message.header.stamp = time_of(plan.observed_ns)
    message.header.frame_id = FRAME
    message.poses = [
        pose_message(plan.start_ns + (index + 1) * plan.period_ns, plan.action(index).tool)
        for index in range(len(plan.actions))
    ]
    return message


def timing_message(times: Chain) -> Float64MultiArray:
    """Where the time went from a picture to its first target; the dimension names the numbers."""
    names = ("target [s]", "image [s]", *(f"{stage} [ms]" for stage in STAGES))
    values = [times.target_ns / NS_PER_S, times.image_ns / NS_PER_S, *times.stages_ms]
    message = Float64MultiArray(data=values)
    message.layout.dim = [MultiArrayDimension(label=", ".join(names), size=len(names), stride=1)]
    return message


def plan_points(message: Path) -> Float64[np.ndarray, "h 3"]:
    """The points [m] of a plan's message."""
    points = [pose_from(pose)[1].position_m for pose in message.poses]
    return np.array(points, dtype=np.float64).reshape(-1, 3)


def diagnostics_message(
    stamp_ns: int, name: str, state: Health, values: Mapping[str, Any]
) -> DiagnosticArray:
    """One node's state."""
    status = DiagnosticStatus(name=name, hardware_id="df_policy", message=state.reason or "ok")
    status.level = bytes([state.level])
    status.values = [KeyValue(key=key, value=str(value)) for key, value in values.items()]
    message = DiagnosticArray(status=[status])
    message.header.stamp = time_of(stamp_ns)
    return message


def diagnostics_from(message: DiagnosticArray) -> dict[str, tuple[str, dict[str, str]]]:
    """Name -> message and values."""
    return {
        status.name: (status.message, {pair.key: pair.value for pair in status.values})
        for status in message.status
    }
