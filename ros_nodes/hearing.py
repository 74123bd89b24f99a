"""The recorder node within a program that does more than spin it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

import rclpy
from rclpy.executors import SingleThreadedExecutor
from rclpy.parameter import Parameter

from df_policy.ros_nodes.local_dds import keep_local
from df_policy.ros_nodes.recorder_node import RecorderNode


@contextmanager
def hearing(
    values: Mapping[str, object],
) -> Iterator[tuple[RecorderNode, Callable[[float], None]]]:
    """The node, and what lets it live for at most so many seconds; all is written at the end.

    Args:
        values: parameters of the node.

    Raises:
        DfPolicyError: if the node cannot start.
    """
    keep_local()
    context = rclpy.Context()
    rclpy.init(context=context)
    try:
        parameters = [Parameter(name, value=value) for name, value in values.items()]
        node = RecorderNode(context=context, parameter_overrides=parameters)
        executor = SingleThreadedExecutor(context=context)
        executor.add_node(node)
        try:
            yield node, lambda seconds: executor.spin_once(timeout_sec=seconds)
        finally:
            try:
                executor.remove_node(node)
                node.close()
            finally:
                node.destroy_node()
    finally:
        rclpy.try_shutdown(context=context)
