"""The nodes of a task and their parameters: for `ros2 launch` and for `bringup` alike."""

from __future__ import annotations

import json
import random
import socket
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from df_policy.robot import RobotSpec
from df_policy.ros_nodes.params import parameter

Value = bool | int | float | str


@dataclass(frozen=True)
class NodeSpec:
    """One process with one node."""

    module: str
    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)

    def command(self) -> list[str]:
        """How to start it: the same in a checkout, under pip and under colcon."""
        # JSON is YAML: strings stay strings, whatever they look like.
        given = [f"{name}:={json.dumps(value)}" for name, value in self.parameters.items()]
        options = [word for one in given for word in ("-p", one)]
        rename = ["-r", f"__node:={self.name}"]
        return [sys.executable, "-m", self.module, "--ros-args", *rename, *options]


@dataclass(frozen=True)
class FruitSwapArguments:
    """What a user may choose."""

    checkpoint: str = parameter("fruit_swap", "a shipped checkpoint's name, or a folder")
    task: str = parameter("fruit_swap", "what the checkpoint was trained for")
    episodes: int = parameter(5, "how many episodes to run")
    rate: float = parameter(50.0, "targets per second")
    headless: bool = parameter(True, "without MuJoCo's window")
    seed: int = parameter(0, "seed of the first episode; each further adds one")
    record: str = parameter("", "folder for the film's moments, `episodes.npz`")
    result: str = parameter("", "file for the result, JSON")
    speed: float = parameter(1.0, "simulated seconds per second")

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range, before any process starts."""
        if self.episodes < 1:
            raise ValueError(f"expected episodes above 0, got {self.episodes}")
        if not 0.0 < self.speed <= FASTEST:
            raise ValueError(f"expected speed above 0 and up to {FASTEST:g}, got {self.speed:g}")
        slowest, fastest = 2.0 * RobotSpec.action_rate_hz, RobotSpec.control_rate_hz
        if not slowest <= self.rate <= fastest:
            raise ValueError(
                f"expected rate from {slowest:g}, two targets per action, to {fastest:g}, where "
                f"the simulated clock ticks no faster, got {self.rate:g}"
            )


FASTEST = 20.0
"""Simulated seconds per second."""
DRIVER = "episode_node"
"""When this node ends, all is over; its exit code is the graph's."""


def fruit_swap(arguments: FruitSwapArguments) -> tuple[NodeSpec, ...]:
    """The nodes of fruit swap, or of another task.

    Raises:
        DfPolicyError: if there is no such task.
    """
    from df_policy.sim.tasks import find

    seconds = find(arguments.task).steps / RobotSpec.action_rate_hz
    record = str(Path(arguments.record).absolute() / "episodes.npz") if arguments.record else ""
    result = str(Path(arguments.result).absolute()) if arguments.result else ""
    return (
        NodeSpec(
            "df_policy.ros_nodes.sim_node",
            "sim_node",
            {
                "task": arguments.task,
                "seed": arguments.seed,
                "real_time_factor": arguments.speed,
                "record_path": record,
                "viewer": not arguments.headless,
            },
        ),
        NodeSpec(
            "df_policy.ros_nodes.policy_node",
            "policy_node",
            {
                "checkpoint": arguments.checkpoint,
                "seed": arguments.seed,
                "rate_hz": arguments.rate,
                "use_sim_time": True,
            },
        ),
        NodeSpec(
            "df_policy.ros_nodes.episode_node",
            DRIVER,
            {
                "episodes": arguments.episodes,
                "duration_s": seconds,
                "result_path": result,
                "use_sim_time": True,
            },
        ),
    )


def local_environment(present: Mapping[str, str]) -> dict[str, str]:
    """What to add to the environment so that the graph keeps to itself and to this machine.

    Args:
        present: the environment; what it sets already is left alone.
    """
    wanted = {
        "ROS_AUTOMATIC_DISCOVERY_RANGE": "LOCALHOST",
        "ROS_DOMAIN_ID": present.get("ROS_DOMAIN_ID") or str(free_domain()),
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
        "OMP_NUM_THREADS": "1",  # three processes that each use all cores stop one another
        "PYTHONUNBUFFERED": "1",
    }
    return {name: value for name, value in wanted.items() if name not in present}


def free_domain() -> int:
    """A ROS domain from 1 to 100 that no one on this machine uses, as far as can be seen.

    It is drawn at random, so that two graphs which start at the same moment hardly ever meet.
    """
    domains = random.sample(range(1, 101), 100)  # above 101 ports may be taken on Linux
    return next((domain for domain in domains if not _in_use(domain)), domains[0])


def _in_use(domain: int) -> bool:
    """Whether DDS' port of a domain's first participant (RTPS 9.6.1.1) is taken."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        try:
            probe.bind(("", 7400 + 250 * domain + 10))
        except OSError:
            return True
    return False
