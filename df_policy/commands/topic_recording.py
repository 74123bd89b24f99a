"""A recording of what others do with a robot, heard over ROS 2; keys of the terminal steer it."""

from __future__ import annotations

import argparse
import signal
import sys
from contextlib import ExitStack, suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from df_policy.ros_nodes.recorder_node import RecorderNode

_SPIN_S = 0.02
SUMMARIES = {
    "topics": "whoever commands a robot over ROS 2",
    "guided": "an arm that is led by hand, over ROS 2",
}
"""Devices that are recordings of this kind."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a recording over topics."""
    topics = parser.add_argument_group(
        "--device topics: somebody else drives, over ROS 2; guided: a person leads the arm"
    )
    topics.add_argument(
        "--robot", default="", help="JSON file of the robot with its cameras, or a recording"
    )
    topics.add_argument(
        "--camera-rate", type=float, default=0.0, help="images a second; 0: one for each action"
    )
    topics.add_argument("--sim-time", action="store_true", help="stamps are those of /clock")


def run(options: argparse.Namespace, out: Path) -> int:
    """Record what is heard until there are enough episodes; returns the exit code."""
    try:
        from df_policy.ros_nodes.hearing import hearing
    except ImportError as error:
        raise DfPolicyError(
            f"expected ROS 2 for the device {options.device}, got {error}; "
            "pip install 'df_policy[ros]', or source ROS 2"
        ) from error
    from df_policy.processes import STOP_SIGNALS, stopping

    values: dict[str, Any] = {"out": str(out), "task": options.task, "robot": options.robot}
    values |= {"guided": options.device == "guided", "operator": options.device}
    values |= {"camera_rate_hz": options.camera_rate, "use_sim_time": options.sim_time}
    with ExitStack() as stack:
        stop = stack.enter_context(stopping((*STOP_SIGNALS, signal.SIGHUP)))
        node, spin_once = stack.enter_context(hearing(values))
        keys = _Keys(stack, options.episodes, options.aloud)
        while not (stop.is_set() or keys.quit or node.sink.asked >= options.episodes):
            spin_once(_SPIN_S)
            keys.serve(node)
    with suppress(OSError):  # the terminal may have hung up
        print(f"{node.sink.kept} of {options.episodes} episodes in {out}", file=sys.stderr)
    return 128 + stop.number if stop.is_set() else 0


class _Keys:
    """The terminal: what is pressed, and what is shown."""

    def __init__(self, stack: ExitStack, total: int, aloud: bool) -> None:
        from df_policy.teleop.dashboard import Dashboard
        from df_policy.teleop.keyboard import HELP, Keyboard
        from df_policy.teleop.listener import Listener

        self.quit, self._total, self._said, self._aloud = False, total, "", aloud
        keyboard, hints = Keyboard(moves=False), ""
        self._listener: Listener | None = None
        if sys.stdin.isatty():
            self._listener, hints = stack.enter_context(Listener(keyboard)), HELP
        self._board = stack.enter_context(Dashboard(hints, lambda: keyboard.note))

    def serve(self, node: RecorderNode) -> None:
        """Do what was pressed, and show how things are."""
        from df_policy.teleop.reading import Press

        for wish in self._listener.read().wishes if self._listener is not None else ():
            if wish.press is Press.QUIT:
                self.quit = True
                return
            try:
                self._said = node.obey(wish)
            except DfPolicyError as error:
                self._said = str(error)
        recorder, sink = node.recorder, node.sink
        if recorder.seen is not None:
            status = replace(
                recorder.status,
                message=self._said or recorder.status.message,
                kept=sink.kept,
                total=self._total,
                waiting=sink.waiting,
                aloud=self._aloud,
            )
            self._board.show(status, recorder.seen)
