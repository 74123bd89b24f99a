"""What a user may choose of the robot, whatever is done with it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

from df_policy.errors import nearest
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.params import parameter

ROBOTS = ("sim", "franka_sim", "franka")
FASTEST = 20.0
"""Simulated seconds per second."""
_NAMESPACE = re.compile(r"/?[A-Za-z_]\w*(/[A-Za-z_]\w*)*", re.ASCII)


@dataclass(frozen=True)
class RobotArguments:
    """What every graph can be told; graphs add their own."""

    robot: str = parameter("sim", "`sim`, `franka_sim` (protocol simulator) or `franka`")
    robot_ip: str = parameter("", "address of a real robot, or of a simulated one: 127.x.y.z")
    driver: str = parameter("franky", "what speaks to a real robot; see the franka_node's")
    cameras: str = parameter("", "of a real robot: front=realsense:SERIAL,wrist=v4l:DEVICE")
    workspace: str = parameter("", "of a real robot: JSON file of `calibrate workspace`")
    gripper_range: str = parameter("", "of a real robot: JSON file of `calibrate gripper`")
    ahead_s: float = parameter(0.0, "of a real robot: its lag, as `calibrate latency` tells it")
    task: str = parameter("fruit_swap", "what is to be done")
    episodes: int = parameter(5, "how many episodes to run")
    rate: float = parameter(50.0, "targets per second")
    headless: bool = parameter(True, "without MuJoCo's window")
    seed: int = parameter(0, "seed of the first episode; each further adds one")
    speed: float = parameter(1.0, "simulated seconds per second")
    wall_clock: bool = parameter(False, "stamps by this machine's clock, as a real robot's")
    checkpoint: str = parameter("fruit_swap", "a shipped checkpoint's name, or a folder")
    namespace: str = parameter(
        "", "of all topics and services, where several robots share a domain"
    )

    @property
    def real(self) -> bool:
        """Whether it is no simulated robot, and nobody resets and judges."""
        return self.robot == "franka"

    @property
    def sim_time(self) -> bool:
        """Whether all nodes live by a simulated clock."""
        return not self.real and not self.wall_clock

    @property
    def policy(self) -> str:
        """The checkpoint that must be there; empty for none."""
        return self.checkpoint

    @property
    def written(self) -> tuple[Path, ...]:
        """The files that the nodes will write."""
        return ()

    def __post_init__(self) -> None:
        """Raises ValueError or DfPolicyError for what cannot be, before any process starts."""
        if self.robot not in ROBOTS:
            hint = nearest(self.robot, ROBOTS)
            raise ValueError(f"expected robot {', '.join(ROBOTS)}, got {self.robot!r}{hint}")
        if self.episodes < 1:
            raise ValueError(f"expected episodes above 0, got {self.episodes}")
        if self.namespace and not _NAMESPACE.fullmatch(self.namespace):
            raise ValueError(
                "expected a namespace of letters, digits and _, with / between its parts, "
                f"got {self.namespace!r}"
            )
        if not 0.0 < self.speed <= FASTEST:
            raise ValueError(f"expected speed above 0 and up to {FASTEST:g}, got {self.speed:g}")
        slowest = 2.0 * RobotSpec.action_rate_hz
        fastest = 1000.0 if self.wall_clock else RobotSpec.control_rate_hz
        if not slowest <= self.rate <= fastest:
            raise ValueError(
                f"expected rate from {slowest:g}, two targets per action, to {fastest:g}, where "
                f"the robot's clock ticks no faster, got {self.rate:g}; try wall_clock"
            )
