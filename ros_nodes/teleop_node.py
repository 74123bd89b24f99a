"""A person drives the robot with a device, over ROS 2; the device's buttons steer the recorder.

Run it with `python -m df_policy.ros_nodes.teleop_node --ros-args -p device:=web`.
"""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from typing import Any

from df_policy.align import RobotStreams
from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Control
from df_policy.gate import Gate
from df_policy.robot import RobotSpec
from df_policy.ros_nodes import missing_ros
from df_policy.ros_nodes.described_robot import robot_of
from df_policy.ros_nodes.health import health
from df_policy.ros_nodes.teleop_config import TeleopNodeConfig, held_device
from df_policy.teleop.listener import Listener
from df_policy.teleop.mapping import Hand
from df_policy.teleop.reading import InputDevice
from df_policy.teleop.status import Watcher

try:
    from df_policy.ros_nodes import convert, topics
    from df_policy.ros_nodes.commander import Commander
    from df_policy.ros_nodes.intake import RobotIntake
    from df_policy.ros_nodes.managed import ManagedNode
    from df_policy.ros_nodes.recorder_desk import RecorderDesk
    from df_policy.ros_nodes.running import run_node
except ImportError as error:
    raise SystemExit(missing_ros(error)) from None

_SHOW_S = 0.1
_SETTLE_NS = 300_000_000
"""After a new start was laid out: longer than a gate takes targets for going on."""
_SILENCE_NS = 500_000_000
"""Before one is asked for: the arm must have come to rest, and its driver have noticed."""

MakeDevice = Callable[[TeleopNodeConfig, RobotSpec], InputDevice]


class TeleopNode(ManagedNode[TeleopNodeConfig]):
    """From what a hand does to targets, tick by tick.

    While the device is gone or a stream is late the robot comes to a stop and is told nothing, so
    that a recorder takes those steps for nobody's.

    Args:
        make_device: what the person holds.
        overrides: rclpy's arguments, for tests.
    """

    def __init__(self, make_device: MakeDevice = held_device, **overrides: Any) -> None:
        super().__init__("teleop_node", TeleopNodeConfig, **overrides)
        self._make_device = make_device
        self._resources = ExitStack()
        if self.config.autostart:
            self.start()

    def configure(self) -> None:
        """Open the device, and listen to the robot.

        Raises:
            DfPolicyError: if the device or the robot's description cannot be used.
        """
        config = self.config
        self._spec = robot_of(config.robot, config.task)
        device = self._make_device(config, self._spec)
        self._listener = self._resources.enter_context(Listener(device))
        self._watcher = device if isinstance(device, Watcher) else None
        if address := getattr(device, "address", ""):
            self.get_logger().info(f"open {address}")
        # The hand's limits are those of the time between two targets.
        every_tick = replace(self._spec, action_rate_hz=config.rate_hz)
        self._hand = Hand(every_tick, config.handling)
        limits = (config.max_image_age_s, config.max_state_age_s)
        self._streams = RobotStreams(self._spec.cameras, *limits)
        self._intake = RobotIntake(
            self,
            self._spec,
            self._streams,
            lambda: None,
            best_effort_images=config.best_effort_images,
        )
        tick_s = 1.0 / config.rate_hz
        gate = Gate(self._spec, tick_s, config.max_state_age_s)
        self._commands = Commander(self, gate, round(1e9 * tick_s))
        self._desk = RecorderDesk(self, self._on_ended, self._on_laid_out)
        self._report_out = topics.publisher(self, topics.DIAGNOSTICS)
        self._last: Action | None = None
        self._start_wanted = True
        self._ask_ns = self._quiet_until_ns = 0
        self._why = ""
        """Why the robot does not follow the hand."""

    def activate(self) -> None:
        """Appear on the command topics, and tick."""
        self._commands.open()
        self._timer = self.ticker(1.0 / self.config.rate_hz, self._tick)
        self._shower = self.steady_ticker(_SHOW_S, self._show)
        self._reporter = self.steady_ticker(1.0, self._report)
        self.get_logger().info(f"{self._listener.device.name} drives {self._spec.name}")

    def deactivate(self) -> None:
        """Come to a stop, and leave the command topics."""
        self._last = None
        self._commands.close()

    def cleanup(self) -> None:
        """Close the device."""
        self._resources.close()

    @property
    def _now_ns(self) -> int:
        return int(self.get_clock().now().nanoseconds)

    def _tick(self) -> None:
        reading = self._listener.read()
        for wish in reading.wishes:
            self._desk.obey(wish)
        now_ns = self._now_ns
        self._why = reading.problem
        if self._between_episodes(now_ns) or reading.problem or not self._holds(now_ns):
            self._let_go(now_ns)
            return
        assert self._last is not None
        wanted = self._hand.target(reading.motion, self._last)
        cleared = self._commands.send(now_ns, wanted, self._intake.measured())
        self._last, self._why = cleared.target, cleared.reason
        if self._commands.stopped:
            self._last = None

    def _between_episodes(self, now_ns: int) -> bool:
        """Whether a new start is waited for: nobody may move the robot until it is there."""
        if not (self._start_wanted and self._desk.simulated):
            return now_ns < self._quiet_until_ns
        if now_ns >= self._ask_ns:
            if self._ask_ns:
                self._desk.lay_out()
            self._ask_ns = now_ns + _SILENCE_NS
        return True

    def _holds(self, now_ns: int) -> bool:
        """Whether the hand has hold of the robot, perhaps from now on."""
        try:
            self._intake.check(now_ns)
            if self._last is None:
                here = self._streams.observe(now_ns).hold()
                self._commands.begin(here, now_ns)
                self._last = here
        except DfPolicyError as error:
            self._why = str(error)
            return False
        return True

    def _let_go(self, now_ns: int) -> None:
        self._last = None
        self._hand.let_go()
        self._commands.settle(now_ns)

    def _on_ended(self) -> None:
        self._start_wanted, self._ask_ns = True, 0

    def _on_laid_out(self, stamp_ns: int) -> None:
        """The robot was put elsewhere: what was said before is about another place."""
        self._start_wanted = False
        self._quiet_until_ns = stamp_ns + _SETTLE_NS

    def _show(self) -> None:
        if self._watcher is None:
            return
        try:
            seen = self._streams.observe(self._now_ns)
        except DfPolicyError:
            return
        control = Control.NOBODY if self._why else Control.DEVICE
        self._watcher.show(replace(self._desk.status, problem=self._why, control=control), seen)

    def _report(self) -> None:
        status = self._desk.status
        values = {
            "driving": self._last is not None,
            "stage": status.stage.value,
            "kept": status.kept,
            **self._commands.report(),
        }
        state = health(error=self._commands.stopped, warning=self._why)
        message = convert.diagnostics_message(self._now_ns, self.full_name, state, values)
        self._report_out.publish(message)


def main(args: list[str] | None = None) -> int:
    """Run the node; returns the exit code."""
    return run_node("teleop_node", TeleopNode, args)


if __name__ == "__main__":
    sys.exit(main())
