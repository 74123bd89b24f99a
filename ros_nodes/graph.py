"""The nodes of a task and their parameters: for `ros2 launch` and for `bringup` alike."""

from __future__ import annotations

import json
import os
import random
import socket
import sys
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from df_policy.config import SamplerConfig, resampled
from df_policy.costs import read, write
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.local_dds import local_settings
from df_policy.ros_nodes.params import parameter
from df_policy.ros_nodes.robot_arguments import RobotArguments

Value = bool | int | float | str


@dataclass(frozen=True)
class NodeSpec:
    """One process with one node."""

    module: str
    name: str
    parameters: Mapping[str, Value] = field(default_factory=dict)
    namespace: str = ""
    """Of all its topics and services, its clock's too; empty for none."""

    def command(self) -> list[str]:
        """How to start it: the same in a checkout, under pip and under colcon."""
        # JSON is YAML: strings stay strings, whatever they look like.
        given = [f"{name}:={json.dumps(value)}" for name, value in self.parameters.items()]
        options = [word for one in given for word in ("-p", one)]
        rename = ["-r", f"__node:={self.name}"]
        if self.namespace:  # each robot lives by the clock of its own
            within = f"/{self.namespace.lstrip('/')}"
            rename += ["-r", f"__ns:={within}", "-r", f"/clock:={within}/clock"]
        return [sys.executable, "-m", self.module, "--ros-args", *rename, *options]


@dataclass(frozen=True)
class FruitSwapArguments(RobotArguments):
    """What a user may choose of a policy that drives."""

    record: str = parameter("", "folder for the film's moments, `episodes.npz`")
    result: str = parameter("", "file for the result, JSON")
    every: int = parameter(0, "actions between two plans; 0: as the checkpoint has it")
    sampler: str = parameter("", 'how plans are sampled, JSON: {"horizon": 1} is quicker')
    delay: float = parameter(0.0, "hold back all that the robot says for so long [ms]")
    loss: float = parameter(0.0, "lose this share of what the robot says")
    costs: str = parameter("", "what plans are bent by: JSON, or a file of it")
    log: str = parameter("", "an .mcap file of all that the policy sees and sends")
    trace: str = parameter("", "an .npz file of all targets, and of the times of all plans")

    @property
    def written(self) -> tuple[Path, ...]:
        """The film's moments, and the result."""
        film = (Path(self.record) / MOMENTS,) if self.record else ()
        return (*film, *((Path(self.result),) if self.result else ()))

    def __post_init__(self) -> None:
        """Raises ValueError or DfPolicyError for what cannot be, before any process starts."""
        super().__post_init__()
        if self.delay < 0.0 or self.every < 0 or not 0.0 <= self.loss <= 1.0:
            raise ValueError(
                "expected delay and every of at least 0 and loss from 0 to 1, got "
                f"{self.delay:g}, {self.every} and {self.loss:g}"
            )
        resampled(SamplerConfig(), self.sampler)
        object.__setattr__(self, "costs", write(read(self.costs)))


MOMENTS = "episodes.npz"
"""What a film is made from, in the folder for it."""
IMAGE_AGE_S, STATE_AGE_S = 0.15, 0.1
"""How old what a robot says may be, where it comes at once."""
PLAN_AGE_S = 1.2
"""How old what a plan was made of may be."""
SETTLE_S = IMAGE_AGE_S + 0.05
"""From a reset to the start: what is fresh by then is not from before."""
_MOST_CLAIMS = 4
"""Domains that one process keeps from others: older ones are in use by then, or no more."""
_CLAIMS: deque[int] = deque()
"""Open sockets, closed with this process at the latest."""
DRIVER = "episode_node"
"""When this node ends, all is over; its exit code is the graph's."""


def driver(arguments: FruitSwapArguments) -> str:
    """The node with whose end all is over: a real robot has nobody who resets and judges."""
    return "policy_node" if arguments.real else DRIVER


def fruit_swap(arguments: FruitSwapArguments) -> tuple[NodeSpec, ...]:
    """The nodes of fruit swap, or of another task.

    Raises:
        DfPolicyError: if there is no such task.
    """
    counted = () if arguments.real else (episodes_of(arguments),)
    film = absolute(arguments.record and str(Path(arguments.record) / MOMENTS))
    return (*nodes_of_robot(arguments, film), policy_of(arguments), *counted)


