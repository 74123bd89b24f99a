"""What the policy node tells of itself on `/diagnostics`, but for its session and its gate."""

from __future__ import annotations

import os
from collections.abc import Mapping

from df_policy.align import RobotStreams
from df_policy.ros_nodes.monitor import Pace, Ticks, memory_mb
from df_policy.ros_nodes.planner_link import PlannerLink


def of_control(pace: Pace, ticks: Ticks) -> dict[str, object]:
    """How regular targets go out."""
    return {
        "control_rate_hz": round(pace.rate_hz, 2),
        "worst_gap_ms": round(pace.worst_gap_ns * 1e-6, 1),
        "missed_ticks": ticks.missed,
        "jitter_ms_p99": round(ticks.jitter_ms.percentile(99), 2),
    }


def of_planner(planning: PlannerLink) -> dict[str, object]:
    """How far behind the planner is, and what both processes hold."""
    return {
        "looks_waiting": planning.waiting,
        "planner_deaths": planning.deaths,
        "memory_mb": round(memory_mb(os.getpid()), 1),
        "planner_memory_mb": round(memory_mb(planning.process), 1),
    }


def of_streams(streams: RobotStreams, bad: Mapping[str, int], now_ns: int) -> dict[str, object]:
    """How old the newest of each stream is, and how many messages could not be used."""
    values: dict[str, object] = {}
    for stream in streams.all():
        newest = stream.newest_ns
        values[f"age_s {stream.name}"] = (
            "never" if newest is None else round((now_ns - newest) * 1e-9, 3)
        )
        if bad.get(stream.name):
            values[f"bad_messages {stream.name}"] = bad[stream.name]
    return values
