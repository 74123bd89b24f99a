"""The nodes of a recording: a robot, whoever drives it, and the recorder."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from pathlib import Path

from df_policy.errors import DfPolicyError, nearest
from df_policy.ros_nodes.graph import (
    DRIVER,
    FruitSwapArguments,
    NodeSpec,
    Value,
    absolute,
    episodes_of,
    nodes_of_robot,
    policy_of,
)
from df_policy.ros_nodes.params import parameter
from df_policy.ros_nodes.robot_arguments import RobotArguments

RECORDER = "recorder_node"
SCRIPTED, POLICY, GUIDED, TOPICS = "scripted", "policy", "guided", "topics"
HELD = ("web", "gamepad", "spacemouse", "leader")
DEVICES = {
    SCRIPTED: "a script that knows where the fruits are, in simulation",
    POLICY: "a checkpoint",
    **dict.fromkeys(HELD, "a person who holds it"),
    GUIDED: "a person who leads a real arm by hand",
    TOPICS: "whoever sends targets",
}
FIRST_SEED = 1_000_000
_ROUNDING_S = 0.3
"""The first and the last frame are found within so much of the episode: none is too short."""


@dataclass(frozen=True)
class RecordArguments(RobotArguments):
    """What a user may choose of a recording."""

    device: str = parameter(SCRIPTED, f"who drives: {', '.join(DEVICES)}")
    out: str = parameter("", "the recording, gone on with if it is there; recordings/TASK.zarr")
    episodes: int = parameter(5, "episodes in the recording when it is complete")
    seed: int = parameter(FIRST_SEED, "of the first start; evaluations count from 0: stay away")
    checkpoint: str = parameter("fruit_swap", "drives if the device is `policy`")
    web_port: int = parameter(8642, "of the page, if the device is `web`; 0 for any")
    description: str = parameter(
        "", "JSON file of the robot with its cameras, or a recording; empty: what `robot` is"
    )

    @property
    def policy(self) -> str:
        """The checkpoint that must be there; empty for none."""
        return self.checkpoint if self.device == POLICY else ""

    @property
    def path(self) -> Path:
        """Where the recording is."""
        return Path(self.out or f"recordings/{self.task}.zarr")

    @property
    def alone(self) -> bool:
        """Whether episodes are run without a person, who otherwise starts and keeps them."""
        return not self.real and self.device in (SCRIPTED, POLICY)

    def __post_init__(self) -> None:
        """Raises ValueError for what cannot be, before any process starts."""
        super().__post_init__()
        if self.device not in DEVICES:
            hint = nearest(self.device, DEVICES)
            raise ValueError(f"expected device {', '.join(DEVICES)}, got {self.device!r}{hint}")
        if self.device == SCRIPTED and self.real:
            raise ValueError(
                "expected a simulated robot for the device scripted, which knows where the fruits "
                f"are, got {self.robot}; take the device guided, policy or topics"
            )
        if self.device == GUIDED and not self.real:
            raise ValueError(
                f"expected a real arm for the device guided, got {self.robot}, which nobody can "
                "take by the hand; take the device scripted, policy or topics"
            )


def record(arguments: RecordArguments) -> tuple[NodeSpec, ...]:
    """The nodes of a recording.

    Raises:
        DfPolicyError: if there is no such task, no recording at a path that is taken, or a real
            robot without cameras.
    """
    if arguments.real and not arguments.cameras:
        raise DfPolicyError(
            "expected the cameras whose pictures are recorded, got none; give cameras, for "
            "example front=realsense:SERIAL,wrist=v4l:/dev/v4l/by-id/..."
        )
    begun = replace(arguments, seed=max(arguments.seed, _next_seed(arguments.path)))
    nodes = [*nodes_of_robot(begun)]
    if arguments.device == SCRIPTED:
        nodes.append(_node("scripted_node", begun, {"task": arguments.task}))
    elif arguments.device in HELD:
        nodes.append(_held(begun))
    elif arguments.device == POLICY:
        nodes.append(policy_of(_driving(begun)))
    if arguments.alone:
        episodes = episodes_of(_driving(begun))
        longer_s = float(episodes.parameters["duration_s"]) + _ROUNDING_S
        told = {**episodes.parameters, "duration_s": longer_s, "record": True}
        nodes.append(replace(episodes, parameters=told))
    return (*nodes, _recorder(arguments))


def driver(arguments: RecordArguments) -> str:
    """The node with whose end all is over."""
    return DRIVER if arguments.alone else RECORDER


def _held(arguments: RecordArguments) -> NodeSpec:
    return _node(
        "teleop_node",
        arguments,
        {
            "device": arguments.device,
            "task": arguments.task,
            "robot": _description(arguments),
            "rate_hz": arguments.rate,
            "web_port": arguments.web_port,
        },
    )


def _recorder(arguments: RecordArguments) -> NodeSpec:
    of_policy = f" {arguments.checkpoint}" if arguments.device == POLICY else ""
    return _node(
        RECORDER,
        arguments,
        {
            "out": absolute(str(arguments.path)),
            "task": arguments.task,
            "robot": _description(arguments),
            "operator": arguments.device + of_policy,
            "guided": arguments.device == GUIDED,
            "episodes": 0 if arguments.alone else arguments.episodes,
        },
    )


def _node(name: str, arguments: RecordArguments, parameters: Mapping[str, Value]) -> NodeSpec:
    given = {**parameters, "use_sim_time": arguments.sim_time}
    return NodeSpec(f"df_policy.ros_nodes.{name}", name, given, arguments.namespace)


def _driving(arguments: RecordArguments) -> FruitSwapArguments:
    """The same choices for the nodes that a policy is driven with."""
    shared = {field.name: getattr(arguments, field.name) for field in fields(RobotArguments)}
    return FruitSwapArguments(**shared)


def _description(arguments: RecordArguments) -> str:
    """The robot as JSON, or where that stands; empty where the task tells."""
    if arguments.description:
        return absolute(arguments.description)
    if arguments.robot == "sim":
        return ""
    from df_policy.hardware.camera_sources import named_cameras
    from df_policy.ros_nodes.franka_config import FrankaNodeConfig
    from df_policy.ros_nodes.hardware_graph import picture_size
    from df_policy.sim.tasks import find

    task = find(arguments.task)
    names = named_cameras(arguments.cameras) if arguments.real else task.cameras
    cameras = {name: picture_size(task, name) for name in names}
    spec = FrankaNodeConfig(rate_hz=arguments.rate, workspace=arguments.workspace).spec
    return json.dumps(asdict(replace(spec, cameras=cameras)))


def _next_seed(path: Path) -> int:
    """The first seed that was not tried there yet."""
    if not path.exists():
        return 0
    from df_policy.data.reader import EpisodeStore

    return EpisodeStore.open(path).next_seed
