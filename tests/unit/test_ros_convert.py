"""Messages: there and back is the identity; what cannot be used is refused, never guessed."""

import numpy as np
import pytest

pytest.importorskip("rclpy")

from diagnostic_msgs.msg import DiagnosticStatus
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from sensor_msgs.msg import Image
from std_msgs.msg import Float64MultiArray

from df_policy.align import JointReading
from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.plan import Plan
from df_policy.robot import RobotSpec
from df_policy.ros_nodes import convert
from df_policy.ros_nodes.health import health

pytestmark = pytest.mark.ros

SPEC = RobotSpec("fr3", ("j1", "j2", "j3"), {"front": (4, 6)})
stamps = st.integers(0, 2**31 * 10**9 - 1)
numbers = st.floats(-10, 10)
poses = st.builds(
    Pose.of,
    st.tuples(numbers, numbers, numbers),
    arrays.arrays(np.float64, 4, elements=numbers).filter(lambda q: np.linalg.norm(q) > 1e-3),
)
images = arrays.arrays(np.uint8, st.tuples(st.integers(1, 9), st.integers(1, 9), st.just(3)))


@given(stamps)
def test_stamps_survive(stamp):
    assert convert.stamp_of(convert.time_of(stamp)) == stamp


@given(stamps, poses)
def test_poses_survive(stamp, pose):
    got_stamp, got = convert.pose_from(convert.pose_message(stamp, pose))
    assert got_stamp == stamp
    np.testing.assert_allclose(got.position_m, pose.position_m)
    np.testing.assert_allclose(got.quat_xyzw, pose.quat_xyzw, atol=1e-12)


@given(
    stamps, arrays.arrays(np.float64, (2, 3), elements=numbers), st.floats(0, 0.08), st.randoms()
)
def test_joints_survive_in_any_order_and_among_others(stamp, q, gripper, random):
    message = convert.joint_message(stamp, JointReading(q[0], q[1], gripper), SPEC)
    rows = list(zip(message.name, message.position, message.velocity, strict=True))
    rows.append(("another_joint", 9.0, 9.0))
    random.shuffle(rows)
    message.name, message.position, message.velocity = map(list, zip(*rows, strict=True))
    got_stamp, got = convert.joints_from(message, SPEC)
    assert got_stamp == stamp
    np.testing.assert_array_equal(got.q_rad, q[0])
    np.testing.assert_array_equal(got.dq_rad_s, q[1])
    assert got.gripper_m == pytest.approx(gripper)


@given(stamps, images)
def test_images_survive(stamp, image):
    message = convert.image_message(stamp, image, "front")
    got_stamp, got = convert.image_from(message, image.shape[:2])
    assert got_stamp == stamp
    np.testing.assert_array_equal(got, image)


@given(images, st.integers(0, 7))
def test_blue_first_and_padded_rows_are_understood(image, padding):
    height, width, _ = image.shape
    rows = np.zeros((height, 3 * width + padding), np.uint8)
    rows[:, : 3 * width] = image[:, :, ::-1].reshape(height, -1)
    message = Image(height=height, width=width, encoding="bgr8", step=rows.shape[1])
    message.data.frombytes(rows.tobytes())
    np.testing.assert_array_equal(convert.image_from(message, (height, width))[1], image)


def test_a_received_image_is_a_copy_of_its_own():
    message = convert.image_message(0, np.zeros((4, 6, 3), np.uint8), "front")
    _, got = convert.image_from(message, (4, 6))
    assert got.flags.c_contiguous


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"height": 5}, r"expected 4x6 px.*got 5x6"),
        ({"encoding": "mono8"}, "mono8"),
        ({"encoding": ""}, "no encoding"),
        ({"step": 3}, "rows of 3"),
        ({"data": b"123"}, "got 3 bytes"),
    ],
)
def test_images_that_do_not_fit_are_refused(change, says):
    message = convert.image_message(0, np.zeros((4, 6, 3), np.uint8), "front")
    for name, value in change.items():
        setattr(message, name, value)
    with pytest.raises(convert.BadMessageError, match=says):
        convert.image_from(message, (4, 6))


def joints(**change):
    reading = JointReading(np.zeros(3), np.zeros(3), 0.08)
    message = convert.joint_message(0, reading, SPEC)
    for name, value in change.items():
        setattr(message, name, value)
    return message


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"name": ["a", "b"]}, "expected joints j1, j2, j3.*got a, b"),
        ({"name": []}, "got none"),
        ({"velocity": []}, "5 positions and velocities, got 5 and 0"),
        ({"position": [0.0, np.nan, 0.0, 0.0, 0.0]}, "finite"),
    ],
)
def test_joints_that_do_not_fit_are_refused(change, says):
    with pytest.raises(convert.BadMessageError, match=says):
        convert.joints_from(joints(**change), SPEC)


