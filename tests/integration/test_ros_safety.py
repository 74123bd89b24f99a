"""The gate, the life cycle and the operation of the nodes, over real ROS."""

import importlib.util
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

import rclpy
from benchmarks import faults
from circling_node import HOME, SPEC, CirclingPlanner
from lifecycle_msgs.msg import State, Transition
from lifecycle_msgs.srv import ChangeState, GetState
from line import in_thread
from rcl_interfaces.msg import Parameter as Setting
from rcl_interfaces.srv import SetParameters
from rclpy.executors import SingleThreadedExecutor
from rclpy.node import Node
from rclpy.parameter import Parameter
from std_msgs.msg import Bool

from df_policy.costs import KeepOutBox, write
from df_policy.environment import Verdict
from df_policy.errors import DfPolicyError
from df_policy.frames import Observation
from df_policy.geometry import Pose
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.commander import rivals
from df_policy.ros_nodes.graph import free_domain
from df_policy.ros_nodes.health import Level
from df_policy.ros_nodes.policy_node import PolicyNode
from df_policy.ros_nodes.sim_node import SimNode

pytestmark = pytest.mark.ros


class Bench:
    """A robot, and nodes beside it, all in this thread and at the pace of the slowest."""

    def __init__(self):
        self.domain = free_domain()
        self.context = rclpy.Context()
        rclpy.init(context=self.context, domain_id=self.domain)
        self.executor = SingleThreadedExecutor(context=self.context)
        self.nodes = []
        self.robot = faults.Robot(self.domain)
        self.robot.meanwhile = self.spin
        self.robot.is_known = self.is_known

    def is_known(self, service):
        name = f"/{service.lstrip('/')}"
        return any(node.count_clients(name) for node in self.nodes)

    def spin(self):
        for _ in range(4):
            self.executor.spin_once(timeout_sec=0.0)

    def add(self, make, *args, options=(), **parameters):
        node = make(
            *args,
            context=self.context,
            parameter_overrides=[Parameter(name, value=v) for name, v in parameters.items()],
            **dict(options),
        )
        self.nodes.append(node)
        self.executor.add_node(node)
        return node

    def policy(self, **parameters):
        start = in_thread(CirclingPlanner)
        patient = {"max_image_age_s": 0.4, "max_state_age_s": 0.3, "use_sim_time": True}
        return self.add(PolicyNode, lambda _: start, **(patient | parameters))

    def go(self, ticks, patience_s=0.2):
        for _ in range(ticks):
            self.robot.tick(patience_s)

    def until(self, done, seconds=120.0):
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, f"timed out: {self.robot.answer} {self.robot.reasons}"
            self.robot.tick(0.05)

    def drive(self):
        """Start the policy, and see the robot move."""
        assert self.robot.start(), self.robot.answer
        self.until(lambda: self.robot.watch.moving)

    def change(self, transition):
        request = ChangeState.Request(transition=Transition(id=transition))
        name = "policy_node/change_state"
        return self.robot.call(ChangeState, name, request, again=False).success

    def state(self):
        return self.robot.call(
            GetState, "policy_node/get_state", GetState.Request()
        ).current_state.id

    def set(self, name, value):
        setting = Setting(name=name, value=Parameter(name, value=value).get_parameter_value())
        request = SetParameters.Request(parameters=[setting])
        return self.robot.call(SetParameters, "policy_node/set_parameters", request).results[0]

    def senders(self, topic=topics.TARGET_POSE):
        return [info.node_name for info in self.robot.get_publishers_info_by_topic(topic.name)]

    def close(self):
        for node in self.nodes:
            self.executor.remove_node(node)
            node.close()
            node.destroy_node()
        self.robot.close()
        self.executor.shutdown()
        rclpy.shutdown(context=self.context)


@pytest.fixture
def bench():
    made = Bench()
    yield made
    made.close()
    assert made.robot.watch.violations == []


def test_stopped_it_brakes_and_stays_until_it_is_released_and_started(bench):
    bench.policy()
    bench.drive()
    stopped = bench.robot.trigger(topics.SAFETY_STOP)
    assert stopped.success
    bench.until(lambda: not bench.robot.watch.moving)
    bench.go(5)
    count = bench.robot.watch.count
    refused = bench.robot.trigger(topics.START)
    assert refused.message.startswith(topics.REFUSED)
    assert "stopped by safety/stop: call safety/release first" in refused.message
    bench.until(lambda: "stopped by safety/stop" in bench.robot.reasons)
    assert bench.robot.trigger(topics.RELEASE).success
    bench.go(20, 0.0)
    assert bench.robot.watch.count == count  # by a release alone nothing moves
    bench.drive()


