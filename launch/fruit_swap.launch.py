"""Fruit swap: the simulated robot, the policy that drives it, and who counts the episodes.

`ros2 launch launch/fruit_swap.launch.py episodes:=5`; with `-s` it shows all arguments.
"""

import os
from dataclasses import fields

import yaml
from launch import LaunchContext, LaunchDescription, LaunchDescriptionEntity
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.events.process import ProcessExited
from launch.substitutions import LaunchConfiguration

from df_policy.commands.bringup import look_before
from df_policy.ros_nodes.graph import DRIVER, FruitSwapArguments, fruit_swap, local_environment
from df_policy.ros_nodes.params import configure, field_kinds


def generate_launch_description() -> LaunchDescription:
    """The processes of `python -m df_policy bringup fruit_swap`."""
    settings = [SetEnvironmentVariable(*pair) for pair in local_environment(os.environ).items()]
    arguments = [
        DeclareLaunchArgument(
            entry.name, default_value=str(entry.default), description=entry.metadata["text"]
        )
        for entry in fields(FruitSwapArguments)
    ]
    return LaunchDescription([*settings, *arguments, OpaqueFunction(function=start)])


def start(context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """One process per node, with what the user chose."""
    values = {}
    for name, kind in field_kinds(FruitSwapArguments).items():
        text = LaunchConfiguration(name).perform(context)
        values[name] = text if kind is str else yaml.safe_load(text)
    arguments = configure(FruitSwapArguments, values)
    if arguments.robot == "franka":
        look_before(arguments)
    return [
        ExecuteProcess(cmd=node.command(), name=node.name, output="screen", on_exit=end)
        for node in fruit_swap(arguments)
    ]


def end(event: ProcessExited, context: LaunchContext) -> list[LaunchDescriptionEntity]:
    """Stop all once a node has ended; `ros2 launch` returns 0 only if the driver did."""
    if context.is_shutdown or (event.process_name.startswith(DRIVER) and event.returncode == 0):
        return [Shutdown(reason="all episodes ran")]
    raise RuntimeError(f"{event.process_name} ended with exit code {event.returncode}")
