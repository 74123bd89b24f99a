"""What a policy node writes down, if it is asked to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from df_policy.ros_nodes import topics
from df_policy.ros_nodes.node_log import Event, NodeLog, Record


class PolicyLog:
    """All that the node sees, sends and is asked for goes in; nothing is kept without a file.

    Args:
        path: of the file, see `NodeLog`; empty for none.
        about: what is run.
        now_ns: the node's clock.

    Raises:
        DfPolicyError: as `NodeLog`.
    """

    def __init__(self, path: str, about: Mapping[str, Any], now_ns: Callable[[], int]) -> None:
        self._log = NodeLog(Path(path), about) if path else None
        self._now_ns = now_ns

    @property
    def file(self) -> Path | None:
        """Where it is written to, if it is."""
        return None if self._log is None else self._log.path

    @property
    def broken(self) -> str:
        """Why nothing is written any more; empty if that is not so."""
        problem = "" if self._log is None else self._log.problem
        return problem and f"expected to write the log, got {problem}"

    @property
    def behind(self) -> str:
        """That the file lacks something; empty if it does not."""
        if self._log is None or not self._log.left_out:
            return ""
        return f"the disk is too slow for the log: {self._log.left_out} messages are left out"

    def message(self, topic: topics.Topic, camera: str, message: Any) -> None:
        """The node heard or said this."""
        if self._log is not None:
            self._log.add(topic.name.format(camera=camera), message, self._now_ns())

    def record(self, record: Record) -> None:
        """This went to the planner, or came from it."""
        if self._log is not None:
            self._log.record(record, self._now_ns())

    def served(self, service: topics.Service, response: Any) -> None:
        """Somebody called a service, and gets this answer."""
        self._event(Event("service", service.name, response.message, bool(response.success)))

    def parameter(self, name: str, value: object) -> None:
        """Somebody set a parameter."""
        self._event(Event("parameter", name, str(value)))

    def state(self, name: str) -> None:
        """The node came to this state of its life cycle."""
        self._event(Event("state", name))

    def close(self) -> None:
        """Write what waits.

        Raises:
            DfPolicyError: if not all could be written.
        """
        if self._log is not None:
            self._log.close()

    def report(self) -> dict[str, object]:
        """What diagnostics tell of it."""
        if self._log is None:
            return {}
        return {
            "log": str(self._log.path),
            "log_left_out": self._log.left_out,
            "log_problem": self._log.problem or "none",
        }

    def _event(self, event: Event) -> None:
        if self._log is not None:
            self._log.event(event, self._now_ns())
