"""The one way to the command topics: what is sent has passed the safety gate.

No other module publishes on them, which a test reads off the source.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from rclpy.clock import ROSClock
from rclpy.node import Node
from rclpy.publisher import Publisher

from df_policy.errors import DfPolicyError
from df_policy.frames import Action
from df_policy.gate import Cleared, Gate, Measured
from df_policy.ros_nodes import convert, topics

_COMMANDS = (topics.TARGET_GRIPPER, topics.TARGET_POSE)
"""In this order: the gripper's target waits at the receiver for the pose it belongs to."""
_LONGEST_BRAKE = 1000
"""Ticks; far more than any limits need."""


class Commander:
    """Asks a gate for the target of each tick, and publishes it.

    It holds, too, while somebody else sends on its topics: nobody could say which target is
    meant; and, where one is asked for, while no dead-man switch is held down.

    Args:
        node: who publishes.
        gate: what every target passes.
        tick_ns: time between two targets.
        dead_man_s: how old the last `dead_man` that was true may be; 0: none is needed.
        listen: hears of each message that goes out, or comes from the dead-man switch.
        served: hears of each answer to a service.
    """

    def __init__(
        self,
        node: Node,
        gate: Gate,
        tick_ns: int,
        dead_man_s: float = 0.0,
        listen: Callable[[topics.Topic, Any], None] = lambda *_: None,
        served: Callable[[topics.Service, Any], None] = lambda *_: None,
    ) -> None:
        self._node, self._gate, self._tick_ns = node, gate, tick_ns
        self._dead_man_s = dead_man_s
        self._listen = listen
        self._outputs: dict[topics.Topic, Publisher[Any]] = {}
        self._pressed_s: float | None = None
        self._last_ns = 0
        topics.subscribe(node, topics.DEAD_MAN, self._on_dead_man)
        topics.serve(node, topics.SAFETY_STOP, self._on_stop, served)
        topics.serve(node, topics.RELEASE, self._on_release, served)

    @property
    def stopped(self) -> str:
        """Why nothing moves until `safety/release`; empty if nothing was stopped."""
        return self._gate.stopped

    @property
    def moving(self) -> bool:
        """Whether what was sent last still needs a brake."""
        return self._gate.moving

    def change(self, max_state_age_s: float, dead_man_s: float) -> None:
        """From now on hold by these."""
        self._gate.max_age_s, self._dead_man_s = max_state_age_s, dead_man_s

    def open(self) -> None:
        """Appear on the command topics."""
        self._outputs = {topic: topics.publisher(self._node, topic) for topic in _COMMANDS}

    def close(self) -> None:
        """Come to a stop, and vanish from the command topics."""
        if self._outputs:
            self._brake_now()
        for output in self._outputs.values():
            self._node.destroy_publisher(output)
        self._outputs = {}

    def begin(self, here: Action, now_ns: int) -> None:
        """Expect the first targets near `here`.

        Raises:
            DfPolicyError: if the robot was stopped, or is where it may not be.
        """
        if self._gate.stopped:
            raise DfPolicyError(f"{self._gate.stopped}: call {topics.RELEASE.name} first")
        self._gate.begin(here, self._steady(now_ns))

    def send(
        self, now_ns: int, wanted: Action, measured: Measured | None, why: str = ""
    ) -> Cleared:
        """Publish the target of this tick.

        Args:
            now_ns: the time of the tick.
            wanted: where the tool shall be at its end.
            measured: what the robot last said.
            why: if not empty, hold instead, for this reason.
        """
        why = why or self._dead() or self.rivals()
        held = None if why else wanted
        cleared = self._gate.pass_on(now_ns, held, measured, why, self._steady(now_ns))
        self._publish(cleared)
        return cleared

    def settle(self, now_ns: int) -> None:
        """Nobody drives: come to a stop, then be silent."""
        if self._gate.moving:
            steady_ns = self._steady(now_ns)
            why = "nobody drives"
            self._publish(self._gate.pass_on(now_ns, None, why=why, steady_ns=steady_ns))

    def rivals(self) -> str:
        """Who else sends commands; empty if nobody does."""
        return rivals(self._node, allowed=1)

    def report(self) -> dict[str, object]:
        """What diagnostics tell of the gate."""
        held = {f"gate_held_ticks {kind}": count for kind, count in self._gate.held.items()}
        return {"stopped": self._gate.stopped or "no", **held}

    def _publish(self, cleared: Cleared) -> None:
        self._last_ns = cleared.stamp_ns
        messages = {
            topics.TARGET_GRIPPER: convert.gripper_message(cleared.target.gripper_m),
            topics.TARGET_POSE: convert.pose_message(cleared.stamp_ns, cleared.target.tool),
        }
        for topic, output in self._outputs.items():
            output.publish(messages[topic])
            self._listen(topic, messages[topic])

    def _steady(self, now_ns: int) -> int:
        """The time for counting ticks; only a simulated clock can tell simulated ones."""
        clock = self._node.get_clock()
        simulated = isinstance(clock, ROSClock) and clock.ros_time_is_active
        return now_ns if simulated else time.monotonic_ns()

    def _brake_now(self) -> None:
        """Come to a stop before this returns, though no timer runs meanwhile."""
        for _ in range(_LONGEST_BRAKE):
            if not self._gate.moving:
                return
            self.settle(self._last_ns + self._tick_ns)
            time.sleep(self._tick_ns * 1e-9)

    def _dead(self) -> str:
        if self._dead_man_s <= 0.0:
            return ""
        if self._pressed_s is None:
            return f"expected {topics.DEAD_MAN.name} held down, got it released"
        if time.monotonic() - self._pressed_s > self._dead_man_s:
            return f"expected {topics.DEAD_MAN.name} every {self._dead_man_s:g} s, got none"
        return ""

    def _on_dead_man(self, message: Any) -> None:
        self._pressed_s = time.monotonic() if message.data else None
        self._listen(topics.DEAD_MAN, message)

    def _on_stop(self, _request: Any, response: Any) -> Any:
        self._gate.stop(f"stopped by {topics.SAFETY_STOP.name}")
        self._node.get_logger().warning(self._gate.stopped)
        response.success, response.message = True, self._gate.stopped
        return response

    def _on_release(self, _request: Any, response: Any) -> Any:
        response.message = (
            f"released: {self._gate.stopped}" if self._gate.stopped else "not stopped"
        )
        self._gate.release()
        response.success = True
        return response


def rivals(node: Node, allowed: int) -> str:
    """Who sends commands beside those that may; empty if nobody does.

    Args:
        node: asks the graph.
        allowed: senders of each command that there may be.
    """
    for topic in _COMMANDS:
        if node.count_publishers(node.resolve_topic_name(topic.name)) > allowed:
            found = node.get_publishers_info_by_topic(topic.name)
            names = sorted(f"{info.node_namespace.rstrip('/')}/{info.node_name}" for info in found)
            return f"expected one sender of {topic.name}, got {len(names)}: {', '.join(names)}"
    return ""