def test_while_another_sends_commands_it_holds_and_says_who(bench):
    bench.policy()
    bench.drive()
    rival = topics.publisher(bench.robot, topics.TARGET_POSE)
    bench.until(lambda: not bench.robot.watch.moving)
    bench.until(lambda: "expected one sender of target_pose" in bench.robot.reasons)
    assert "/policy_node, /robot" in bench.robot.reasons
    bench.robot.destroy_publisher(rival)
    bench.until(lambda: bench.robot.watch.moving)


def test_another_sender_is_found_too_where_the_command_topics_have_other_names(bench):
    options = {"cli_args": ["--ros-args", "-r", "target_pose:=/arm/goal"]}
    node = bench.add(Node, "driver", options=options.items())
    node.close = lambda: None
    topics.publisher(node, topics.TARGET_POSE)
    assert rivals(node, allowed=1) == ""
    bench.robot.create_publisher(topics.TARGET_POSE.message, "/arm/goal", 1)
    bench.until(lambda: "expected one sender of target_pose, got 2" in rivals(node, allowed=1))


def test_a_dead_mans_switch_holds_while_it_is_not_held_down(bench):
    bench.policy(dead_man_s=5.0)
    switch = bench.robot.create_publisher(Bool, "dead_man", 1)
    assert bench.robot.start(), bench.robot.answer
    bench.until(lambda: "expected dead_man held down" in bench.robot.reasons)
    assert not bench.robot.watch.moving
    bench.until(switch.get_subscription_count)
    switch.publish(Bool(data=True))
    bench.until(lambda: bench.robot.watch.moving)
    switch.publish(Bool(data=False))
    bench.until(lambda: not bench.robot.watch.moving)


def test_it_lives_as_a_lifecycle_manager_says(bench):
    node = bench.policy(autostart=False)
    assert bench.state() == State.PRIMARY_STATE_UNCONFIGURED
    assert bench.senders() == []
    assert not bench.change(Transition.TRANSITION_ACTIVATE)
    assert bench.change(Transition.TRANSITION_CONFIGURE)
    assert bench.robot.trigger(topics.START).message.startswith(topics.NOT_YET)
    assert bench.senders() == []
    for _ in range(2):
        assert bench.change(Transition.TRANSITION_ACTIVATE)
        bench.until(lambda: bench.senders() == ["policy_node"])
        bench.drive()
        assert bench.change(Transition.TRANSITION_DEACTIVATE)
        bench.until(lambda: bench.senders() == [])
        assert not node._commands.moving  # it came to a stop before it was gone
    assert bench.robot.trigger(topics.SAFETY_STOP).success
    assert bench.change(Transition.TRANSITION_CLEANUP)
    assert bench.change(Transition.TRANSITION_CONFIGURE)
    assert bench.state() == State.PRIMARY_STATE_INACTIVE
    assert bench.change(Transition.TRANSITION_ACTIVATE)
    refused = bench.robot.trigger(topics.START)
    assert "call safety/release first" in refused.message  # what is stopped stays so
    assert bench.change(Transition.TRANSITION_ACTIVE_SHUTDOWN)
    assert bench.state() == State.PRIMARY_STATE_FINALIZED


def test_diagnostics_tell_what_passes_from_what_needs_a_person(bench):
    bench.policy()
    robot = bench.robot

    def told(level, reason=""):
        bench.until(lambda: robot.levels.get("policy_node") == level and reason in robot.reasons)

    told(Level.OK)
    bench.drive()
    told(Level.OK)
    robot.dead = {"wrist"}
    told(Level.STALE, "expected camera/wrist to go on, got nothing for")
    robot.dead = set()
    told(Level.OK)
    robot.joints = float("nan")
    told(Level.ERROR, "joint_states: expected finite joint positions")
    robot.joints = 0.99
    told(Level.WARN, "only the way back is open")
    robot.joints = 0.0
    assert robot.trigger(topics.SAFETY_STOP).success
    told(Level.ERROR, "stopped by safety/stop")
    assert robot.trigger(topics.RELEASE).success
    told(Level.OK)
    rival = topics.publisher(robot, topics.TARGET_POSE)
    told(Level.ERROR, "expected one sender of target_pose")
    robot.destroy_publisher(rival)
    told(Level.OK)


