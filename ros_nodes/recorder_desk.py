"""What a person at a device asks of the recorder, and of a simulation: nothing here waits."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any

from rclpy.node import Node

from df_policy.ros_nodes import topics
from df_policy.teleop.reading import Press, Wish
from df_policy.teleop.status import Stage, Status

_ENDS = {Press.KEEP: Press.KEEP, Press.DROP: Press.DROP, Press.RERECORD: Press.DROP}
_NO_RECORDER = "no recorder answers: is recorder_node up?"


class RecorderDesk:
    """Passes presses on, and keeps what was answered.

    Where a simulation offers it, each episode gets a start of its own, and an episode that the
    person did not mark is marked by the simulation's verdict before it is kept.

    Args:
        node: has the clients.
        ended: is called when an episode is over.
        laid_out: is told when [ns] the simulation began a new start.
    """

    def __init__(
        self, node: Node, ended: Callable[[], None], laid_out: Callable[[int], None]
    ) -> None:
        wanted = (*topics.RECORDER.values(), topics.RESET, topics.JUDGE)
        self._clients: dict[topics.Service, Any] = {
            one: node.create_client(topics.TRIGGER, one.name) for one in wanted
        }
        self._seed_out = topics.publisher(node, topics.SEED)
        self._note_out = topics.publisher(node, topics.NOTE)
        self._ended, self._laid_out = ended, laid_out
        self.status = Status(seed=-1)

    @property
    def simulated(self) -> bool:
        """Whether somebody lays out new starts."""
        return bool(self._clients[topics.RESET].service_is_ready())

    def lay_out(self) -> None:
        """Ask the simulation for the next start; it refuses while somebody moves the robot."""
        self._ask(topics.RESET, self._on_reset)

    def obey(self, wish: Wish) -> None:
        """Do what was pressed, as soon as the others answer."""
        press = wish.press
        if press is Press.TOGGLE:
            recording = self.status.stage is Stage.RECORDING
            press = Press.PAUSE if recording else Press.START
        if press is Press.NOTE:
            self._note_out.publish(topics.NOTE.message(data=wish.text))
            self._set(note=wish.text, message="noted")
        elif press is Press.KEEP and self.status.success is None and self.simulated:
            self._ask(topics.JUDGE, self._on_verdict)
        elif (press := _ENDS.get(press, press)) in topics.RECORDER:
            self._press(press)
        else:
            self._set(message="end it where it was started")

    def _press(self, press: Press) -> None:
        self._ask(topics.RECORDER[press], partial(self._on_answer, press))

    def _ask(self, service: topics.Service, then: Callable[[Any], None]) -> None:
        client = self._clients[service]
        if not client.service_is_ready():
            self._set(message=_NO_RECORDER)
            return
        future = client.call_async(topics.TRIGGER.Request())
        future.add_done_callback(lambda done: then(done.result()))

    def _on_reset(self, answer: Any) -> None:
        if not answer.success:
            self._set(message=str(answer.message))
            return
        start = json.loads(answer.message)
        self._seed_out.publish(topics.SEED.message(data=int(start["seed"])))
        self._set(seed=int(start["seed"]))
        self._laid_out(int(start["stamp_ns"]))

    def _on_verdict(self, answer: Any) -> None:
        success = bool(answer.success and json.loads(answer.message)["success"])
        self._press(Press.SUCCESS if success else Press.FAILURE)
        self._press(Press.KEEP)

    def _on_answer(self, press: Press, answer: Any) -> None:
        said = json.loads(answer.message)
        self._set(stage=Stage(said["stage"]), kept=int(said["kept"]), message=str(said["said"]))
        if not answer.success:
            return
        if press in (Press.SUCCESS, Press.FAILURE):
            self._set(success=press is Press.SUCCESS)
        if press in _ENDS:
            self._set(success=None, note="")
            self._ended()

    def _set(self, **changes: object) -> None:
        self.status = replace(self.status, **changes)  # type: ignore[arg-type]
