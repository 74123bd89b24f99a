"""How many ticks a policy node has in a second, before and after this machine's clock is set.

Run it with `LD_PRELOAD` of what `set_clock.c` is compiled to; its argument: by how many seconds.
"""

import ctypes
import os
import sys
import time

import rclpy
from counting_planner import CountingPlanner
from line import in_thread
from rclpy.executors import SingleThreadedExecutor

from df_policy.ros_nodes.policy_node import PolicyNode


class Counted(PolicyNode):
    """Counts its ticks."""

    ticks = 0

    def _tick(self):
        self.ticks += 1
        super()._tick()


def main():
    rclpy.init()
    node = Counted(lambda _: in_thread(CountingPlanner))
    executor = SingleThreadedExecutor()
    executor.add_node(node)

    def count():
        node.ticks, end_s = 0, time.monotonic() + 1.0
        while time.monotonic() < end_s:
            executor.spin_once(timeout_sec=0.05)
        return node.ticks

    before, began_s = count(), time.time()
    ctypes.c_long.in_dll(ctypes.CDLL(None), "set_by_s").value = int(sys.argv[1])
    after = count()
    sys.stdout.write(f"{before} {after} {time.time() - began_s:.0f}\n")
    sys.stdout.flush()
    os._exit(0)  # threads of DDS wait by the clock of the day, now for minutes: nobody ends them


if __name__ == "__main__":
    main()
