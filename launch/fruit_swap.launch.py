"""Fruit swap: the simulated robot, the policy that drives it, and who counts the episodes.

`ros2 launch launch/fruit_swap.launch.py episodes:=5`; with `-s` it shows all arguments.
"""

from launch import LaunchDescription

from df_policy.ros_nodes.launching import description


def generate_launch_description() -> LaunchDescription:
    """The processes of `python -m df_policy bringup fruit_swap`."""
    return description("fruit_swap")
