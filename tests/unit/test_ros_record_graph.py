"""The recording's graph: who drives, what is recorded of which robot, and when it ends."""

import json
from dataclasses import fields

import pytest
import yaml

from df_policy.commands import bringup
from df_policy.data.writer import EpisodeWriter
from df_policy.errors import DfPolicyError
from df_policy.hardware import workspace
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.graphs import GRAPHS
from df_policy.ros_nodes.params import configure
from df_policy.ros_nodes.record_graph import DEVICES, RecordArguments, driver, record
from df_policy.ros_nodes.recorder_config import RecorderNodeConfig
from df_policy.sim.tasks import find

REAL = {
    "robot": "franka",
    "robot_ip": "127.9.9.9",
    "cameras": "front=file:a.avi,wrist=file:b.avi",
    "device": "guided",
}


def nodes_of(**given):
    return {node.name: node for node in record(RecordArguments(**given))}


def parameters(node):
    """As the node will read them off its command line."""
    words = node.command()
    given = [words[i + 1] for i, word in enumerate(words) if word == "-p"]
    return {name: yaml.safe_load(value) for name, value in (w.split(":=", 1) for w in given)}


@pytest.mark.parametrize(
    ("given", "names", "ends_with"),
    [
        ({}, {"sim_node", "scripted_node", "episode_node"}, "episode_node"),
        ({"device": "policy"}, {"sim_node", "policy_node", "episode_node"}, "episode_node"),
        ({"device": "topics"}, {"sim_node"}, "recorder_node"),
        ({"device": "web"}, {"sim_node", "teleop_node"}, "recorder_node"),
        (
            {"robot": "franka_sim"},
            {"franka_sim_node", "franka_node", "scripted_node", "episode_node"},
            "episode_node",
        ),
        (REAL, {"franka_node", "camera_front", "camera_wrist"}, "recorder_node"),
        (
            REAL | {"device": "policy"},
            {"franka_node", "camera_front", "camera_wrist", "policy_node"},
            "recorder_node",
        ),
    ],
)
def test_a_robot_whoever_drives_it_and_the_recorder(given, names, ends_with, tmp_path):
    given = given | {"out": str(tmp_path / "a.zarr"), "episodes": 7}
    nodes = nodes_of(**given)
    assert set(nodes) == {*names, "recorder_node"}
    assert driver(RecordArguments(**given)) == ends_with
    alone = ends_with == "episode_node"
    recorder = configure(
        RecorderNodeConfig,
        {k: v for k, v in parameters(nodes["recorder_node"]).items() if k != "use_sim_time"},
    )
    assert recorder.episodes == (0 if alone else 7), "who ends it counts"
    assert recorder.guided == (given.get("device") == "guided")
    if alone:
        episodes = parameters(nodes["episode_node"])
        assert (episodes["record"], episodes["episodes"]) == (True, 7)
        assert episodes["duration_s"] >= find("fruit_swap").steps / 10.0
    told = [parameters(node) for node in nodes.values()]
    clocks = {one["use_sim_time"] for one in told if "use_sim_time" in one}
    assert clocks == {given.get("robot") != "franka"}


def test_what_is_recorded_of_a_real_robot_is_what_its_nodes_say():
    told = parameters(nodes_of(**REAL | {"task": "fruit_swap_anywhere"})["recorder_node"])
    spec = RobotSpec.from_json(json.loads(told["robot"]))
    assert spec.cameras == {"front": (48, 80), "wrist": (64, 64)}
    assert spec.max_acceleration_m_s2 == RobotSpec("a", (), {}).max_acceleration_m_s2
    cameras = nodes_of(**REAL | {"task": "fruit_swap_anywhere"})
    assert cameras["camera_front"].parameters["size"] == "48x80"
    other = nodes_of(**REAL | {"description": "robot.json"})["recorder_node"]
    assert parameters(other)["robot"].endswith("/robot.json")
    assert parameters(nodes_of()["recorder_node"])["robot"] == ""


def test_a_recording_is_gone_on_with_where_its_seeds_end(tmp_path):
    out = tmp_path / "a.zarr"
    spec = RobotSpec("arm", ("j1",), {"front": (8, 8)})
    with EpisodeWriter.open(out, spec, "fruit_swap") as writer:
        writer.drop(2_000_004)
    assert nodes_of(out=str(out))["sim_node"].parameters["seed"] == 2_000_005
    assert nodes_of(out=str(out), seed=3_000_000)["sim_node"].parameters["seed"] == 3_000_000
    assert nodes_of(out=str(tmp_path / "b.zarr"))["sim_node"].parameters["seed"] == 1_000_000


def test_every_argument_matters_to_some_node(tmp_path):
    box = tmp_path / "box.json"
    workspace.write(box, workspace.Workspace((0.3, -0.2, 0.01), (0.6, 0.2, 0.4)))

    def flat(**given):
        nodes = nodes_of(**{"out": str(tmp_path / "a.zarr"), **given})
        return [node.command() for node in nodes.values()]

    changed = {
        "robot": ({}, "franka_sim"),
        "robot_ip": ({"robot": "franka_sim", "robot_ip": "127.1.1.1"}, "127.1.2.3"),
        "driver": (REAL, "ros2_control"),
        "cameras": (REAL, "front=file:a.avi"),
        "workspace": ({"robot": "franka_sim"}, str(box)),
        "gripper_range": ({"robot": "franka_sim"}, "gripper.json"),
        "ahead_s": ({"robot": "franka_sim"}, 0.02),
        "task": ({}, "fruit_cycle"),
        "episodes": ({}, 6),
        "rate": ({"device": "policy"}, 25.0),
        "headless": ({}, False),
        "seed": ({}, 5),
        "speed": ({}, 2.0),
        "wall_clock": ({}, True),
        "checkpoint": ({"device": "policy"}, "another"),
        "namespace": ({}, "left"),
        "device": ({}, "topics"),
        "web_port": ({"device": "web"}, 0),
        "out": ({}, "elsewhere.zarr"),
        "description": ({}, "robot.json"),
    }
    assert changed.keys() == {field.name for field in fields(RecordArguments)}
    for name, (base, value) in changed.items():
        assert flat(**base | {name: value}) != flat(**base), name


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"device": "scriptet"}, "did you mean 'scripted'"),
        ({"device": "guided"}, "nobody can take by the hand"),
        (REAL | {"device": "scripted"}, "knows where the fruits are"),
        (REAL | {"cameras": ""}, "expected the cameras"),
        (REAL | {"robot_ip": ""}, "address of the robot"),
        ({"episodes": 0}, "episodes above 0"),
        ({"task": "fruit_swop"}, "did you mean 'fruit_swap'"),
    ],
)
def test_what_cannot_be_is_refused_with_the_reason_before_anything_starts(wrong, says):
    with pytest.raises(DfPolicyError, match=says):
        record(configure(RecordArguments, wrong))


def test_a_checkpoint_is_wanted_only_where_it_drives():
    bringup.check(RecordArguments(checkpoint="nowhere/at/all"))
    with pytest.raises(DfPolicyError, match="nowhere/at/all"):
        bringup.check(RecordArguments(checkpoint="nowhere/at/all", device="policy"))


def test_every_graph_and_device_has_a_line_about_it(capsys):
    for name, graph in GRAPHS.items():
        with pytest.raises(SystemExit) as ended:
            bringup.main([name, "--help"])
        assert ended.value.code == 0
        shown = " ".join(capsys.readouterr().out.split())
        for field in fields(graph.arguments):
            assert field.metadata["text"].split(",")[0] in shown, field.name
    assert all(DEVICES.values())
