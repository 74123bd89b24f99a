"""A policy node whose planner moves the tool on and on; with an argument it is that planner.

The file that CIRCLING_FAULT names says what the planner does wrong: `nan`, or nothing.
"""

import os
import sys
import tempfile
from pathlib import Path

import numpy as np
from scipy.spatial.transform import Rotation

from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.plan import Plan, Trace
from df_policy.robot import RobotSpec

SPEC = RobotSpec(
    "arm",
    ("j1", "j2"),
    {"front": (8, 8), "wrist": (8, 8)},
    joint_range_rad=((-1.0, 1.0),) * 2,
    max_joint_speed_rad_s=(2.0, 2.0),
)
HOME = Action(Pose.of([0.5, 0.0, 0.3], [1, 0, 0, 0]), 0.08)
REACH_M = 0.04
"""In one action: 0.4 m/s."""


def goal(stamp_ns):
    """Where a tool that circles is at a time."""
    angle = 2 * np.pi * stamp_ns * 1e-9 / 3.0
    turn = Rotation.from_rotvec([0, 0, 0.3 * np.sin(angle)])
    position = HOME.tool.position_m + [0.1 * np.sin(angle), 0.1 * np.cos(angle), 0.0]
    quat = (turn * Rotation.from_quat(HOME.tool.quat_xyzw)).as_quat()
    return Pose.of(position, quat)


class CirclingPlanner:
    """Plans from where the tool is towards the circle and along it."""

    spec, every, commit = SPEC, 4, 1

    def __init__(self):
        self.calls, self.costs = 0, ()

    def reset(self, seed):
        self.calls = 0

    def remember(self, seen, executed):
        self.calls += 1

    def plan(self, seen, executed, committed=()):
        self.remember(seen, executed)
        at, rows = seen.tool, [action.row() for action in committed]
        for n in range(len(rows) + 1, 17):
            wanted = goal(seen.stamp_ns + n * SPEC.period_ns)
            step = wanted.position_m - at.position_m
            share = min(1.0, REACH_M / max(np.linalg.norm(step), 1e-9))
            at = at.towards(wanted, share)
            rows.append(Action(at, 0.04).row())
        rows = np.array(rows)
        if self.costs:
            rows[len(committed) :] = bent(self.costs, rows)[len(committed) :]
        if fault() == "nan":
            rows[3] = np.nan
        return Plan(seen.stamp_ns, SPEC.period_ns, rows, seen.stamp_ns)

    def trace(self):
        return Trace(b"token", str(self.calls).encode())

    def recall(self, tokens, rest):
        self.calls = int(rest)


def bent(costs, rows):
    """As often as a plan is denoised."""
    import torch

    from df_policy import guidance

    plan = torch.from_numpy(rows)[None]
    for _ in range(4):
        plan = guidance.bent(costs, plan, 1e-9 * SPEC.period_ns)
    return plan[0].numpy()


def fault():
    path = Path(os.environ.get("CIRCLING_FAULT", os.devnull))
    return path.read_text() if path.exists() else ""


def main():
    if len(sys.argv) == 2:
        from df_policy.ros_nodes.planner_process import run

        return run(CirclingPlanner, int(sys.argv[1]))
    from df_policy.ros_nodes.planner_start import starter
    from df_policy.ros_nodes.policy_node import PolicyNode
    from df_policy.ros_nodes.running import run_node

    start = starter(lambda line: [sys.executable, __file__, str(line)])
    return run_node("policy_node", lambda: PolicyNode(lambda _: start), None)


if __name__ == "__main__":
    os.environ.setdefault("ROS_LOG_DIR", tempfile.gettempdir())
    sys.exit(main())
