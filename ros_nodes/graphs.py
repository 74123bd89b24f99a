"""Every graph by its name: what may be chosen, its nodes, and with which of them it ends."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from df_policy.ros_nodes import graph, record_graph
from df_policy.ros_nodes.graph import FruitSwapArguments, NodeSpec
from df_policy.ros_nodes.record_graph import RecordArguments
from df_policy.ros_nodes.robot_arguments import RobotArguments


@dataclass(frozen=True)
class Graph:
    """Nodes that are started together."""

    about: str
    arguments: type[RobotArguments]
    nodes: Callable[[Any], tuple[NodeSpec, ...]]
    """From its arguments."""
    driver: Callable[[Any], str]
    """The node with whose end all is over, and whose exit code is the graph's."""


GRAPHS = {
    "fruit_swap": Graph(
        "a robot, and the policy that drives it",
        FruitSwapArguments,
        graph.fruit_swap,
        graph.driver,
    ),
    "record": Graph(
        "a robot, whoever drives it, and the recorder",
        RecordArguments,
        record_graph.record,
        record_graph.driver,
    ),
}
