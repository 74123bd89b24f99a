"""What the policy node tells of itself on `/diagnostics`."""

from __future__ import annotations

import os
from collections.abc import Iterator

from df_policy.align import RobotStreams
from df_policy.ros_nodes.commander import Commander
from df_policy.ros_nodes.health import Health, health
from df_policy.ros_nodes.intake import RobotIntake
from df_policy.ros_nodes.monitor import Pace, Ticks, memory_mb
from df_policy.ros_nodes.planner_link import PlannerLink
from df_policy.ros_nodes.policy_log import PolicyLog
from df_policy.ros_nodes.session import PolicySession

_SLOWEST_SHARE = 0.98
"""Of the asked rate of targets; below it the node warns."""


class PolicyReport:
    """Measures how regularly targets go out, and asks the node's parts for the rest.

    Args:
        tick_ns: between two targets.
        planning: the planner.
        streams: what the robot says.
        intake: how it came.
        commands: the gate.
        log: where all is written.
    """

    def __init__(
        self,
        tick_ns: int,
        planning: PlannerLink,
        streams: RobotStreams,
        intake: RobotIntake,
        commands: Commander,
        log: PolicyLog,
    ) -> None:
        self._tick_ns = tick_ns
        self._planning, self._streams, self._intake = planning, streams, intake
        self._commands, self._log = commands, log
        self.refused = ""
        """Why the last start was refused, until another one is not."""
        self.reason = ""
        """Why the robot is held now."""
        self.begin()

    def begin(self) -> None:
        """A new session begins."""
        self._pace, self._ticks = Pace(), Ticks(self._tick_ns)
        self.end()

    def end(self) -> None:
        """Nobody drives, and nobody was refused to."""
        self.reason = self.refused = ""

    def sent(self, now_ns: int, reason: str) -> None:
        """A target went out, held for a reason or, without one, following the plan."""
        self._pace.tick(now_ns)
        self._ticks.done(now_ns)
        self.reason = reason

    def health(self, session: PolicySession | None) -> Health:
        """The worst that is wrong now; the README has the table."""
        needs_a_person = (
            self._commands.stopped,
            "" if session is None else session.fault,
            self._commands.rivals(),
            self._planning.stuck,
            self._intake.unusable(),
            self.refused,
            self._log.broken,
        )
        held, slow = ("", "") if session is None else (self.reason, self.slow)
        passes = (held, self._planning.down, slow, self._log.behind)
        return health(
            error=next(filter(None, needs_a_person), ""),
            stale=self._intake.silent(),
            warning=next(filter(None, passes), ""),
        )

    @property
    def slow(self) -> str:
        """That targets go out more slowly than asked; empty if they do not."""
        asked_hz = 1e9 / self._tick_ns
        if not self._pace.full or self._pace.rate_hz >= _SLOWEST_SHARE * asked_hz:
            return ""
        return (
            f"expected {asked_hz:.0f} targets per second, got {self._pace.rate_hz:.1f}: stop what "
            "else uses this machine, or lower rate_hz"
        )

    def values(self, session: PolicySession | None, now_ns: int) -> dict[str, object]:
        """All figures."""
        return {
            "driving": session is not None,
            "control_rate_hz": round(self._pace.rate_hz, 2),
            "worst_gap_ms": round(self._pace.worst_gap_ns * 1e-6, 1),
            "missed_ticks": self._ticks.missed,
            "jitter_ms_p99": round(self._ticks.jitter_ms.percentile(99), 2),
            "looks_waiting": self._planning.waiting,
            "planner_deaths": self._planning.deaths,
            "memory_mb": round(memory_mb(os.getpid()), 1),
            "planner_memory_mb": round(memory_mb(self._planning.process), 1),
            **dict(self._of_streams(now_ns)),
            **({} if session is None else session.report()),
            **self._log.report(),
            **self._commands.report(),
        }

    def _of_streams(self, now_ns: int) -> Iterator[tuple[str, object]]:
        """How old the newest of each is, and how many messages could not be used."""
        for stream in self._streams.all():
            newest = stream.newest_ns
            age = "never" if newest is None else round((now_ns - newest) * 1e-9, 3)
            yield f"age_s {stream.name}", age
            if self._intake.bad.get(stream.name):
                yield f"bad_messages {stream.name}", self._intake.bad[stream.name]
