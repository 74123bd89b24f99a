"""The planner in a process of its own, over real ROS: killed, slow, logged, and made up again."""

import json
import os
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest

pytest.importorskip("rclpy")

import counting_planner
from rclpy.parameter import Parameter
from ros_bench import HOME, FakeWorld, Robot, Ros, go, report_of

from df_policy.commands import replay
from df_policy.ros_nodes import convert, node_log, topics
from df_policy.ros_nodes.node_log import Event
from df_policy.ros_nodes.planner_start import starter
from df_policy.ros_nodes.planning import Job, Outcome, Recall, Worker
from df_policy.ros_nodes.policy_node import PolicyNode
from df_policy.ros_nodes.sim_node import SimNode

pytestmark = pytest.mark.ros

ROOT = Path(__file__).parents[2]


@pytest.fixture
def ros():
    made = Ros()
    yield made
    made.close()


@pytest.fixture
def process(monkeypatch):
    """Starts the counting planner as a program."""
    monkeypatch.setenv("PYTHONPATH", f"{ROOT}:{ROOT / 'tests' / 'fakes'}")
    return lambda _: starter(lambda line: [sys.executable, counting_planner.__file__, str(line)])


def driving(ros, process, prompt=True, **parameters):
    """A robot that is driven."""
    robot = ros.add(Robot)
    policy = ros.add(PolicyNode, process, use_sim_time=True, **parameters)
    ros.spin_until(
        lambda: (
            all(out.get_subscription_count() for out in robot.images_out.values())
            and robot.count_publishers("target_pose")
            and robot.clock_out.get_subscription_count()
        )
    )
    go(ros, robot, 40, prompt)
    assert ros.call(robot, topics.START).success
    return robot, policy


