"""The nodes in this process, over real ROS: a scripted robot, a small planner, simulated time."""

import json
import time

import numpy as np
import pytest

pytest.importorskip("rclpy")

from line import in_thread
from rclpy.node import Node
from rclpy.parameter import Parameter
from ros_bench import SPEC, TICK_NS, FakeWorld, Robot, Ros, go, report_of

from df_policy.align import JointReading
from df_policy.errors import DfPolicyError
from df_policy.frames import Action
from df_policy.geometry import Pose
from df_policy.plan import Plan, Trace
from df_policy.robot import RobotSpec
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.episode_node import EpisodeNode, work
from df_policy.ros_nodes.intake import check_stamp
from df_policy.ros_nodes.policy_node import PolicyNode
from df_policy.ros_nodes.running import run_node
from df_policy.ros_nodes.sim_node import SimNode

pytestmark = pytest.mark.ros

HOUR_NS = 3_600_000_000_000


class LiftingPlanner:
    """Raises the tool by a millimetre per action."""

    spec, every, commit = SPEC, 8, 1

    def remember(self, seen, executed):
        self.executed.append(executed)

    def trace(self):
        return Trace(b"", b"")

    def recall(self, tokens, rest):
        raise AssertionError("nothing was handed back that could be recalled")

    def __init__(self):
        self.seeds, self.executed = [], []

    def reset(self, seed):
        self.seeds.append(seed)

    def plan(self, seen, executed, committed=()):
        self.executed.append(executed)
        start = seen.stamp_ns
        rows = [
            Action(Pose.of(seen.tool.position_m + [0, 0, 1e-3 * n], [1, 0, 0, 0]), 0.08).row()
            for n in range(1, 17)
        ]
        return Plan(start, SPEC.period_ns, np.array(rows), start)


@pytest.fixture
def ros():
    made = Ros()
    yield made
    made.close()


def driven(ros, **parameters):
    """A robot and a policy node that know each other and have each other's time."""
    planner = LiftingPlanner()
    robot = ros.add(Robot)
    policy = ros.add(
        PolicyNode, lambda _: in_thread(lambda: planner), use_sim_time=True, **parameters
    )
    ros.spin_until(
        lambda: (
            all(out.get_subscription_count() for out in robot.images_out.values())
            and robot.count_publishers("target_pose")
            and robot.clock_out.get_subscription_count()
        )
    )
    go(ros, robot, 12)
    return planner, robot, policy


def test_it_is_silent_until_started_and_after_it_is_stopped(ros):
    _, robot, _ = driven(ros)
    assert robot.targets == []
    assert ros.call(robot, topics.START).success
    go(ros, robot, 20)
    assert len(robot.targets) >= 15
    assert ros.call(robot, topics.STOP).success
    go(ros, robot, 10)  # it brakes before it is silent
    count = len(robot.targets)
    go(ros, robot, 10)
    assert len(robot.targets) == count


def test_it_follows_plans_tick_by_tick_by_the_clock(ros):
    planner, robot, _ = driven(ros, seed=4)
    ros.call(robot, topics.START)
    go(ros, robot, 110)
    stamps = [convert.stamp_of(target.header.stamp) for target in robot.targets]
    assert set(np.diff(stamps)) <= {TICK_NS, 2 * TICK_NS}
    assert len(stamps) > 95
    assert np.abs(np.diff(robot.heights())).max() < 0.01
    assert max(robot.heights()) > 0.307
    assert len(robot.plans) >= 2
    assert {round(opening.data[0], 6) for opening in robot.openings} == {0.08}
    assert planner.seeds == [4]
    assert [len(executed) for executed in planner.executed[:2]] == [0, 8]


