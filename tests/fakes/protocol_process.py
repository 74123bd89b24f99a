"""The protocol simulator in a process of its own, as a real robot is: reached by its address.

As a program: `protocol_process.py ADDRESS LOW HIGH` serves until its input ends; LOW and HIGH [m]
are where stops let each finger go to.
"""

import subprocess
import sys
from contextlib import contextmanager


@contextmanager
def protocol_robot(finger_m=(0.0, 0.04)):
    """A robot at its table; gives its address."""
    from df_policy.ros_nodes.hardware_graph import free_address

    address = free_address()
    command = [sys.executable, __file__, address, *map(str, finger_m)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        try:
            assert process.stdout.readline() == b"ready\n"
            yield address
        finally:
            process.stdin.close()
            process.wait(30.0)


def serve(address, low_m, high_m):
    from df_policy.sim.protocol_robot import ProtocolRobot
    from df_policy.sim.scene import FINGER_JOINTS, ROBOT_PREFIX

    robot = ProtocolRobot(address=address)
    for name in FINGER_JOINTS:
        robot.world.model.joint(ROBOT_PREFIX + name).range[:] = low_m, high_m
    robot.start()
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    sys.stdin.read()
    robot.close()


if __name__ == "__main__":
    serve(sys.argv[1], *map(float, sys.argv[2:]))