def test_a_start_that_is_refused_is_an_error_until_one_is_not(bench):
    bench.policy()
    robot = bench.robot
    robot.at = Pose.of([0.5, 0.0, 5.0], [1, 0, 0, 0])
    robot.target = robot.at
    answer = None
    while answer is None or not answer.message.startswith(topics.REFUSED):
        answer = robot.trigger(topics.START)
    assert "expected the tool in the workspace" in answer.message
    bench.until(lambda: robot.levels.get("policy_node") == Level.ERROR)
    assert robot.reasons == answer.message
    robot.at = robot.target = HOME.tool
    bench.drive()
    bench.until(lambda: robot.levels["policy_node"] == Level.OK)


def test_a_node_that_was_never_configured_may_be_ended_and_told_more(bench):
    bench.policy(autostart=False)
    assert bench.set("gather_s", 0.1).successful
    assert bench.change(Transition.TRANSITION_UNCONFIGURED_SHUTDOWN)
    assert bench.set("gather_s", 0.2).successful
    assert bench.state() == State.PRIMARY_STATE_FINALIZED


def test_a_node_that_cannot_be_configured_says_why_and_can_be_once_it_is_mended(bench):
    broken = [True]

    def start(_):
        if broken:
            raise DfPolicyError("expected a checkpoint, got none")
        return in_thread(CirclingPlanner)

    bench.add(PolicyNode, start, autostart=False)
    assert not bench.change(Transition.TRANSITION_CONFIGURE)
    assert bench.state() == State.PRIMARY_STATE_UNCONFIGURED
    bench.until(lambda: bench.robot.levels.get("policy_node") == Level.ERROR)
    assert bench.robot.reasons == "expected a checkpoint, got none"
    assert bench.set("rate_hz", 19.0).successful
    broken.clear()
    assert not bench.change(Transition.TRANSITION_CONFIGURE)  # slower than two targets an action
    assert bench.set("rate_hz", 50.0).successful
    assert bench.change(Transition.TRANSITION_CONFIGURE)
    bench.until(lambda: bench.robot.levels["policy_node"] == Level.OK)
    broken.append(True)
    with pytest.raises(DfPolicyError, match="expected a checkpoint"):
        PolicyNode(start, context=bench.context)


class Broken(SimNode):
    """Fails in the middle of its activation, once."""

    fails = True

    def activate(self):
        super().activate()
        if self.fails:
            self.fails = False
            raise ArithmeticError("something broke")


def test_after_an_error_that_nobody_foresaw_everything_is_let_go_and_it_can_begin_anew(bench):
    node = bench.add(Broken, lambda _: (StillWorld(), {}), autostart=False)
    before = len(list(node.publishers))
    for _ in range(2):
        node.trigger_configure()
        node.trigger_activate()
        if not node.active:
            assert node.state == State.PRIMARY_STATE_UNCONFIGURED
            assert len(list(node.publishers)) == before + 1  # tells why on /diagnostics
            assert len(list(node.timers)) == 1
    assert node.active
    node.trigger_deactivate()
    node.trigger_cleanup()
    assert len(list(node.publishers)) == before
    assert list(node.timers) == []


def test_parameters_are_checked_when_they_are_set(bench):
    node = bench.policy()
    for name, value, says in (
        ("gather_s", -1.0, "expected gather_s above 0, got -1.0"),
        ("max_state_age_s", float("inf"), "expected a finite number for parameter"),
        ("seed", 1 << 62, "expected a seed below"),
        ("rate_hz", 100.0, "expected rate_hz to stay as it is while the node is configured"),
        ("rate", 100.0, "undeclared"),
    ):
        refused = bench.set(name, value)
        assert not refused.successful
        assert says in refused.reason
    assert bench.set("max_state_age_s", 0.5).successful
    assert node.config.max_state_age_s == 0.5
    assert node._streams.tool.max_age_s == 0.5


def test_costs_bend_plans_from_when_they_are_set_and_wrong_ones_are_refused(bench):
    """The circle lies at a height of 0.3 m, in the middle of the box."""
    importlib.import_module("df_policy.guidance")  # on a busy machine torch takes a planner's time
    bench.policy()
    bench.drive()
    refused = bench.set("costs", '[{"kind": "keep_out_bax"}]')
    assert not refused.successful
    assert "did you mean 'keep_out_box'" in refused.reason
    box = KeepOutBox((0.5, 0.0, 0.3), (0.3, 0.3, 0.02), 0.0)
    assert bench.set("costs", write((box,))).successful
    drawn: list[list[str]] = []
    topics.subscribe(
        bench.robot,
        topics.LIMITS,
        lambda message: drawn.append([marker.ns for marker in message.markers]),
    )
    bench.until(lambda: drawn)  # who comes later is told too
    assert drawn == [["", "workspace", "keep_out"]]
    bench.until(lambda: bench.robot.at.position_m[2] > 0.312)
    assert bench.set("costs", "").successful
    bench.until(lambda: bench.robot.at.position_m[2] < 0.302)
    assert drawn[-1] == ["", "workspace"]


