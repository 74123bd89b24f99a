"""The life of a node's process: start, spin, and end with an exit code that means something."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import rclpy
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from df_policy.errors import DfPolicyError

N = TypeVar("N", bound=Node)


def run_node(
    name: str,
    make: Callable[[], N],
    args: list[str] | None,
    work: Callable[[N], int] | None = None,
) -> int:
    """Make a node and spin it until it is told to end.

    Args:
        name: for messages before the node exists.
        make: builds the node; it may have a `close` method.
        args: the process' arguments, by default its own.
        work: does the node's work instead of spinning; returns the exit code.

    Returns:
        0 after SIGINT, SIGTERM or a shutdown (1 if that cut `work` short); 1 after an error that
        the user can mend.
    """
    try:
        return _live(make, args, work)
    except (DfPolicyError, InvalidParameterTypeException) as error:
        rclpy.logging.get_logger(name).fatal(str(error))
        return 1


def _live(make: Callable[[], N], args: list[str] | None, work: Callable[[N], int] | None) -> int:
    """As `run_node`, but errors that the user can mend come out once all is closed."""
    told_to_end = 0 if work is None else 1
    rclpy.init(args=args)
    executor = SingleThreadedExecutor()  # before a signal can come: half made, it complains
    node: N | None = None
    try:
        node = make()
        if work is not None:
            return work(node)
        executor.add_node(node)
        executor.spin()
    except (KeyboardInterrupt, ExternalShutdownException):
        return told_to_end
    except (DfPolicyError, InvalidParameterTypeException):
        raise
    except Exception:
        if rclpy.ok():
            raise
        return told_to_end  # a signal ended ROS in the middle of something
    finally:
        try:
            if node is not None:
                getattr(node, "close", lambda: None)()
        finally:
            if node is not None:
                node.destroy_node()
            rclpy.try_shutdown()
    return 0
