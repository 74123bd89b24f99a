"""Every topic and service in one table: the nodes use it, the README prints it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from diagnostic_msgs.msg import DiagnosticArray
from geometry_msgs.msg import PoseStamped
from nav_msgs.msg import Path
from rclpy.callback_groups import CallbackGroup
from rclpy.node import Node
from rclpy.publisher import Publisher
from rclpy.qos import ReliabilityPolicy
from rclpy.subscription import Subscription
from rosgraph_msgs.msg import Clock
from sensor_msgs.msg import CameraInfo, Image, JointState
from std_msgs.msg import Bool, Float64MultiArray, Int64, String
from std_srvs.srv import Trigger
from visualization_msgs.msg import MarkerArray

from df_policy.ros_nodes.delivery import COMMAND, IMAGE, LATCHED, REPORT, STATE, Delivery
from df_policy.teleop.reading import Press

FRAME = "base"
"""Frame of all poses: the robot's base."""


@dataclass(frozen=True)
class Topic:
    """One topic: who says what to whom, in which unit, how often, how surely."""

    name: str
    message: type
    meaning: str
    rate: str
    sender: str
    delivery: Delivery


JOINT_STATES = Topic(
    "joint_states", JointState, "arm [rad, rad/s] and fingers [m]", "50 Hz", "robot", STATE
)
CURRENT_POSE = Topic(
    "current_pose", PoseStamped, "tool in frame `base` [m, xyzw]", "50 Hz", "robot", STATE
)
IMAGES = Topic("camera/{camera}/image_raw", Image, "picture, `rgb8`", "10 Hz", "robot", IMAGE)
CAMERA_INFO = Topic(
    "camera/{camera}/camera_info", CameraInfo, "size and intrinsics [px]", "10 Hz", "robot", STATE
)
CLOCK = Topic("/clock", Clock, "simulated time", "50 Hz", "sim_node", STATE)
TARGET_POSE = Topic(
    "target_pose",
    PoseStamped,
    "where the tool shall be one tick later, frame `base` [m, xyzw]; sent after `target_gripper`",
    "50 Hz",
    "policy_node",
    COMMAND,
)
TARGET_GRIPPER = Topic(
    "target_gripper",
    Float64MultiArray,
    "one number: opening between the fingers [m]; acts with the `target_pose` that follows",
    "50 Hz",
    "policy_node",
    COMMAND,
)
PLAN = Topic("plan", Path, "the newest plan's tool path [m]", "5 Hz", "policy_node", COMMAND)
TIMING = Topic(
    "plan_timing",
    Float64MultiArray,
    "of the newest plan, when its first target goes out: that time and its oldest image's stamp "
    "[s], then each stage from image to target [ms]",
    "5 Hz",
    "policy_node",
    COMMAND,
)
IMAGINED = Topic(
    "imagined/{camera}/image_raw",
    Image,
    "what the newest plan expects the camera to see, for its stamp, which lies ahead: `rgb8` at "
    "half size, or less if that is more than 64 KiB; only with `imagine`",
    "each plan",
    "policy_node",
    IMAGE,
)
LIMITS = Topic(
    "limits",
    MarkerArray,
    "to be drawn: the edges of the workspace, and the zones that `costs` keep out of",
    "each change",
    "policy_node",
    LATCHED,
)
DEAD_MAN = Topic(
    "dead_man",
    Bool,
    "a switch held down; while it is not, the arm is held, if `dead_man_s` is set",
    "20 Hz",
    "a person",
    STATE,
)
NOTE = Topic(
    "recorder/note",
    String,
    "what is to be remembered of the open episode",
    "-",
    "a person",
    REPORT,
)
SEED = Topic(
    "recorder/seed",
    Int64,
    "of the start from which an episode is recorded next",
    "each episode",
    "episode_node",
    REPORT,
)
TRUTH = Topic(
    "sim/truth",
    Float64MultiArray,
    "the robot's clock [ns], the start's seed, and where everything is: for the script alone",
    "50 Hz",
    "sim_node",
    STATE,
)
DIAGNOSTICS = Topic(
    "/diagnostics", DiagnosticArray, "rates, latencies, holds", "1 Hz", "all", REPORT
)

TOPICS = (
    JOINT_STATES,
    CURRENT_POSE,
    IMAGES,
    CAMERA_INFO,
    CLOCK,
    TARGET_POSE,
    TARGET_GRIPPER,
    PLAN,
    TIMING,
    IMAGINED,
    LIMITS,
    DEAD_MAN,
    NOTE,
    SEED,
    TRUTH,
    DIAGNOSTICS,
)


