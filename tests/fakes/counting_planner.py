"""A planner whose plans tell how much it remembers; as a program it serves an inherited line."""

import os
import sys
import time

import numpy as np

from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.plan import Plan, Trace
from df_policy.robot import RobotSpec

SPEC = RobotSpec("arm", ("j1", "j2"), {"front": (8, 8), "wrist": (8, 8)})


class CountingPlanner:
    """Lifts the tool by 10 mm a second; the gripper's target counts what it was told."""

    spec, every, commit = SPEC, 2, 1

    def __init__(self, pause_s=0.0):
        self.heard, self.pause_s, self.seeds, self.executed = [], pause_s, [], []

    def reset(self, seed):
        self.heard = []
        self.seeds.append(seed)

    def remember(self, seen, executed):
        self.heard.append(seen.stamp_ns)

    def plan(self, seen, executed, committed=()):
        time.sleep(self.pause_s)
        self.remember(seen, executed)
        self.executed.append(executed)
        opening = 1e-3 * len(self.heard)
        rows = [
            Action(Pose.of(seen.tool.position_m + [0, 0, height], [1, 0, 0, 0]), opening).row()
            for height in 1e-11 * (seen.stamp_ns - self.heard[0]) + 1e-3 * np.arange(1, 17)
        ]
        brightness = {name: float(image.mean()) for name, image in seen.images.items()}
        return Plan(seen.stamp_ns, SPEC.period_ns, np.array(rows), seen.stamp_ns, brightness)

    def trace(self):
        return Trace(str(self.heard[-1]).encode(), str(len(self.heard)).encode())

    def recall(self, tokens, rest):
        self.heard = [int(token) for token in tokens]
        assert len(self.heard) == int(rest)


def make():
    """The planner that the environment describes."""
    time.sleep(float(os.environ.get("COUNTING_LOAD_S", "0")))
    if os.environ.get("COUNTING_DIES"):
        os._exit(3)
    return CountingPlanner(float(os.environ.get("COUNTING_PAUSE_S", "0")))


if __name__ == "__main__":
    from df_policy.ros_nodes.planner_process import run

    sys.exit(run(make, int(sys.argv[1])))
