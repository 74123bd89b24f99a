"""Definitions of messages in logs: as their packages write them, with all that is in them."""

import pytest

pytest.importorskip("rclpy")

from geometry_msgs.msg import PoseStamped
from sensor_msgs.msg import CameraInfo, Image

from df_policy.ros_nodes.message_schema import definition, name_of

pytestmark = pytest.mark.ros


def test_a_message_is_defined_with_all_its_parts_once():
    first, *parts = definition(PoseStamped).split("=" * 80 + "\n")
    assert first == "std_msgs/Header header\ngeometry_msgs/Pose pose\n\n"
    named = dict(part.split("\n", 1) for part in parts)
    assert set(named) == {
        "MSG: std_msgs/Header",
        "MSG: builtin_interfaces/Time",
        "MSG: geometry_msgs/Pose",
        "MSG: geometry_msgs/Point",
        "MSG: geometry_msgs/Quaternion",
    }
    assert named["MSG: builtin_interfaces/Time"].split() == ["int32", "sec", "uint32", "nanosec"]
    assert "float64 w" in named["MSG: geometry_msgs/Quaternion"]


def test_arrays_are_written_as_definitions_have_them():
    assert "uint8[] data\n" in definition(Image)
    camera = definition(CameraInfo)
    assert "float64[] d\n" in camera
    assert "float64[9] k\n" in camera
    assert "bool do_rectify\n" in camera


def test_types_have_their_full_names():
    assert name_of(Image) == "sensor_msgs/msg/Image"