def policy_of(arguments: FruitSwapArguments) -> NodeSpec:
    """The node that a checkpoint drives by."""
    delay_s = arguments.delay * 1e-3
    parameters: dict[str, Value] = {
        "checkpoint": arguments.checkpoint,
        "seed": arguments.seed,
        "rate_hz": arguments.rate,
        "every": arguments.every,
        "sampler": arguments.sampler,
        "inject_delay_ms": arguments.delay,
        "inject_loss": arguments.loss,
        # Who knows that all comes late allows it to be old.
        "max_image_age_s": IMAGE_AGE_S + delay_s,
        "max_state_age_s": STATE_AGE_S + delay_s,
        "max_plan_age_s": PLAN_AGE_S + delay_s,
        "costs": arguments.costs,
        "log": absolute(arguments.log),
        "use_sim_time": arguments.sim_time,
    }
    return NodeSpec(
        "df_policy.ros_nodes.policy_node", "policy_node", parameters, arguments.namespace
    )


def episodes_of(arguments: FruitSwapArguments) -> NodeSpec:
    """The node that resets, starts, waits and judges."""
    from df_policy.sim.tasks import find

    parameters: dict[str, Value] = {
        "episodes": arguments.episodes,
        "duration_s": find(arguments.task).steps / RobotSpec.action_rate_hz,
        # Else an episode would begin with what was held back from the end of the last one.
        "settle_s": SETTLE_S + arguments.delay * 1e-3,
        "result_path": absolute(arguments.result),
        "trace_path": absolute(arguments.trace),
        "use_sim_time": arguments.sim_time,
    }
    return NodeSpec("df_policy.ros_nodes.episode_node", DRIVER, parameters, arguments.namespace)


def nodes_of_robot(arguments: RobotArguments, film: str = "") -> tuple[NodeSpec, ...]:
    """The nodes that stand behind the robot's topics.

    Args:
        arguments: which robot.
        film: an .npz file for a film's moments, where the robot is `sim`.
    """
    if arguments.robot != "sim":
        from df_policy.ros_nodes.hardware_graph import robot_nodes

        return robot_nodes(arguments)
    parameters: dict[str, Value] = {
        "task": arguments.task,
        "seed": arguments.seed,
        "real_time_factor": arguments.speed,
        "record_path": film,
        "viewer": not arguments.headless,
        "wall_clock": arguments.wall_clock,
    }
    return (NodeSpec("df_policy.ros_nodes.sim_node", "sim_node", parameters, arguments.namespace),)


def absolute(path: str) -> str:
    """The path from wherever a node is started; empty for none."""
    return str(Path(path).absolute()) if path else ""


def local_environment(present: Mapping[str, str]) -> dict[str, str]:
    """What to add to the environment so that the graph keeps to itself and to this machine.

    Args:
        present: the environment; what it sets already is left alone.
    """
    wanted = {
        **local_settings(present),
        "ROS_DOMAIN_ID": present.get("ROS_DOMAIN_ID") or str(free_domain()),
        "RMW_IMPLEMENTATION": "rmw_fastrtps_cpp",
        "OMP_NUM_THREADS": "1",  # three processes that each use all cores stop one another
        "PYTHONUNBUFFERED": "1",
    }
    return {name: value for name, value in wanted.items() if name not in present}


def free_domain() -> int:
    """A ROS domain from 1 to 100 that no one on this machine uses, as far as can be seen.

    It is claimed for a while, so that two graphs which start at the same moment do not meet: until
    nodes have loaded, nobody can see that they are there.
    """
    domains = random.sample(range(1, 101), 100)  # above 101 ports may be taken on Linux
    for domain in domains:
        if (claim := _claim(domain)) is not None:
            if len(_CLAIMS) >= _MOST_CLAIMS:
                os.close(_CLAIMS.popleft())
            _CLAIMS.append(claim.detach())
            return domain
    return domains[0]


def _claim(domain: int) -> socket.socket | None:
    """What keeps others from drawing this domain while it is open; None if it is in use.

    In use is a domain if the port of its first participant (RTPS 9.6.1.1) is taken, or the one
    before those of participants, which DDS leaves free and a claim takes.
    """
    first = 7400 + 250 * domain + 10
    claim = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    try:
        claim.bind(("127.0.0.1", first - 1))
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
            probe.bind(("", first))
    except OSError:
        claim.close()
        return None
    return claim
