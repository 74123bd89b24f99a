"""A node among the topics of other people's controllers, which listens in a thread of its own.

A driver asks it for what came last and waits for nothing, whatever its own node is doing.
"""

from __future__ import annotations

import contextlib
import threading
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import rclpy
from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
from rclpy.node import Node

from df_policy.hardware.arm import LostRobotError
from df_policy.ros_nodes import topics
from df_policy.ros_nodes.local_dds import keep_local

LOOK_S = 0.02
"""Between two looks at what is waited for."""


@dataclass(frozen=True)
class Controllers:
    """Where controllers are to be found."""

    namespace: str = "/"
    """Of their topics."""
    gripper: str = "franka_gripper"
    """The node of the gripper, within."""
    patience_s: float = 10.0
    """So long they are waited for at the start."""
    silence_s: float = 0.25
    """Who says nothing for so long is gone."""


class Heard:
    """The newest message of a topic, and how old it is.

    Args:
        node: who listens.
        topic: a row of a table of topics.
        names: what a message must name, where several senders share the topic.
    """

    def __init__(self, node: Node, topic: topics.Topic, names: tuple[str, ...] = ()) -> None:
        self._name = node.resolve_topic_name(topic.name)
        self._names = frozenset(names)
        self._newest: tuple[float, Any] | None = None
        self._stranger: Any = None
        # No more than the newest counts, and a controller may send a thousand a second.
        topics.subscribe(node, topic, self._take, depth=1)

    def _take(self, message: Any) -> None:
        if self._names and not self._names <= set(message.name):
            self._stranger = message
        else:
            self._newest = time.monotonic(), message

    def ask(self, silence_s: float) -> Any:
        """The newest message; one that names others, if no other ever came.

        Raises:
            LostRobotError: if it is older than `silence_s`, or there is none.
        """
        newest = self._newest
        if newest is None and self._stranger is not None:
            return self._stranger
        age_s = float("inf") if newest is None else time.monotonic() - newest[0]
        if newest is None or age_s > silence_s:
            got = "none" if newest is None else f"the last {age_s:.1f} s ago"
            raise LostRobotError(
                f"expected {self._name} every {silence_s:g} s, got {got}; "
                "is its broadcaster active?"
            )
        return newest[1]


class ControllerLink:
    """The node and its thread.

    Args:
        name: of the node.
        namespace: in which the controllers' topics are.
        beside: the driver's own node, whose context is used; without one, a context of its own.
    """

    def __init__(self, name: str, namespace: str, beside: Node | None = None) -> None:
        self._own = beside is None
        context = rclpy.Context() if beside is None else beside.context
        if self._own:
            keep_local()
            rclpy.init(context=context)
        self.node = Node(name, context=context, namespace=namespace or "/")
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._listen, name=name, daemon=True)

    def listen(self, look: Callable[[], None] = lambda: None) -> None:
        """Begin, once all is subscribed to.

        Args:
            look: called about every 20 ms by the link's thread.
        """
        self._look = look
        self._thread.start()

    def stop(self) -> None:
        """Listen no more, so that what was made by the node may be destroyed."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()

    def close(self) -> None:
        """Vanish."""
        self.stop()
        context = self.node.context
        self.node.destroy_node()
        if self._own:
            rclpy.try_shutdown(context=context)

    def _listen(self) -> None:
        executor = SingleThreadedExecutor(context=self.node.context)
        executor.add_node(self.node)
        with contextlib.suppress(ExternalShutdownException):
            next_s = time.monotonic()
            while not self._ended.is_set():
                executor.spin_once(timeout_sec=LOOK_S)
                if time.monotonic() >= next_s:
                    next_s = time.monotonic() + LOOK_S
                    self._look()
        executor.remove_node(self.node)
        executor.shutdown()
