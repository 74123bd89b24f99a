"""The README shows exactly the topics and parameters that the nodes have."""

from pathlib import Path

import pytest

pytest.importorskip("rclpy")

from df_policy.ros_nodes import params, topics
from df_policy.ros_nodes.episode_node import EpisodeNodeConfig
from df_policy.ros_nodes.policy_node import PolicyNodeConfig
from df_policy.ros_nodes.sim_node import SimNodeConfig

pytestmark = pytest.mark.ros

README = Path(__file__).parents[2] / "ros_nodes" / "README.md"


def test_the_readme_shows_the_table_of_topics():
    assert topics.markdown() in README.read_text(encoding="utf-8")


@pytest.mark.parametrize("config", [SimNodeConfig, PolicyNodeConfig, EpisodeNodeConfig])
def test_the_readme_shows_the_parameters(config):
    assert params.markdown(config) in README.read_text(encoding="utf-8")


def test_every_sender_fits_its_receiver():
    for topic in topics.TOPICS:
        assert topic.delivery.offered <= topic.delivery.wanted  # RELIABLE is 1, BEST_EFFORT 2
