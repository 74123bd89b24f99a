"""The life of a managed node: unconfigured, inactive, active, finalized.

Source: the life cycle of managed nodes, https://design.ros2.org/articles/node_lifecycle.html
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from lifecycle_msgs.msg import State
from rclpy.callback_groups import CallbackGroup
from rclpy.clock import Clock
from rclpy.clock_type import ClockType
from rclpy.lifecycle import LifecycleNode, LifecycleState, TransitionCallbackReturn
from rclpy.publisher import Publisher
from rclpy.timer import Timer

from df_policy.errors import DfPolicyError
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.health import health
from df_policy.ros_nodes.params import declare, on_change
from df_policy.ros_nodes.running import ENDING

LOG = logging.getLogger(__name__)
C = TypeVar("C")
_DONE, _NOT_DONE = TransitionCallbackReturn.SUCCESS, TransitionCallbackReturn.FAILURE


class ManagedNode(LifecycleNode, Generic[C]):
    """Calls `configure`, `activate`, `deactivate` and `cleanup` at the transitions of that name.

    What they make by this node (publishers, timers, ...) is destroyed by the transition back.
    A DfPolicyError leaves the node in the state before, and is logged; anything else ends in
    `cleanup`: the node is unconfigured then and can be configured again. What keeps it from being
    configured is told on `/diagnostics` until it is mended.

    Args:
        name: of the node.
        config: its parameters: a frozen dataclass with the field `autostart`.
        live: parameters that may change at any time; the others only while it is unconfigured.
        overrides: rclpy's arguments, for tests.

    Raises:
        DfPolicyError: for parameters that cannot be used.
    """

    def __init__(
        self, name: str, config: type[C], live: frozenset[str] = frozenset(), **overrides: Any
    ) -> None:
        super().__init__(name, automatically_declare_parameters_from_overrides=True, **overrides)
        self.config: C = declare(self, config, read_only=False)
        self._live = live
        self._problem: DfPolicyError | None = None
        self._made: dict[str, set[Any]] = {}
        self._telling: tuple[Publisher[Any], Timer] | None = None
        on_change(self, lambda: self.config, self._accept)

    def configure(self) -> None:
        """Load what takes long, and listen; command nothing."""

    def activate(self) -> None:
        """Begin to act."""

    def deactivate(self) -> None:
        """Come to a stop."""

    def cleanup(self) -> None:
        """Let go of what `configure` took; also after it failed half-way."""

    def changed(self, names: set[str]) -> None:
        """Live parameters were set while the node is configured."""

    @property
    def state(self) -> int:
        """One of lifecycle_msgs' primary states."""
        return int(self._state_machine.current_state[0])

    @property
    def active(self) -> bool:
        """Whether it acts."""
        return bool(self.state == State.PRIMARY_STATE_ACTIVE)

    @property
    def full_name(self) -> str:
        """With the namespace: two robots' nodes are told apart by it."""
        return str(self.get_fully_qualified_name()).lstrip("/")

    def ticker(
        self, period_s: float, tick: Callable[[], None], group: CallbackGroup | None = None
    ) -> Timer:
        """A timer by simulated time where that is used, else by a clock that nobody sets.

        ROS's own would stand still for as long as this machine's clock is set back.
        """
        if self.get_parameter("use_sim_time").value:
            return self.create_timer(period_s, tick, group)
        return self.steady_ticker(period_s, tick, group)

    def steady_ticker(
        self, period_s: float, tick: Callable[[], None], group: CallbackGroup | None = None
    ) -> Timer:
        """A timer that nobody sets, and that goes on while a simulated clock stands still."""
        return self.create_timer(period_s, tick, group, Clock(clock_type=ClockType.STEADY_TIME))

    def start(self) -> None:
        """Become active, without a lifecycle manager.

        Raises:
            DfPolicyError: if it cannot.
        """
        self._problem = None
        for trigger in (self.trigger_configure, self.trigger_activate):
            if trigger() != _DONE:
                raise self._problem or DfPolicyError("expected the node to start, got an error")

    def close(self) -> None:
        """Come to a stop and let go of everything, in whatever state this is.

        Raises:
            DfPolicyError: if something could not be finished.
        """
        self._problem = None
        if self.active:
            self.trigger_deactivate()
        if self.state == State.PRIMARY_STATE_INACTIVE:
            self.trigger_cleanup()
        if self.state != State.PRIMARY_STATE_FINALIZED:
            self.trigger_shutdown()
        if self._problem is not None:
            raise self._problem

    def on_configure(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See `configure`."""
        self._hush()
        result = self._go("configure", self.configure)
        if result == _NOT_DONE:
            self._end("cleanup", self.cleanup, "configure")
            self._tell()
        return result

    def on_activate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See `activate`."""
        result = self._go("activate", self.activate)
        if result == _NOT_DONE:
            self._end("deactivate", self.deactivate, "activate")
        return result

    def on_deactivate(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See `deactivate`."""
        return self._end("deactivate", self.deactivate, "activate")

    def on_cleanup(self, state: LifecycleState) -> TransitionCallbackReturn:
        """See `cleanup`."""
        return self._end("cleanup", self.cleanup, "configure")

    def on_shutdown(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Both, as far as they are called for."""
        self._hush()
        if state.state_id == State.PRIMARY_STATE_ACTIVE:
            self._end("deactivate", self.deactivate, "activate")
        if state.state_id in (State.PRIMARY_STATE_ACTIVE, State.PRIMARY_STATE_INACTIVE):
            self._end("cleanup", self.cleanup, "configure")
        return _DONE

    def on_error(self, state: LifecycleState) -> TransitionCallbackReturn:
        """Let go of everything; the node can be configured again."""
        if "activate" in self._made:
            self._end("deactivate", self.deactivate, "activate")
        self._end("cleanup", self.cleanup, "configure")
        self._tell()
        return _DONE

    def _tell(self) -> None:
        """Say on `/diagnostics` why this node is not configured, again and again."""
        self._hush()
        output, state = (
            topics.publisher(self, topics.DIAGNOSTICS),
            health(error=str(self._problem)),
        )

        def say() -> None:
            now_ns = self.get_clock().now().nanoseconds
            values = {"state": "unconfigured"}
            output.publish(convert.diagnostics_message(now_ns, self.full_name, state, values))

        self._telling = output, self.steady_ticker(1.0, say)

    def _hush(self) -> None:
        """Say it no more."""
        if self._telling is not None:
            output, timer = self._telling
            self.destroy_timer(timer)
            self.destroy_publisher(output)
            self._telling = None

    def _go(self, name: str, what: Callable[[], None]) -> TransitionCallbackReturn:
        """Carry out a step forward and remember what it makes."""
        before = set(self._entities())
        try:
            what()
        except DfPolicyError as error:
            self._problem = error
            self.get_logger().error(f"{name}: {error}")
            return _NOT_DONE
        except Exception as error:
            if ENDING.is_set():
                raise KeyboardInterrupt from error
            LOG.exception("%s failed", name)
            self._problem = DfPolicyError(f"{name} failed: {type(error).__name__}: {error}")
            self.get_logger().error(str(self._problem))
            return TransitionCallbackReturn.ERROR
        finally:
            self._made[name] = set(self._entities()) - before
        return _DONE

    def _end(self, name: str, what: Callable[[], None], undoes: str) -> TransitionCallbackReturn:
        """Carry out a step back, which always succeeds, and destroy what the step forward made."""
        try:
            what()
        except Exception as error:
            mendable = isinstance(error, DfPolicyError)
            if not mendable:
                LOG.exception("%s failed", name)
            said = DfPolicyError(str(error) if mendable else f"{name} failed: {error}")
            self._problem = self._problem or said  # what came first is the cause
            self.get_logger().error(f"{name}: {error}")
        present = self._entities()
        for entity in self._made.pop(undoes, set()) & present.keys():
            present[entity](entity)
        return _DONE

    def _entities(self) -> dict[Any, Callable[[Any], Any]]:
        """All that this node has made, with what destroys it."""
        kinds: tuple[tuple[Iterable[Any], Callable[[Any], Any]], ...] = (
            (self.timers, self.destroy_timer),
            (self.subscriptions, self.destroy_subscription),
            (self.publishers, self.destroy_publisher),
            (self.services, self.destroy_service),
            (self.clients, self.destroy_client),
        )
        return {entity: destroy for entities, destroy in kinds for entity in entities}

    def _accept(self, config: C, names: set[str]) -> None:
        """Take a configuration over.

        Args:
            config: the one to come.
            names: of the parameters that were set, perhaps to what they were.

        Raises:
            DfPolicyError: if it cannot be now.
        """
        differ = {name for name in names if getattr(config, name) != getattr(self.config, name)}
        fixed = sorted(differ - self._live)
        if fixed and self.state != State.PRIMARY_STATE_UNCONFIGURED:
            raise DfPolicyError(
                f"expected {', '.join(fixed)} to stay as it is while the node is configured, got "
                "another value: deactivate and clean up the node first, or start it anew with it"
            )
        self.config = config
        if self.state in (State.PRIMARY_STATE_INACTIVE, State.PRIMARY_STATE_ACTIVE):
            self.changed(names & self._live)
