"""Runs episodes of the simulated task, one after the other, counts and perhaps records them.

Run it with `python -m df_policy.ros_nodes.episode_node --ros-args -p episodes:=5`.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from df_policy.errors import DfPolicyError
from df_policy.ros_nodes import missing_ros
from df_policy.ros_nodes.graph import SETTLE_S
from df_policy.ros_nodes.monitor import Pace
from df_policy.ros_nodes.params import declare, parameter
from df_policy.ros_nodes.tally import Ending, Tally

try:
    from rclpy.executors import ExternalShutdownException, SingleThreadedExecutor
    from rclpy.node import Node

    from df_policy.ros_nodes import convert, topics
    from df_policy.ros_nodes.recorder_link import RecorderLink
    from df_policy.ros_nodes.running import run_node
    from df_policy.ros_nodes.target_trace import Trace
except ImportError as error:
    raise SystemExit(missing_ros(error)) from None

CALL_TIMEOUT_S = 20.0
PATIENCE_S = 20.0
STANDSTILL_S = 20.0


@dataclass(frozen=True)
class EpisodeNodeConfig:
    """Parameters of the episode node."""

    episodes: int = parameter(5, "how many to run")
    duration_s: float = parameter(22.4, "length of each [s of simulated time]")
    result_path: str = parameter("", "a .json file for the result")
    trace_path: str = parameter("", "an .npz file of all targets, and of the times of all plans")
    settle_s: float = parameter(
        SETTLE_S, "from a reset to the start, until nothing comes any more from before [s]"
    )
    ready_timeout_s: float = parameter(90.0, "how long to wait for the other nodes")
    record: bool = parameter(
        False, "have the recorder keep what succeeds, until it holds `episodes`"
    )

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        if self.episodes < 1 or self.duration_s <= 0.0 or self.ready_timeout_s <= 0.0:
            raise ValueError(
                "expected episodes, duration_s and ready_timeout_s above 0, got "
                f"{self.episodes}, {self.duration_s}, {self.ready_timeout_s}"
            )
        if self.settle_s < 0.0:
            raise ValueError(f"expected settle_s from 0, got {self.settle_s}")


class EpisodeNode(Node):
    """Resets, starts, waits, judges; measures the targets' rate on the way.

    Args:
        overrides: rclpy's arguments, for tests.
    """

    def __init__(self, **overrides: Any) -> None:
        super().__init__(
            "episode_node", automatically_declare_parameters_from_overrides=True, **overrides
        )
        self.config = declare(self, EpisodeNodeConfig)
        self.tally = Tally()
        self._pace: Pace | None = None
        self._callers: dict[topics.Service, Any] = {
            service: self.create_client(topics.TRIGGER, service.name) for service in topics.DRIVING
        }
        self._recorder = RecorderLink(self, self._ask) if self.config.record else None
        if self._recorder is not None:
            self._callers |= self._recorder.callers
        topics.subscribe(self, topics.TARGET_POSE, self._on_target)
        self.trace = Trace(self) if self.config.trace_path else None
        self._executor = SingleThreadedExecutor(context=self.context)
        self._executor.add_node(self)

    def run(self) -> Tally:
        """All episodes.

        Raises:
            DfPolicyError: if another node does not answer, or time stands still.
        """
        deadline_s = time.monotonic() + self.config.ready_timeout_s
        for service, caller in self._callers.items():
            self._wait(
                caller.service_is_ready,
                deadline_s - time.monotonic(),
                f"{service.server} to offer {service.name}",
            )
        if self._recorder is not None:
            self._recorder.prepare()
        while (number := self._done()) < self.config.episodes:
            ending = self._episode()
            self.tally.add(ending)
            self.get_logger().info(
                f"episode {number + 1}/{self.config.episodes}  seed {ending.seed}  "
                f"{ending.reason:<20} {ending.rate_hz:5.1f} Hz, worst gap "
                f"{ending.worst_gap_ms:.0f} ms"
            )
        self.get_logger().info(self.tally.summary())
        return self.tally

    def _done(self) -> int:
        """Episodes that count: those that ran, or where it is recorded those that were kept."""
        return len(self.tally.endings) if self._recorder is None else self._recorder.kept

    def _episode(self) -> Ending:
        reset = json.loads(self._insist(topics.RESET))
        if self._recorder is not None:
            self._recorder.announce(int(reset["seed"]))
        self._until(int(reset["stamp_ns"]) + round(self.config.settle_s * 1e9))
        self._insist(topics.START)
        if self._recorder is not None:
            self._record(self._recorder)
        self._pace = Pace(window=1_000_000)
        if self.trace is not None:
            self.trace.begin()
        self._until(self._now_ns() + round(self.config.duration_s * 1e9))
        pace, self._pace = self._pace, None
        if self.trace is not None:
            self.trace.end()
        verdict = json.loads(self._call(topics.JUDGE))
        reason = str(verdict["reason"])
        if self._recorder is not None and (why := self._recorder.end(bool(verdict["success"]))):
            reason = f"{reason}, {why}"
        self._call(topics.STOP)
        return Ending(
            seed=int(reset["seed"]),
            success=bool(verdict["success"]),
            reason=reason,
            targets=pace.count,
            rate_hz=pace.rate_hz,
            worst_gap_ms=pace.worst_gap_ns * 1e-6,
        )

    def _insist(self, service: topics.Service) -> str:
        """Call until what speaks against it has passed; the answer's message.

        An arm needs a moment to come to rest before a reset, and sensors one after it.

        Raises:
            DfPolicyError: if it does not pass, or there is no answer.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while not (answer := self._ask(service)).success:
            heals = str(answer.message).startswith(topics.NOT_YET)
            if not heals or time.monotonic() > deadline_s:
                raise _refusal(service, answer)
            self._spin_for(0.2)
        return str(answer.message)

    def _record(self, recorder: RecorderLink) -> None:
        """Begin to record, which takes a target to have been heard of.

        Raises:
            DfPolicyError: if the recorder cannot.
        """
        deadline_s = time.monotonic() + PATIENCE_S
        while why := recorder.begin():
            if time.monotonic() > deadline_s:
                raise DfPolicyError(f"expected the recorder to begin, got: {why}")
            self._spin_for(0.02)

    def _on_target(self, message: Any) -> None:
        if self._pace is not None:
            self._pace.tick(convert.stamp_of(message.header.stamp))

    def _is_after(self, stamp_ns: int) -> bool:
        return self._now_ns() > stamp_ns

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _call(self, service: topics.Service) -> str:
        """The answer's message.

        Raises:
            DfPolicyError: if there is no answer, or it says no.
        """
        answer = self._ask(service)
        if not answer.success:
            raise _refusal(service, answer)
        return str(answer.message)

    def _ask(self, service: topics.Service) -> Any:
        """The answer, yes or no.

        Raises:
            DfPolicyError: if there is none.
        """
        future = self._callers[service].call_async(topics.TRIGGER.Request())
        self._wait(future.done, CALL_TIMEOUT_S, f"{service.server} to answer {service.name}")
        answer = future.result()
        if answer is None:
            raise DfPolicyError(f"expected {service.server} to answer {service.name}, got nothing")
        return answer

    def _until(self, stamp_ns: int) -> None:
        """Wait for a simulated time."""
        while (before_ns := self._now_ns()) < stamp_ns:
            self._spin_once(0.02)  # a clock that goes by itself does not wait for messages
            self._wait(
                partial(self._is_after, before_ns),
                STANDSTILL_S,
                "the clock to go on; is use_sim_time set and sim_node alive?",
            )

    def _spin_for(self, duration_s: float) -> None:
        deadline_s = time.monotonic() + duration_s
        while (left_s := deadline_s - time.monotonic()) > 0.0:
            self._spin_once(left_s)

    def _spin_once(self, timeout_s: float) -> None:
        self._executor.spin_once(timeout_sec=timeout_s)

    def _wait(self, done: Callable[[], bool], timeout_s: float, what: str) -> None:
        """Spin until `done`.

        Raises:
            DfPolicyError: after `timeout_s`, saying what was waited for.
        """
        deadline_s = time.monotonic() + timeout_s
        while not done():
            if not self.context.ok():
                raise ExternalShutdownException
            left_s = deadline_s - time.monotonic()
            if left_s <= 0.0:
                raise DfPolicyError(f"expected {what} within {timeout_s:.3g} s, got nothing")
            self._spin_once(min(left_s, 0.2))

    def close(self) -> None:
        """Leave the executor."""
        self._executor.shutdown()


def _refusal(service: topics.Service, answer: Any) -> DfPolicyError:
    return DfPolicyError(f"expected {service.name} to succeed, got: {answer.message}")


def work(node: EpisodeNode) -> int:
    """Run the episodes and write the result; returns the exit code.

    Without any episode an earlier result stays.
    """
    try:
        node.run()
    finally:
        if node.config.result_path and node.tally.endings:
            node.tally.write(Path(node.config.result_path), node.config.episodes)
        if node.trace is not None:
            node.trace.write(Path(node.config.trace_path))
    return 0


def main(args: list[str] | None = None) -> int:
    """Run the node; returns the exit code: 0 if all episodes ran, however they ended."""
    return run_node("episode_node", EpisodeNode, args, work)


if __name__ == "__main__":
    sys.exit(main())