@pytest.mark.parametrize("frame", ["base", "/base", ""])
def test_poses_in_the_frame_of_the_base_or_in_none_are_taken(frame):
    message = convert.pose_message(5, Pose.of([0, 0, 0], [0, 0, 0, 1]))
    message.header.frame_id = frame
    assert convert.pose_from(message)[0] == 5


@pytest.mark.parametrize("frame", ["fr3_link8", "camera", "left/base"])
def test_poses_in_other_frames_are_refused(frame):
    message = convert.pose_message(0, Pose.of([0, 0, 0], [0, 0, 0, 1]))
    message.header.frame_id = frame
    with pytest.raises(convert.BadMessageError, match=f"frame base, got one in {frame}"):
        convert.pose_from(message)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_poses_that_are_not_finite_are_refused(value):
    message = convert.pose_message(0, Pose.of([0, 0, 0], [0, 0, 0, 1]))
    message.pose.position.y = value
    with pytest.raises(convert.BadMessageError, match="finite"):
        convert.pose_from(message)


def test_a_quaternion_without_length_is_refused():
    message = convert.pose_message(0, Pose.of([0, 0, 0], [0, 0, 0, 1]))
    message.pose.orientation.w = 0.0
    with pytest.raises(convert.BadMessageError, match="length"):
        convert.pose_from(message)


@given(st.floats(0, 0.08))
def test_gripper_openings_survive(opening):
    assert convert.gripper_from(convert.gripper_message(opening)) == opening


@pytest.mark.parametrize("data", [[], [0.1, 0.1], [np.nan]])
def test_gripper_targets_that_are_not_one_number_are_refused(data):
    with pytest.raises(convert.BadMessageError, match="one finite opening"):
        convert.gripper_from(Float64MultiArray(data=data))


@given(st.lists(poses, min_size=1, max_size=5), st.integers(0, 10**12))
def test_a_plan_becomes_a_path_with_the_times_of_its_poses(tools, start):
    rows = np.array([Action(pose, 0.0).row() for pose in tools])
    message = convert.plan_message(Plan(start, 10**8, rows, start))
    np.testing.assert_allclose(convert.plan_points(message), rows[:, :3], atol=1e-12)
    stamps_ns = [convert.stamp_of(pose.header.stamp) for pose in message.poses]
    assert stamps_ns == [start + (n + 1) * 10**8 for n in range(len(tools))]


def test_an_empty_path_has_no_points():
    empty = convert.plan_message(Plan(0, 10**8, np.zeros((0, 10)), 0))
    assert convert.plan_points(empty).shape == (0, 3)


def test_camera_info_describes_a_pinhole():
    message = convert.camera_info_message(0, (64, 96), 90.0, "front")
    assert message.k[0] == message.k[4] == pytest.approx(32.0)
    assert (message.k[2], message.k[5]) == (47.5, 31.5)
    assert convert.camera_info_message(0, (64, 96), None, "front").k[0] == 0.0


def test_diagnostics_survive_as_text():
    late = health(stale="late")
    message = convert.diagnostics_message(5, "node", late, {"rate_hz": 49.5})
    assert message.status[0].level == DiagnosticStatus.STALE
    assert convert.diagnostics_from(message) == {"node": ("late", {"rate_hz": "49.5"})}
    well = convert.diagnostics_message(5, "node", health(), {}).status[0]
    assert (well.level, well.message) == (DiagnosticStatus.OK, "ok")


@pytest.mark.parametrize(
    ("said", "level", "reason"),
    [
        ({"error": "a", "stale": "b", "warning": "c"}, DiagnosticStatus.ERROR, "a"),
        ({"error": "", "stale": "b", "warning": "c"}, DiagnosticStatus.STALE, "b"),
        ({"warning": "c"}, DiagnosticStatus.WARN, "c"),
    ],
)
def test_of_all_that_is_wrong_the_worst_is_told(said, level, reason):
    status = convert.diagnostics_message(5, "node", health(**said), {}).status[0]
    assert (status.level, status.message) == (level, reason)


def test_the_clock_survives():
    assert convert.stamp_of(convert.clock_message(1_500_000_000).clock) == 1_500_000_000
