"""Drives a robot with a policy: looks, and sends targets by the clock; plans come from beside.

Run it with `python -m df_policy.ros_nodes.policy_node --ros-args -p checkpoint:=fruit_swap`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, replace
from typing import Any

from df_policy import __version__
from df_policy.align import LateStreamError, RobotStreams
from df_policy.costs import parse
from df_policy.errors import DfPolicyError
from df_policy.gate import Gate
from df_policy.ros_nodes import missing_ros, planner_process
from df_policy.ros_nodes.injection import Injection
from df_policy.ros_nodes.planner_link import PlannerLink
from df_policy.ros_nodes.planner_start import Start, starter
from df_policy.ros_nodes.planning import Job, Outcome, Picture, Recall
from df_policy.ros_nodes.policy_config import LIVE, PolicyNodeConfig
from df_policy.ros_nodes.session import WAITING, PolicySession, Timing

try:
    from rclpy.callback_groups import MutuallyExclusiveCallbackGroup

    from df_policy.ros_nodes import convert, topics
    from df_policy.ros_nodes.commander import Commander
    from df_policy.ros_nodes.imagined_images import ImaginedImages
    from df_policy.ros_nodes.intake import RobotIntake
    from df_policy.ros_nodes.managed import ManagedNode
    from df_policy.ros_nodes.markers import limits_message
    from df_policy.ros_nodes.policy_log import PolicyLog
    from df_policy.ros_nodes.policy_report import PolicyReport
    from df_policy.ros_nodes.running import run_node
except ImportError as error:
    raise SystemExit(missing_ros(error)) from None

LOOK_NS = 4_000_000
"""What a look may take on a busy machine."""


class NotYetError(DfPolicyError):
    """The node cannot drive now, and may soon."""


class PolicyNode(ManagedNode[PolicyNodeConfig]):
    """From `policy/start` to `policy/stop` it sends targets; else it is silent.

    It is on the command topics only while it is active.

    Args:
        start: from the parameters, how to start a planner.
        overrides: rclpy's arguments, for tests.

    Raises:
        DfPolicyError: for parameters or a checkpoint that cannot be used.
    """

    def __init__(self, start: Callable[[PolicyNodeConfig], Start], **overrides: Any) -> None:
        super().__init__("policy_node", PolicyNodeConfig, LIVE, **overrides)
        self._start = start
        self._session: PolicySession | None = None
        self._resources = ExitStack()
        self._stopped = ""
        if self.config.autostart:
            self.start()

    def configure(self) -> None:
        """Start the planner, and listen to the robot."""
        self._log = PolicyLog("", {}, self._now_ns)
        self._planning = PlannerLink(self._start(self.config), self._on_record)
        self._resources.callback(self._end_planning)
        hello = self._planning.hello()
        self._spec = hello.spec()
        if self.config.rate_hz < 2.0 * self._spec.action_rate_hz:
            raise DfPolicyError(
                f"expected rate_hz of at least {2.0 * self._spec.action_rate_hz:g}, two targets "
                f"per action, got {self.config.rate_hz:g}: slower, the policy would not be told "
                "what the robot did"
            )
        self._timing = Timing(
            tick_ns=round(1e9 / self.config.rate_hz),
            every=hello.every,
            commit=hello.commit,
            gather_ns=round(self.config.gather_s * 1e9),
            plan_age_ns=round(self.config.max_plan_age_s * 1e9),
        )
        self._open_log(hello.robot)
        self._streams = RobotStreams(
            self._spec.cameras, self.config.max_image_age_s, self.config.max_state_age_s
        )
        self._starts = 0
        told = (topics.PLAN, topics.TIMING, topics.LIMITS, topics.DIAGNOSTICS)
        self._outputs = {topic: topics.publisher(self, topic) for topic in told}
        imagining = self._spec.cameras if self.config.imagine else ()
        self._imagined = ImaginedImages(self, imagining, self._log.message)
        self._intake = RobotIntake(
            self,
            self._spec,
            self._streams,
            self._look,
            best_effort_images=self.config.best_effort_images,
            injection=Injection(round(self.config.inject_delay_ms * 1e6), self.config.inject_loss),
            listen=self._log.message,
        )
        gate = Gate(self._spec, 1.0 / self.config.rate_hz, self.config.max_state_age_s)
        if self._stopped:
            gate.stop(self._stopped)
        self._commands = Commander(
            self,
            gate,
            self._timing.tick_ns,
            self.config.dead_man_s,
            self._on_command,
            self._log.served,
        )
        self._resources.callback(self._keep_stopped)
        parts = (self._planning, self._streams, self._intake, self._commands, self._log)
        self._figures = PolicyReport(self._timing.tick_ns, *parts)
        topics.serve(self, topics.START, self._on_start, self._log.served)
        topics.serve(self, topics.STOP, self._on_stop, self._log.served)
        # Reports go on while a simulated clock stands still.
        self._report_timer = self.steady_ticker(1.0, self._report)
        self._send(topics.LIMITS, limits_message(self._spec, parse(self.config.costs)))

    def activate(self) -> None:
        """Appear on the command topics, and tick."""
        self._commands.open()
        self._timer = self.ticker(
            1.0 / self.config.rate_hz, self._tick, MutuallyExclusiveCallbackGroup()
        )
        self._log.state("active")
        self.get_logger().info(f"ready to drive {self._spec.name}: call {topics.START.name}")

    def deactivate(self) -> None:
        """Come to a stop, and leave the command topics."""
        self._session = None
        self._figures.end()
        self._commands.close()
        self._log.state("inactive")

    def cleanup(self) -> None:
        """End the planner's process, and the log; what is stopped stays so.

        Raises:
            DfPolicyError: if the log could not be written.
        """
        self._resources.close()

    def changed(self, names: set[str]) -> None:
        """Take over live parameters."""
        for name in sorted(names):
            self._log.parameter(name, getattr(self.config, name))
        if "costs" in names:
            if self._session is not None:
                self._session.bend(self.config.costs)
            self._send(topics.LIMITS, limits_message(self._spec, parse(self.config.costs)))
        for stream in self._streams.all():
            images = stream in self._streams.images.values()
            stream.max_age_s = (
                self.config.max_image_age_s if images else self.config.max_state_age_s
            )
        self._timing = replace(self._timing, gather_ns=round(self.config.gather_s * 1e9))
        self._commands.change(self.config.max_state_age_s, self.config.dead_man_s)

    def _open_log(self, robot: str) -> None:
        about = {"version": __version__, "robot": robot, **asdict(self.config)}
        self._log = PolicyLog(self.config.log, about, self._now_ns)
        self._resources.callback(self._log.close)
        if self._log.file is not None:
            self.get_logger().info(f"writing the log {self._log.file}")

    def _keep_stopped(self) -> None:
        self._stopped = self._commands.stopped

    def _end_planning(self) -> None:
        if not self._planning.close():
            self.get_logger().warning("the planner did not end within 5 s: killed")

    def _on_command(self, topic: topics.Topic, message: Any) -> None:
        self._log.message(topic, "", message)

    def _send(self, topic: topics.Topic, message: Any) -> None:
        self._outputs[topic].publish(message)
        self._on_command(topic, message)

    def _on_record(self, record: Job | Recall | Outcome | Picture) -> None:
        if isinstance(record, Picture):
            self._imagined.add(record)
        else:
            self._log.record(record)

    def _now_ns(self) -> int:
        return self.get_clock().now().nanoseconds

    def _look(self) -> None:
        """Look at once, unless a tick is near: it must not wait, and looks when it is done."""
        if self._session is None or (self._timer.time_until_next_call() or 0) < LOOK_NS:
            return
        self._session.look(self._now_ns())

    def _tick(self) -> None:
        self._intake.release()
        if self._session is None:
            self._planning.take()  # a planner that dies between two starts is mended too
            self._commands.settle(self._now_ns())
            return
        now_ns = self._now_ns()
        target, plan, why = self._session.target(now_ns)
        cleared = self._commands.send(now_ns, target, self._intake.measured(), why)
        self._session.sent(now_ns, cleared.target)
        sent_ns = self._now_ns()
        self._figures.sent(sent_ns, cleared.reason)
        self._session.look(sent_ns)
        if plan is not None:
            self._send(topics.PLAN, convert.plan_message(plan))
            if self._session.chain is not None:
                self._send(topics.TIMING, convert.timing_message(self._session.chain))
        self._imagined.publish(plan)
        if cleared.reason and cleared.reason != WAITING:
            self.get_logger().warning(f"holding: {cleared.reason}", throttle_duration_sec=2.0)
        if self._commands.stopped:
            self._session = None

    def _on_start(self, _request: Any, response: Any) -> Any:
        now_ns = self._now_ns()
        try:
            if not self.active:
                raise NotYetError("expected an active node, got an inactive one: activate it")
            self._intake.check(now_ns)
            if self._planning.down:
                raise NotYetError(f"expected a planner, got none: {self._planning.down}")
            seed = self.config.seed + self._starts
            session = PolicySession(
                self._starts, seed, self._spec, self._timing, self._streams, self._planning, now_ns
            )
            self._commands.begin(session.here, now_ns)
        except DfPolicyError as error:
            heals = isinstance(error, LateStreamError | NotYetError)
            kind = topics.NOT_YET if heals else topics.REFUSED
            response.success, response.message = False, f"{kind}{error}"
            needs_a_person = not heals and not self._commands.stopped
            self._figures.refused = response.message if needs_a_person else ""
            self.get_logger().warning(response.message, throttle_duration_sec=2.0)
            return response
        session.bend(self.config.costs)
        self._session = session
        self._starts += 1
        self._figures.begin()
        response.success, response.message = True, f"started with seed {seed}"
        return response

    def _on_stop(self, _request: Any, response: Any) -> Any:
        response.message = "stopped" if self._session is not None else "was not started"
        response.success = True
        self._session = None
        self._figures.end()
        return response

    def _report(self) -> None:
        now_ns = self._now_ns()
        state = {"state": "active" if self.active else "inactive"}
        values = state | self._figures.values(self._session, now_ns)
        if self._session is not None and (slow := self._figures.slow):
            self.get_logger().warning(slow, throttle_duration_sec=5.0)
        told = self._figures.health(self._session)
        message = convert.diagnostics_message(now_ns, self.full_name, told, values)
        self._send(topics.DIAGNOSTICS, message)


def start_policy(config: PolicyNodeConfig) -> Start:
    """A planner for the checkpoint, in a process of its own."""
    given = (config.checkpoint, config.device, config.threads, config.every, config.sampler)
    return starter(lambda line: planner_process.command(line, *given, imagine=config.imagine))


def main(args: list[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run_node("policy_node", lambda: PolicyNode(start_policy), args, punctual=True)


if __name__ == "__main__":
    sys.exit(main())
