"""A graph as a description for `ros2 launch`: all launch files are made of it."""

from __future__ import annotations

import os
from dataclasses import fields
from typing import Any

import yaml
from launch.actions import (
    DeclareLaunchArgument,
    ExecuteProcess,
    OpaqueFunction,
    SetEnvironmentVariable,
    Shutdown,
)
from launch.launch_description import LaunchDescription
from launch.substitutions import LaunchConfiguration

from df_policy.ros_nodes.graph import local_environment
from df_policy.ros_nodes.graphs import GRAPHS, Graph
from df_policy.ros_nodes.params import configure, field_kinds
from df_policy.ros_nodes.robot_arguments import RobotArguments


def description(name: str) -> LaunchDescription:
    """The processes of `python -m df_policy bringup NAME`.

    Args:
        name: of the graph.
    """
    graph = GRAPHS[name]
    settings = [SetEnvironmentVariable(*pair) for pair in local_environment(os.environ).items()]
    arguments = [
        DeclareLaunchArgument(
            entry.name, default_value=str(entry.default), description=entry.metadata["text"]
        )
        for entry in fields(graph.arguments)
    ]
    start = OpaqueFunction(function=_start, args=[graph])
    return LaunchDescription([*settings, *arguments, start])


def _start(context: Any, graph: Graph) -> list[Any]:
    """One process per node, with what the user chose."""
    from df_policy.commands.bringup import check

    arguments = _chosen(context, graph)
    nodes = graph.nodes(arguments)
    check(arguments)
    driver = graph.driver(arguments)

    def end(event: Any, context: Any) -> list[Any]:
        """Stop all once a node has ended; `ros2 launch` returns 0 only if the driver did."""
        driven = event.process_name.startswith(driver)
        if context.is_shutdown or (driven and event.returncode == 0):
            return [Shutdown(reason=f"{driver} is done")]
        raise RuntimeError(f"{event.process_name} ended with exit code {event.returncode}")

    return [
        ExecuteProcess(cmd=node.command(), name=node.name, output="screen", on_exit=end)
        for node in nodes
    ]


def _chosen(context: Any, graph: Graph) -> RobotArguments:
    values = {}
    for name, kind in field_kinds(graph.arguments).items():
        text = LaunchConfiguration(name).perform(context)
        values[name] = text if kind is str else yaml.safe_load(text)
    return configure(graph.arguments, values)