class StillWorld:
    """A world whose tool is where it was told to be."""

    spec, home = SPEC, HOME

    def __init__(self):
        self.time_ns, self.at = 0, HOME

    def reset(self, seed):
        self.time_ns += faults.TICK_NS
        self.at = HOME

    def advance(self, target):
        self.at = target
        self.time_ns += faults.TICK_NS

    def observe(self, cameras=True):
        images = {name: np.zeros((8, 8, 3), np.uint8) for name in SPEC.cameras} if cameras else {}
        stamps = dict.fromkeys(images, self.time_ns)
        zeros = np.zeros(2)
        at = self.at
        return Observation(self.time_ns, images, stamps, zeros, zeros, at.tool, at.gripper_m)

    def judge(self):
        return Verdict(True, "success")

    def snapshot(self):
        return np.zeros(3)

    def close(self):
        pass


def test_two_robots_share_a_domain_and_each_is_driven_by_its_own_policy(bench):
    worlds = {}
    for name in ("left", "right"):
        worlds[name] = StillWorld()
        remap = ["--ros-args", "-r", f"/clock:=/{name}/clock"]
        options = {"namespace": f"/{name}", "cli_args": remap}
        bench.add(SimNode, lambda _, w=worlds[name]: (w, {}), options=options)
        start = in_thread(CirclingPlanner)
        patient = {"max_image_age_s": 2.0, "max_state_age_s": 2.0, "use_sim_time": True}
        bench.add(PolicyNode, lambda _, s=start: s, options=options, **patient)
    end = time.monotonic() + 120.0
    namespaces: list[str] = []
    while namespaces != ["/left"]:  # who publishes is heard of a moment later
        assert time.monotonic() < end, namespaces
        time.sleep(0.02)
        clocks = bench.robot.get_publishers_info_by_topic("/left/clock")
        namespaces = [info.node_namespace for info in clocks]
    answer = None
    while answer is None or not answer.success:
        assert time.monotonic() < end, answer
        answer = bench.robot.call(topics.TRIGGER, "/left/policy/start", topics.TRIGGER.Request())
    bench.until(lambda: worlds["left"].at.tool.position_m[1] > 0.02)
    assert worlds["right"].at.row() == pytest.approx(HOME.row())
    bench.until(lambda: len(bench.robot.told) == 4)
    assert set(bench.robot.told) == {
        f"{side}/{node}" for side in ("left", "right") for node in ("sim_node", "policy_node")
    }


def test_nothing_but_the_policy_node_is_on_the_command_topics_and_the_simulation_obeys_one(bench):
    world = StillWorld()
    bench.add(SimNode, lambda _: (world, {}))
    for topic in (topics.TARGET_POSE, topics.TARGET_GRIPPER):
        assert bench.senders(topic) == []
    first, second = (topics.publisher(bench.robot, topics.TARGET_POSE) for _ in range(2))
    bench.until(lambda: first.get_subscription_count() and second.get_subscription_count())
    near = HOME.tool.position_m + [0.0, 0.05, 0.0]
    wanted = convert.pose_message(10**12, type(HOME.tool)(near, HOME.tool.quat_xyzw))
    first.publish(wanted)
    bench.until(lambda: bench.robot.told.get("sim_node"))
    assert "expected one sender of target_pose" in bench.robot.told["sim_node"]
    assert world.at.row() == pytest.approx(HOME.row())
    bench.robot.destroy_publisher(second)
    first.publish(wanted)
    bench.until(lambda: world.at.tool.position_m[1] > 0.049)


@pytest.mark.slow
def test_faults_end_in_a_hold_and_are_recovered_from_without_a_restart():
    chosen = (
        "a camera stops",
        "joints are NaN",
        "stamps out of order",
        "the planner is killed",
        "the plan is NaN",
        *([faults.DISK] if importlib.util.find_spec("mcap") else []),
    )
    some = tuple(fault for fault in faults.FAULTS if fault.name in chosen)
    results, watch = faults.campaign(len(some), 0.0, 0, 0.3, some)
    assert [wrong for _, wrong in results] == [""] * len(some)
    assert watch.violations == []
    assert watch.count > 100