def dead(process):
    """Whether it has ended, though nobody has asked how."""
    return Path(f"/proc/{process}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def test_a_planner_killed_in_the_middle_is_replaced_and_the_episode_goes_on(ros, process):
    robot, policy = driving(ros, process)
    go(ros, robot, 60)
    assert robot.heights()[-1] > HOME.tool.position_m[2] + 0.005
    remembered = robot.openings[-1].data[0]
    planner = policy._planning.process
    os.kill(planner, signal.SIGKILL)
    ros.spin_until(lambda: dead(planner))
    killed_ns, count = robot.now, len(robot.targets)
    go(ros, robot, 8)
    held = robot.heights()[-1]
    moving = [
        convert.stamp_of(target.header.stamp)
        for target in robot.targets[count:]
        if target.pose.position.z != held
    ]
    assert max(moving, default=killed_ns) - killed_ns <= 150_000_000
    assert np.abs(np.diff(robot.heights())).max() < 0.002
    deadline = time.monotonic() + 120.0
    while robot.heights()[-1] < held + 0.005:
        assert time.monotonic() < deadline
        go(ros, robot, 5)
    assert policy._planning.process != planner
    assert robot.openings[-1].data[0] > remembered  # it knows of what the dead one saw
    robot.reports.clear()
    ros.spin_until(lambda: robot.reports)
    _, values = report_of(robot, "policy_node")
    assert values["planner_deaths"] == values["pauses planner"] == "1"
    assert int(values["held_ticks planner"]) >= 8


def test_a_log_holds_all_that_was_seen_and_sent_and_makes_the_plans_again(ros, process, tmp_path):
    pytest.importorskip("mcap")
    path = tmp_path / "drive.mcap"
    robot, policy = driving(ros, process, log=str(path), seed=3)
    go(ros, robot, 30)
    planner = policy._planning.process
    os.kill(planner, signal.SIGKILL)
    ros.spin_until(lambda: dead(planner))
    deadline = time.monotonic() + 120.0
    while not policy._planning.deaths or policy._planning.down:
        assert time.monotonic() < deadline
        go(ros, robot, 5)
    go(ros, robot, 30)
    sent = len(robot.targets)
    assert policy.set_parameters([Parameter("max_state_age_s", value=0.2)])[0].successful
    ros.call(robot, topics.SAFETY_STOP)
    policy.trigger_deactivate()
    policy.trigger_cleanup()
    policy.trigger_configure()  # writes another log, not this one again
    policy.close()
    again = path.with_name("drive-2.mcap")
    assert [found.name for found in path.parent.iterdir()] == [path.name, again.name]
    assert node_log.about(again)["seed"] == 3
    asked = [event for _, event in node_log.events(path)]
    assert asked == [
        Event("state", "active"),
        Event("service", "policy/start", "started with seed 3"),
        Event("parameter", "max_state_age_s", "0.2"),
        Event("service", "safety/stop", "stopped by safety/stop"),
        Event("state", "inactive"),
    ]
    assert node_log.about(path)["seed"] == 3
    assert node_log.about(path)["checkpoint"] == "fruit_swap"
    kinds = [type(record) for record in node_log.records(path)]
    assert kinds.count(Recall) == 1
    assert kinds.count(Job) >= kinds.count(Outcome) > 5
    tally = replay.replay(node_log.records(path), Worker(counting_planner.make()))
    assert tally.same == tally.plans > 5

    class Other(counting_planner.CountingPlanner):
        def remember(self, seen, executed):
            super().remember(seen, executed)
            self.heard += [0] * (len(self.heard) == 4)

    changed = replay.replay(node_log.records(path), Worker(Other()))
    assert 0 < changed.same < changed.plans
    seen = topics_of(path)
    assert seen["target_pose"] >= sent - 2
    assert {"joint_states", "current_pose", "camera/front/image_raw", "plan"} <= set(seen)


def topics_of(path):
    """Topic -> messages in a log."""
    from mcap.reader import make_reader

    with path.open("rb") as file:
        summary = make_reader(file).get_summary()
        counts = summary.statistics.channel_message_counts
        return {channel.topic: counts[number] for number, channel in summary.channels.items()}


def test_what_is_held_back_on_purpose_is_late_by_so_much_and_plans_allow_for_it(ros, process):
    late = {"inject_delay_ms": 300.0, "max_image_age_s": 0.5, "max_state_age_s": 0.4}
    robot, policy = driving(ros, process, False, **late)
    go(ros, robot, 100, False)
    report = policy._session.report()
    assert report["image to node ms_p50"] == pytest.approx(300.0, abs=25.0)
    assert report["look_image_age_ms_worst"] == 0.0
    assert report["late_actions"] == 0
    assert robot.heights()[-1] > HOME.tool.position_m[2] + 0.003


def test_what_is_lost_on_purpose_is_counted_and_survived(ros, process):
    robot, policy = driving(ros, process, False, inject_loss=0.1, max_image_age_s=0.4)
    go(ros, robot, 100, False)
    assert policy._intake.lost > 10
    assert robot.heights()[-1] > HOME.tool.position_m[2] + 0.003


def test_by_the_wall_clock_stamps_are_the_machines_and_no_clock_is_sent(ros):
    world = FakeWorld()
    robot, stamps = ros.add(Robot), []
    robot.destroy_publisher(robot.clock_out)
    ros.add(SimNode, lambda _: (world, {}), wall_clock=True)
    topics.subscribe(
        robot, topics.JOINT_STATES, lambda m: stamps.append(convert.stamp_of(m.header.stamp))
    )
    for stall_s in (0.0, 0.07, 0.5):  # none, one that is made up for, one that is not
        time.sleep(stall_s)
        count = len(stamps)
        ros.spin_until(lambda count=count: len(stamps) > count + 10)
        assert abs(time.time_ns() - stamps[-1]) < 1_000_000_000  # a busy machine
    assert min(np.diff(stamps)) > 0
    answer = ros.call(robot, topics.RESET)
    assert abs(json.loads(answer.message)["stamp_ns"] - time.time_ns()) < 1_000_000_000
    assert not robot.get_subscriptions_info_by_topic("/clock")
    assert all(i.node_name != "sim_node" for i in robot.get_publishers_info_by_topic("/clock"))