def test_the_gripper_is_told_before_the_pose_that_it_waits_for(ros):
    _, robot, policy = driven(ros)
    order, listen = [], policy._commands._listen

    def heard(topic, message):
        order.append(topic.name)
        listen(topic, message)

    policy._commands._listen = heard
    ros.call(robot, topics.START)
    go(ros, robot, 5)
    assert len(order) >= 6
    assert order == ["target_gripper", "target_pose"] * (len(order) // 2)


def test_one_stamp_of_the_far_future_is_skipped_and_changes_nothing(ros):
    planner, robot, policy = driven(ros)
    for out in robot.images_out.values():
        ahead = convert.image_message(robot.now + HOUR_NS, np.zeros((8, 8, 3), np.uint8), "c")
        out.publish(ahead)
    ros.spin_until(lambda: policy._intake.bad.total() == 2)
    go(ros, robot, 10)
    assert ros.call(robot, topics.START).success
    go(ros, robot, 20)
    ros.spin_until(lambda: planner.executed)


def test_a_robot_whose_clock_is_another_is_refused_with_what_to_mend(ros):
    robot = ros.add(Robot)
    policy = ros.add(PolicyNode, lambda _: in_thread(LiftingPlanner), use_sim_time=True)
    ros.spin_until(robot.images_out["front"].get_subscription_count)
    ros.spin_until(robot.clock_out.get_subscription_count)
    robot.clock_out.publish(convert.clock_message(TICK_NS))
    ros.spin_until(lambda: policy._now_ns() > 0)
    reading = JointReading(np.zeros(2), np.zeros(2), 0.08)
    robot.joints_out.publish(convert.joint_message(HOUR_NS, reading, SPEC))
    ros.spin_until(lambda: policy._intake.bad["joint_states"] == 1)
    with pytest.raises(DfPolicyError, match=r"3600\.0 s ahead.*use_sim_time"):
        check_stamp(HOUR_NS, 0)
    for camera in SPEC.cameras:
        policy._streams.images[camera].add(TICK_NS, np.zeros((8, 8, 3), np.uint8))
    answer = ros.call(robot, topics.START)
    assert answer.message.startswith(topics.REFUSED)
    assert "ahead of it" in answer.message


def test_after_the_robots_clock_was_set_back_it_starts_again(ros):
    _, robot, policy = driven(ros)
    go(ros, robot, 60)
    robot.now = 0
    for _ in range(3):
        go(ros, robot, 12)
        ros.spin_for(0.1)
    assert policy._streams.joints.newest_ns <= robot.now
    assert ros.call(robot, topics.START).success


def test_a_new_start_is_a_new_session_with_the_next_seed(ros):
    planner, robot, _ = driven(ros)
    for _ in range(2):
        ros.call(robot, topics.START)
        go(ros, robot, 12)
    ros.spin_until(lambda: len(planner.seeds) == 2)
    assert planner.seeds == [0, 1]
    assert [len(executed) for executed in planner.executed] == [0, 0]


def test_a_camera_that_dies_holds_the_arm_and_is_named(ros):
    _, robot, _ = driven(ros)
    ros.call(robot, topics.START)
    go(ros, robot, 30)
    go(ros, robot, 30, cameras=("front",))
    heights = robot.heights()
    assert heights[-1] > 0.301
    assert set(heights[-8:]) == {heights[-1]}
    robot.reports.clear()
    ros.spin_until(lambda: robot.reports)
    problem, values = report_of(robot, "policy_node")
    assert "camera/wrist" in problem
    assert int(values["held_ticks camera/wrist"]) > 5


def test_malformed_images_are_counted_and_skipped(ros):
    _, robot, _ = driven(ros)
    ros.call(robot, topics.START)
    go(ros, robot, 10)
    go(ros, robot, 11, size=(8, 9))
    robot.reports.clear()
    ros.spin_until(lambda: robot.reports)
    _, values = report_of(robot, "policy_node")
    assert int(values["bad_messages camera/front"]) >= 2
    go(ros, robot, 10)
    assert len(robot.targets) > 20


def test_it_refuses_to_start_without_a_camera(ros):
    robot = ros.add(Robot)
    ros.add(PolicyNode, lambda _: in_thread(LiftingPlanner), use_sim_time=True)
    ros.spin_until(robot.images_out["front"].get_subscription_count)
    go(ros, robot, 12, cameras=("front",))
    answer = ros.call(robot, topics.START)
    assert not answer.success
    assert "camera/wrist" in answer.message
    assert "got none yet" in answer.message
    assert answer.message.startswith(topics.NOT_YET)


@pytest.mark.parametrize(
    ("kind", "says"),
    [
        ({"size": (48, 64)}, "expected 8x8 px in rgb8 or bgr8, got 48x64"),
        ({"joint_spec": RobotSpec("arm", ("a", "b"), {})}, "expected joints j1, j2"),
    ],
)
def test_it_refuses_a_robot_of_another_schema(ros, kind, says):
    robot = ros.add(Robot)
    ros.add(PolicyNode, lambda _: in_thread(LiftingPlanner), use_sim_time=True)
    ros.spin_until(robot.images_out["front"].get_subscription_count)
    go(ros, robot, 12, **kind)
    answer = ros.call(robot, topics.START)
    assert answer.message.startswith(topics.REFUSED)
    assert says in answer.message


@pytest.mark.parametrize(
    ("parameters", "says"),
    [
        ({"rate": 50.0}, "did you mean 'rate_hz'"),
        ({"rate_hz": "fast"}, "of type float"),
        ({"gather_s": -1.0}, "gather_s above 0"),
        ({"rate_hz": 19.0}, "at least 20, two targets per action, got 19"),
    ],
)
def test_parameters_that_make_no_sense_are_refused(ros, parameters, says):
    with pytest.raises(DfPolicyError, match=says):
        ros.add(PolicyNode, lambda _: in_thread(LiftingPlanner), **parameters)


def test_the_simulation_runs_in_real_time_and_limits_what_it_is_told(ros):
    world = FakeWorld()
    ros.add(SimNode, lambda _: (world, {}), real_time_factor=2.0)
    robot = ros.add(Robot)
    ros.spin_until(lambda: world.targets)
    begin_ns, begin_s = world.time_ns, time.monotonic()
    ros.spin_for(1.0)
    factor = (world.time_ns - begin_ns) * 1e-9 / (time.monotonic() - begin_s)
    assert 0.0 < factor < 2.2  # a busy machine may be slower
    commander = topics.publisher(robot, topics.TARGET_POSE)
    ros.spin_until(commander.get_subscription_count)
    far = Pose.of([0.5, 0.2, 0.3], [1, 0, 0, 0])
    commander.publish(convert.pose_message(world.time_ns, far))
    ros.spin_until(lambda: world.at.tool.position_m[1] > 0.19)
    ys = [target.tool.position_m[1] for target in world.targets]
    assert np.abs(np.diff(ys)).max() <= SPEC.max_speed_m_s / SPEC.control_rate_hz + 1e-9


def test_a_simulation_that_cannot_keep_up_lets_its_clock_slip(ros):
    world = FakeWorld()
    ros.add(SimNode, lambda _: (world, {}))
    ros.spin_until(lambda: world.targets)
    ticks = len(world.targets)
    time.sleep(1.0)  # fifty ticks' time
    begin = time.monotonic()
    ros.spin_for(0.2)
    assert len(world.targets) - ticks <= 50 * (time.monotonic() - begin) + 5


def test_a_whole_episode_is_reset_driven_and_judged(ros, tmp_path):
    world, planner = FakeWorld(), LiftingPlanner()
    film = tmp_path / "film" / "episodes.npz"
    sim = ros.add(
        SimNode, lambda _: (world, {}), real_time_factor=1.0, seed=7, record_path=str(film)
    )
    patient = {"max_image_age_s": 2.0, "max_state_age_s": 2.0}  # the machine may be busy
    ros.add(PolicyNode, lambda _: in_thread(lambda: planner), use_sim_time=True, **patient)
    result = tmp_path / "result.json"
    episode = EpisodeNode(
        context=ros.context,
        parameter_overrides=[
            Parameter(name, value=value)
            for name, value in {
                "episodes": 2,
                "duration_s": 2.0,
                "result_path": str(result),
                "use_sim_time": True,
            }.items()
        ],
    )
    ros.share(episode)
    try:
        assert work(episode) == 0
    finally:
        episode.close()
        episode.destroy_node()
    told = json.loads(result.read_text())
    assert told["episodes"] == told["successes"] == 2
    assert told["seeds"] == [7, 8]
    assert told["control"]["rate_hz"] > 5.0
    assert world.seeds == [7, 7, 8]
    sim.close()
    assert world.closed
    with np.load(film) as moments:
        assert set(moments["episode"]) == {0, 1}
        assert np.isfinite(moments["plan"]).any()


def test_waiting_for_services_ends_and_says_for_what(ros):
    episode = ros.add(EpisodeNode, ready_timeout_s=0.2)
    with pytest.raises(DfPolicyError, match=r"sim_node to offer sim/reset within 0\.2 s"):
        work(episode)


class Answers(Node):
    """Offers all services; `policy/start` answers what it was told to, then yes."""

    def __init__(self, *answers, **overrides):
        super().__init__("answers", **overrides)
        self.answers, self.starts = list(answers), 0
        said = {
            topics.RESET: '{"seed": 3, "stamp_ns": 0}',
            topics.JUDGE: '{"success": true, "reason": "success"}',
            topics.STOP: "stopped",
        }
        for service, message in said.items():
            self.create_service(topics.TRIGGER, service.name, self.say(message))
        self.create_service(topics.TRIGGER, topics.START.name, self.start)

    @staticmethod
    def say(message):
        def answer(_, response):
            response.success, response.message = True, message
            return response

        return answer

    def start(self, _, response):
        self.starts += 1
        response.success = not self.answers
        response.message = self.answers.pop(0) if self.answers else "started"
        return response


def episodes_of(ros, result, *answers):
    """An episode node beside services that answer so, ready to work."""
    server = ros.add(Answers, *answers)
    values = {"episodes": 1, "duration_s": 0.1, "result_path": str(result)}
    overrides = [Parameter(name, value=value) for name, value in values.items()]
    episode = EpisodeNode(context=ros.context, parameter_overrides=overrides)
    ros.share(episode)
    ros.nodes.append(episode)
    return server, episode


def test_a_start_that_will_never_be_is_asked_for_once_and_leaves_the_last_result(ros, tmp_path):
    result = tmp_path / "result.json"
    result.write_text("good")
    server, episode = episodes_of(ros, result, "refused: expected joints j1, got a")
    with pytest.raises(DfPolicyError, match="refused: expected joints j1, got a"):
        work(episode)
    assert server.starts == 1
    assert result.read_text() == "good"


def test_a_start_that_may_yet_be_is_asked_for_again(ros, tmp_path):
    server, episode = episodes_of(ros, tmp_path / "result.json", *["not yet: no camera"] * 2)
    assert work(episode) == 0
    assert server.starts == 3
    assert json.loads((tmp_path / "result.json").read_text())["seeds"] == [3]


def test_a_result_that_cannot_be_written_is_one_clear_error(ros, tmp_path):
    (tmp_path / "file").touch()
    _, episode = episodes_of(ros, tmp_path / "file" / "result.json")
    with pytest.raises(DfPolicyError, match="expected to write"):
        work(episode)


def test_what_fails_while_a_node_closes_is_told_and_no_success(capfd):
    class Full(Node):
        def close(self):
            raise DfPolicyError("expected to write a film, got a full disk")

    assert run_node("full", lambda: Full("full"), [], lambda _: 0) == 1
    said = capfd.readouterr().err
    assert "got a full disk" in said
    assert "Traceback" not in said
