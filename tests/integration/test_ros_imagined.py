"""What a plan expects the cameras to see, over real ROS: for its time, and of no other plan."""

import dataclasses

import numpy as np
import pytest

pytest.importorskip("rclpy")

from counting_planner import CountingPlanner
from line import in_thread
from ros_bench import SPEC, Robot, Ros, go

from df_policy.errors import DfPolicyError
from df_policy.plan import Plan
from df_policy.ros_nodes import convert, topics
from df_policy.ros_nodes.imagined_images import ImaginedImages
from df_policy.ros_nodes.planning import Picture
from df_policy.ros_nodes.policy_node import PolicyNode

pytestmark = pytest.mark.ros


class DreamingPlanner(CountingPlanner):
    """Foresees that a camera gets as bright as the tool is high, and draws that."""

    def plan(self, seen, executed, committed=()):
        plan = super().plan(seen, executed, committed)
        height = np.full((2, 1), seen.tool.position_m[2], np.float32)
        return dataclasses.replace(plan, foreseen=dict.fromkeys(SPEC.cameras, height))

    def pictures(self, plan):
        return {
            camera: np.stack([np.full((4, 4, 3), round(100 * float(row[0, 0])), np.uint8)])
            for camera, row in plan.foreseen.items()
        }


@pytest.fixture
def ros():
    made = Ros()
    yield made
    made.close()


def node(ros, planner, **parameters):
    def start(config):
        return in_thread(planner, imagine=config.imagine)

    return ros.add(PolicyNode, start, use_sim_time=True, **parameters)


def driven(ros, **parameters):
    """A robot that is driven, and camera -> messages of what is imagined."""
    robot = ros.add(Robot)
    node(ros, DreamingPlanner, **parameters)
    heard = {camera: [] for camera in SPEC.cameras}
    for camera, messages in heard.items():
        topics.subscribe(robot, topics.IMAGINED, messages.append, camera=camera)
    ros.spin_until(
        lambda: (
            all(out.get_subscription_count() for out in robot.images_out.values())
            and robot.count_publishers("target_pose")
            and robot.clock_out.get_subscription_count()
        )
    )
    go(ros, robot, 40)
    assert ros.call(robot, topics.START).success
    go(ros, robot, 60)
    return robot, heard


def test_what_a_plan_foresees_is_published_for_the_time_that_it_is_foreseen_for(ros):
    robot, heard = driven(ros, imagine=True)
    ros.spin_until(lambda: all(heard.values()))
    observed_ns = [convert.stamp_of(plan.header.stamp) for plan in robot.plans]
    for camera, messages in heard.items():
        for message in messages:
            stamp_ns, picture = convert.image_from(message, (4, 4))
            assert set(picture.flat) == {30}
            assert stamp_ns - 8 * SPEC.period_ns in observed_ns
            assert message.header.frame_id == camera


def test_nothing_is_imagined_unless_asked_for_nor_by_a_planner_that_cannot(ros):
    robot, heard = driven(ros)
    assert robot.plans
    assert not any(heard.values())
    assert robot.count_publishers("imagined/front/image_raw") == 0
    with pytest.raises(DfPolicyError, match="planner that imagines"):
        node(ros, CountingPlanner, imagine=True)


def test_only_pictures_of_the_plan_that_is_followed_are_shown(ros):
    sent = []
    shown = ImaginedImages(
        ros.add(Robot),
        SPEC.cameras,
        lambda _topic, camera, message: sent.append((camera, message)),
    )

    def plan(start_ns):
        latents = dict.fromkeys(SPEC.cameras, np.zeros((2, 1), np.float32))
        return Plan(start_ns, 10, np.zeros((4, 10)), start_ns, foreseen=latents)

    def stamps():
        told = [(camera, convert.stamp_of(message.header.stamp)) for camera, message in sent]
        sent.clear()
        return told

    def picture(camera, stamp_ns):
        shown.add(Picture(stamp_ns, camera, np.zeros((4, 4, 3), np.uint8)))

    picture("front", 20)
    shown.publish(None)
    assert stamps() == []
    shown.publish(plan(0))
    assert stamps() == [("front", 20)]
    picture("wrist", 20)
    shown.publish(None)
    assert stamps() == [("wrist", 20)]
    picture("front", 30)  # of a plan that was never followed
    shown.publish(plan(100))
    assert stamps() == []
    picture("front", 120)
    picture("wrist", 20)  # too late
    shown.publish(None)
    assert stamps() == [("front", 120)]
