"""The recorder node, for whoever runs episodes: one is begun, and kept if it succeeds."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from rclpy.node import Node

from df_policy.errors import DfPolicyError
from df_policy.ros_nodes import topics
from df_policy.teleop.reading import Press
from df_policy.teleop.status import Stage

MOST_FAILURES_IN_A_ROW = 50
"""So many one after the other are no accident: something is broken."""
_USED = (Press.START, Press.DROP, Press.KEEP, Press.SUCCESS, Press.FAILURE)


class RecorderLink:
    """Asks the recorder.

    Args:
        node: has the clients.
        ask: calls a service with its client of `callers`, and waits for the answer.
    """

    def __init__(self, node: Node, ask: Callable[[topics.Service], Any]) -> None:
        self._ask = ask
        self.callers: dict[topics.Service, Any] = {
            topics.RECORDER[press]: node.create_client(topics.TRIGGER, topics.RECORDER[press].name)
            for press in _USED
        }
        self._seed_out = topics.publisher(node, topics.SEED)
        self._failures = 0
        self.kept = 0
        """Episodes in the recording, those that are being written among them."""

    def prepare(self) -> None:
        """Forget what is open, and learn how many episodes there are."""
        self._press(Press.DROP)

    def announce(self, seed: int) -> None:
        """What is recorded next starts from this seed."""
        self._seed_out.publish(topics.SEED.message(data=seed))

    def begin(self) -> str:
        """Record from now on; why it cannot be, or nothing."""
        done, said = self._press(Press.START)
        return "" if done else str(said["said"])

    def end(self, success: bool) -> str:
        """Keep the episode if it succeeded; why it was not kept, or nothing.

        Raises:
            DfPolicyError: if no episode has been kept for long, or the recorder refuses to.
        """
        _, said = self._press(Press.SUCCESS if success else Press.FAILURE)
        whole = said["stage"] == Stage.RECORDING.value
        if success and whole:
            done, said = self._press(Press.KEEP)
            if not done:
                raise DfPolicyError(
                    f"expected the recorder to keep an episode, got: {said['said']}"
                )
            self._failures = 0
            return ""
        self._press(Press.DROP)
        self._failures += 1
        if self._failures >= MOST_FAILURES_IN_A_ROW:
            raise DfPolicyError(
                f"expected an episode to keep, got {self._failures} failures one after the other: "
                "look at the robot, the task and whoever drives"
            )
        return "dropped" if whole else "dropped: a stream was lost while it was recorded"

    def _press(self, press: Press) -> tuple[bool, dict[str, Any]]:
        answer = self._ask(topics.RECORDER[press])
        said = json.loads(answer.message)
        self.kept = int(said["asked"])
        return bool(answer.success), said
