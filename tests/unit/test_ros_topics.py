"""The README shows exactly the topics and parameters that the nodes have."""

from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from df_policy.ros_nodes import hardware_topics, params, topics
from df_policy.ros_nodes.camera_node import CameraNodeConfig
from df_policy.ros_nodes.episode_node import EpisodeNodeConfig
from df_policy.ros_nodes.franka_config import FrankaNodeConfig
from df_policy.ros_nodes.franka_sim_node import FrankaSimNodeConfig
from df_policy.ros_nodes.policy_node import PolicyNodeConfig
from df_policy.ros_nodes.recorder_config import RecorderNodeConfig
from df_policy.ros_nodes.scripted_node import ScriptedNodeConfig
from df_policy.ros_nodes.sim_node import SimNodeConfig
from df_policy.ros_nodes.teleop_config import TeleopNodeConfig

pytestmark = pytest.mark.ros

README = Path(__file__).parents[2] / "ros_nodes" / "README.md"


def test_the_readme_shows_the_table_of_topics():
    assert topics.markdown() in README.read_text(encoding="utf-8")


def test_the_readme_shows_the_services_of_real_robots():
    assert hardware_topics.markdown() in README.read_text(encoding="utf-8")


CONFIGS = (
    SimNodeConfig,
    PolicyNodeConfig,
    EpisodeNodeConfig,
    RecorderNodeConfig,
    ScriptedNodeConfig,
    TeleopNodeConfig,
    FrankaNodeConfig,
    FrankaSimNodeConfig,
    CameraNodeConfig,
)


@pytest.mark.parametrize("config", CONFIGS)
def test_the_readme_shows_the_parameters(config):
    assert params.markdown(config) in README.read_text(encoding="utf-8")


def test_every_sender_fits_its_receiver():
    for topic in topics.TOPICS:
        assert topic.delivery.offered <= topic.delivery.wanted  # RELIABLE is 1, BEST_EFFORT 2