@dataclass(frozen=True)
class Service:
    """One service; all are `std_srvs/srv/Trigger`."""

    name: str
    server: str
    meaning: str


RESET = Service(
    "sim/reset", "sim_node", "start the next episode; message: JSON `seed`, `stamp_ns`"
)
JUDGE = Service(
    "sim/judge", "sim_node", "judge now; message: JSON `success`, `reason`, `seed`, `stamp_ns`"
)
NOT_YET, REFUSED = "not yet: ", "refused: "
"""How the answer of a failed start begins: worth another try, or not."""

START = Service(
    "policy/start",
    "policy_node",
    "forget everything and begin to drive; if not, message `not yet: ...`, or `refused: ...` when "
    "another try is of no use",
)
STOP = Service(
    "policy/stop",
    "policy_node",
    "come to a stop and send no more; the robot keeps the last target",
)
SAFETY_STOP = Service(
    "safety/stop", "policy_node", "come to a stop and stay there; `policy/start` is refused"
)
RELEASE = Service(
    "safety/release", "policy_node", "allow `policy/start` again; nothing moves by this alone"
)

DRIVING = (RESET, JUDGE, START, STOP)
"""What it takes to run an episode."""
RECORDER = {
    press: Service(f"recorder/{press.value}", "recorder_node", meaning)
    for press, meaning in (
        (Press.START, "begin an episode, or go on after a pause"),
        (Press.PAUSE, "record nothing for now; the stamps leave no gap"),
        (Press.KEEP, "end the episode and store it; `asked` counts it at once, `kept` when it is"),
        (Press.DROP, "end the episode and forget it"),
        (Press.SUCCESS, "mark the open episode; unmarked, one that is kept is a success"),
        (Press.FAILURE, "mark the open episode"),
    )
}
"""Answers: JSON `said`, `stage`, `kept`, `asked`."""
SERVICES = (*DRIVING, SAFETY_STOP, RELEASE, *RECORDER.values())


def publisher(node: Node, topic: Topic, camera: str = "") -> Publisher[Any]:
    """A sender on `topic`, set as the table says."""
    profile = topic.delivery.profile(topic.delivery.offered)
    return node.create_publisher(topic.message, topic.name.format(camera=camera), profile)


def subscribe(
    node: Node,
    topic: Topic,
    callback: Callable[[Any], None],
    *,
    camera: str = "",
    group: CallbackGroup | None = None,
    best_effort: bool = False,
    depth: int = 0,
) -> Subscription[Any]:
    """A receiver of `topic`, set as the table says.

    Args:
        node: who receives.
        topic: a row of the table.
        callback: gets each message.
        camera: fills the topic's name.
        group: the callback group.
        depth: messages that may wait, if not as many as the table says.
        best_effort: take also senders that are not reliable, at the price of lost messages.
    """
    wanted = ReliabilityPolicy.BEST_EFFORT if best_effort else topic.delivery.wanted
    profile = topic.delivery.profile(wanted, depth)
    name = topic.name.format(camera=camera)
    return node.create_subscription(topic.message, name, callback, profile, callback_group=group)


def serve(
    node: Node,
    service: Service,
    answer: Callable[[Any, Any], Any],
    listen: Callable[[Service, Any], None] = lambda *_: None,
) -> None:
    """Offer a service.

    Args:
        node: who offers it.
        service: a row of the table.
        answer: fills in the response and returns it.
        listen: hears of each response before it goes out.
    """

    def respond(request: Any, response: Any) -> Any:
        given = answer(request, response)
        listen(service, given)
        return given

    node.create_service(TRIGGER, service.name, respond)


def markdown() -> str:
    """The table as the README shows it."""
    lines = [
        "| topic | type | meaning | rate | sender | QoS (sender -> receiver) |",
        "|---|---|---|---|---|---|",
    ]
    for topic in TOPICS:
        package = topic.message.__module__.split(".")[0]
        kind = f"{package}/msg/{topic.message.__name__}"
        name = topic.name.replace("{camera}", "<name>")
        lines.append(
            f"| `{name}` | {kind} | {topic.meaning} | {topic.rate} | {topic.sender} "
            f"| {topic.delivery} |"
        )
    lines += ["", "| service (std_srvs/srv/Trigger) | server | meaning |", "|---|---|---|"]
    lines += [f"| `{row.name}` | {row.server} | {row.meaning} |" for row in SERVICES]
    return "\n".join(lines)


TRIGGER = Trigger
"""The type of every service."""
