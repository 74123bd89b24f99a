"""The nodes of a robot that is reached over libfranka's protocol, real or simulated."""

from __future__ import annotations

import random
import socket
from typing import TYPE_CHECKING

from df_policy.errors import DfPolicyError
from df_policy.hardware.camera_sources import named_cameras
from df_policy.ros_nodes.graph import NodeSpec, absolute

if TYPE_CHECKING:
    from df_policy.ros_nodes.robot_arguments import RobotArguments
    from df_policy.sim.tasks.task import Task

_FRANKY = "franky"
"""The driver that knows an address, and the protocol simulator."""
_PORTS = (1337, 1338)
"""Of arm and hand."""
_SIZE = (64, 64)
"""Of the pictures of a camera that the task's simulation does not have."""


def robot_nodes(arguments: RobotArguments) -> tuple[NodeSpec, ...]:
    """The driver, and what it is to drive if that is simulated.

    Raises:
        DfPolicyError: if a real robot has no address.
    """
    simulated = arguments.robot == "franka_sim"
    if not simulated and arguments.driver == _FRANKY and not arguments.robot_ip:
        raise DfPolicyError(
            "expected the address of the robot's control, got none; give robot_ip, for example "
            "robot_ip:=172.16.0.2, or take robot:=franka_sim"
        )
    address = arguments.robot_ip or (free_address() if simulated else "")
    driver = NodeSpec(
        "df_policy.ros_nodes.franka_node",
        "franka_node",
        {
            "robot_ip": address,
            "driver": _FRANKY if simulated else arguments.driver,
            "rate_hz": arguments.rate,
            "real_time": not simulated,
            "wait_s": 30.0 if simulated else 0.0,
            "workspace": absolute(arguments.workspace),
            "gripper_range": absolute(arguments.gripper_range),
            "ahead_s": arguments.ahead_s,
            "use_sim_time": simulated,
        },
        arguments.namespace,
    )
    if not simulated:
        return (driver, *_cameras(arguments))
    robot = NodeSpec(
        "df_policy.ros_nodes.franka_sim_node",
        "franka_sim_node",
        {
            "address": address,
            "task": arguments.task,
            "seed": arguments.seed,
            "real_time_factor": min(arguments.speed, 2.0),
        },
        arguments.namespace,
    )
    return (robot, driver)


def _cameras(arguments: RobotArguments) -> tuple[NodeSpec, ...]:
    from df_policy.sim.tasks import find

    task = find(arguments.task)
    sizes = {name: picture_size(task, name) for name in named_cameras(arguments.cameras)}
    return tuple(
        NodeSpec(
            "df_policy.ros_nodes.camera_node",
            f"camera_{name}",
            {"camera": name, "source": source, "size": "{}x{}".format(*sizes[name])},
            arguments.namespace,
        )
        for name, source in named_cameras(arguments.cameras).items()
    )


def picture_size(task: Task, camera: str) -> tuple[int, int]:
    """Height and width of what is published of a camera [px]: those of the task's simulation."""
    return task.cameras.get(camera, _SIZE)


def free_address() -> str:
    """A loopback address at which no robot answers, drawn at random.

    Raises:
        DfPolicyError: if there is none.
    """
    for _ in range(20):
        address = f"127.{random.randint(1, 254)}.{random.randint(1, 254)}.{random.randint(1, 254)}"
        if _free(address):
            return address
    raise DfPolicyError("expected a free loopback address for a simulated robot, got none")


def _free(address: str) -> bool:
    try:
        for port in _PORTS:
            with socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
                probe.bind((address, port))
    except OSError:
        return False
    return True
