"""The life of a node's process: start, spin, and end with an exit code that means something."""

from __future__ import annotations

import gc
import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

import rclpy
from rclpy.exceptions import InvalidParameterTypeException
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node
from rclpy.signals import SignalHandlerOptions

from df_policy.errors import DfPolicyError
from df_policy.processes import come_first
from df_policy.ros_nodes.local_dds import keep_local

N = TypeVar("N", bound=Node)
_LISTEN_S = 0.1
"""Between two looks whether a signal came."""


def run_node(
    name: str,
    make: Callable[[], N],
    args: list[str] | None,
    work: Callable[[N], int] | None = None,
    *,
    punctual: bool = False,
    until: Callable[[N], bool] = lambda _: False,
) -> int:
    """Make a node and spin it until it is told to end, or is done.

    Args:
        name: for messages before the node exists.
        make: builds the node; it may have a `close` method.
        args: the process' arguments, by default its own.
        work: does the node's work instead of spinning; returns the exit code.
        punctual: spin with real-time priority where the user may have it, so that what computes
            beside does not delay a tick.
        until: whether a node that spins is done; asked ten times a second and more.

    Returns:
        0 when done, and after SIGINT, SIGTERM or a shutdown (1 if that cut `work` short); 1 after
        an error that the user can mend.
    """
    keep_local()
    try:
        return _live(make, args, work, punctual, until)
    except (DfPolicyError, InvalidParameterTypeException) as error:
        rclpy.logging.get_logger(name).fatal(str(error))
        return 1


ENDING = threading.Event()
"""Whether this process was told to end. Libraries in C make other errors of an interrupt."""


class _Told:
    """Whether SIGINT or SIGTERM came; while nothing spins they end what goes on at once.

    ROS's own answer to them shuts communication down: a node could not brake any more.
    """

    def __init__(self) -> None:
        self.spinning = self.yes = False

    def __call__(self, _number: int, _frame: object) -> None:
        again, self.yes = self.yes, True
        ENDING.set()
        if again or not self.spinning:
            raise KeyboardInterrupt


@contextmanager
def _signals() -> Iterator[_Told]:
    told = _Told()
    ENDING.clear()
    numbers = (signal.SIGINT, signal.SIGTERM)
    before = {number: signal.signal(number, told) for number in numbers}
    try:
        yield told
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _live(
    make: Callable[[], N],
    args: list[str] | None,
    work: Callable[[N], int] | None,
    punctual: bool,
    until: Callable[[N], bool],
) -> int:
    """As `run_node`, but errors that the user can mend come out once all is closed."""
    told_to_end = 0 if work is None else 1
    rclpy.init(args=args, signal_handler_options=SignalHandlerOptions.NO)
    with _signals() as told:
        node: N | None = None
        try:
            node = make()
            # All that is there now stays; the collector would stop the node to look through it.
            gc.collect()
            gc.freeze()
            if punctual and not come_first():
                node.get_logger().info("no real-time priority: `ulimit -r` does not allow it")
            if work is not None:
                return work(node)
            _spin(node, told, until)
        except (KeyboardInterrupt, ExternalShutdownException):
            return told_to_end
        finally:
            told.spinning = told.yes = True  # a second signal ends what takes too long
            try:
                if node is not None:
                    getattr(node, "close", lambda: None)()
            finally:
                if node is not None:
                    node.destroy_node()
                rclpy.try_shutdown()
    return 0


def _spin(node: N, told: _Told, until: Callable[[N], bool]) -> None:
    executor = SingleThreadedExecutor()
    executor.add_node(node)
    told.spinning = True
    while not (told.yes or until(node)):
        executor.spin_once(timeout_sec=_LISTEN_S)
    executor.remove_node(node)
