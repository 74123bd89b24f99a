"""What `python -m df_policy latency` measures from: every target, and the times of every plan."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Any

import numpy as np
from rclpy.node import Node

from df_policy.files import write_atomically
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.stages import STAGES

_DEPTH = 100
_TOLD = ("memory_mb", "planner_memory_mb", "missed_ticks", "jitter_ms_p99", "planner_deaths")
"""Of the policy node's diagnostics."""


class Trace:
    """Listens while it is told to.

    Args:
        node: subscribes.
    """

    def __init__(self, node: Node) -> None:
        self._episode = -1
        self._on = False
        self._targets: list[tuple[float, ...]] = []
        self._plans: list[tuple[float, ...]] = []
        self._told: list[tuple[float, ...]] = []
        self._begin_ns = time.monotonic_ns()
        topics.subscribe(node, topics.TARGET_POSE, self._on_target, depth=_DEPTH)
        topics.subscribe(node, topics.TIMING, self._on_plan, depth=_DEPTH)
        topics.subscribe(node, topics.DIAGNOSTICS, self._on_report)

    def begin(self) -> None:
        """The next episode begins."""
        self._episode += 1
        self._on = True

    def end(self) -> None:
        """The episode is over."""
        self._on = False

    def write(self, path: Path) -> None:
        """Write all as arrays, times in seconds.

        Raises:
            DfPolicyError: if the disk refuses.
        """
        targets = np.array(self._targets).reshape(-1, 9)
        plans = np.array(self._plans).reshape(-1, 3 + len(STAGES))
        told = np.array(self._told).reshape(-1, len(_TOLD) + 1)
        write_atomically(
            path, lambda partial: np.savez(partial, targets=targets, plans=plans, told=told)
        )

    def _seconds(self) -> float:
        return (time.monotonic_ns() - self._begin_ns) * 1e-9

    def _on_target(self, message: Any) -> None:
        if self._on:
            stamp_ns, pose = convert.pose_from(message)
            where = (*pose.position_m, *pose.quat_xyzw)
            self._targets.append((self._episode, stamp_ns * 1e-9, *map(float, where)))

    def _on_plan(self, message: Any) -> None:
        if self._on:
            self._plans.append((self._episode, *message.data))

    def _on_report(self, message: Any) -> None:
        found = convert.diagnostics_from(message)
        for name, (_, values) in found.items():
            if name.endswith("policy_node") and "memory_mb" in values:
                told = (float(values[key]) for key in _TOLD)
                self._told.append((self._seconds(), *told))
