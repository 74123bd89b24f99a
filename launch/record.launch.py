"""Recording: a robot, whoever drives it, and the recorder.

`ros2 launch launch/record.launch.py device:=scripted out:=a.zarr`; with `-s` all arguments.
"""

from launch import LaunchDescription

from df_policy.ros_nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """The processes of `python -m df_policy bringup record`."""
    return description("record")
