"""The graph: one description, commands that any shell and any ROS understand, and kept local."""

import json
import re
import socket
import subprocess
import sys
from dataclasses import fields
from importlib.util import find_spec
from pathlib import Path
from xml.etree import ElementTree

import pytest
import yaml
from hypothesis import given
from hypothesis import strategies as st

from df_policy.errors import DfPolicyError
from df_policy.ros_nodes.graph import (
    DRIVER,
    FruitSwapArguments,
    NodeSpec,
    free_domain,
    fruit_swap,
    local_environment,
)
from df_policy.ros_nodes.params import configure
from df_policy.sim.tasks import find, names
from df_policy.sim.world import World

ROOT = Path(__file__).parents[2]
ROS_ENDINGS = ("_msgs", "_interfaces", "_srvs")

texts = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "Z"]), max_size=12)


@given(texts, st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans())
def test_parameters_keep_value_and_type_on_their_way_through_the_command_line(text, n, x, flag):
    sent = {"text": text, "n": n, "x": x, "flag": flag}
    command = NodeSpec("m", "node", sent).command()
    words = [command[i + 1] for i, word in enumerate(command) if word == "-p"]
    got = {name: yaml.safe_load(value) for name, value in (w.split(":=", 1) for w in words)}
    assert {k: str(v) for k, v in got.items()} == {k: str(v) for k, v in sent.items()}


def test_nodes_are_modules_of_this_python():
    for node in fruit_swap(FruitSwapArguments()):
        assert node.command()[:3] == [sys.executable, "-m", node.module]
        assert find_spec(node.module) is not None


def test_one_node_drives():
    assert [node.name for node in fruit_swap(FruitSwapArguments())].count(DRIVER) == 1


def test_every_argument_matters_to_some_node():
    def flat(arguments):
        return [(node.parameters, node.command()) for node in fruit_swap(arguments)]

    other = {
        bool: lambda v: not v,
        int: lambda v: v + 1,
        float: lambda v: v / 2 or 0.5,
        str: lambda v: v + "x",
    }
    for entry in fields(FruitSwapArguments):
        changed = other[type(entry.default)](entry.default)
        changed = {
            "task": "fruit_cycle",
            "robot": "franka_sim",
            "robot_ip": "127.1.2.3",
            "cameras": "front=v4l:/dev/video0",
            "sampler": '{"horizon": 1}',
            "costs": '[{"kind": "speed_limit", "speed_m_s": 0.2}]',
        }.get(entry.name, changed)
        base = {
            "robot_ip": {"robot": "franka_sim", "robot_ip": "127.9.9.9"},
            "cameras": {"robot": "franka", "robot_ip": "127.9.9.9"},
            "workspace": {"robot": "franka", "robot_ip": "127.9.9.9"},
            "gripper_range": {"robot": "franka", "robot_ip": "127.9.9.9"},
            "ahead_s": {"robot": "franka", "robot_ip": "127.9.9.9"},
            "driver": {"robot": "franka", "robot_ip": "127.9.9.9"},
        }.get(entry.name, {})
        given = base | {entry.name: changed}
        assert flat(FruitSwapArguments(**given)) != flat(FruitSwapArguments(**base))


def test_a_namespace_holds_the_clock_too_and_must_be_one():
    for node in fruit_swap(FruitSwapArguments(namespace="left")):
        assert {"__ns:=/left", "/clock:=/left/clock"} < set(node.command())
    with pytest.raises(ValueError, match="expected a namespace"):
        FruitSwapArguments(namespace="left arm")


@pytest.mark.parametrize("task", names())
def test_an_episode_over_ros_is_as_long_as_in_simulation(task):
    nodes = {node.name: node.parameters for node in fruit_swap(FruitSwapArguments(task=task))}
    assert nodes["sim_node"]["task"] == task
    assert nodes[DRIVER]["duration_s"] == find(task).steps / 10.0


@pytest.mark.parametrize("delay", [0.0, 300.0])
def test_an_episode_does_not_begin_with_what_was_held_back_from_the_last_one(delay):
    nodes = {node.name: node.parameters for node in fruit_swap(FruitSwapArguments(delay=delay))}
    assert nodes["policy_node"]["inject_delay_ms"] == delay
    assert nodes[DRIVER]["settle_s"] > nodes["policy_node"]["max_image_age_s"]


def test_an_unknown_task_is_refused_before_anything_starts():
    with pytest.raises(DfPolicyError, match="did you mean 'fruit_cycle'"):
        fruit_swap(FruitSwapArguments(task="fruit_cycel"))


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"episodes": 0}, "episodes above 0"),
        ({"sampler": '{"horizont": 1}'}, "did you mean 'horizon'"),
        ({"costs": "nowhere.json"}, "a file of it, got 'nowhere.json'"),
        ({"rate": 19.9}, "rate from 20"),
        ({"rate": 51.0}, "to 50"),
        ({"rate": float("nan")}, "a finite number for parameter 'rate'"),
        ({"robot": "franka_sin"}, "did you mean 'franka_sim'"),
        ({"speed": 0.0}, "speed above 0"),
        ({"speed": 21.0}, "up to 20"),
    ],
)
def test_arguments_that_make_no_sense_are_refused_before_anything_starts(wrong, says):
    with pytest.raises(DfPolicyError, match=says):
        configure(FruitSwapArguments, wrong)


def test_the_limits_are_those_of_the_simulated_robot():
    spec = World().spec
    assert (spec.action_rate_hz, spec.control_rate_hz) == (10.0, 50.0)
    FruitSwapArguments(rate=2 * spec.action_rate_hz)
    FruitSwapArguments(rate=spec.control_rate_hz)


def test_a_domain_in_use_is_not_drawn():
    sockets = []
    try:
        for domain in (11, 12):
            sockets.append(socket.socket(socket.AF_INET, socket.SOCK_DGRAM))
            sockets[-1].bind(("", 7400 + 250 * domain + 10))
        drawn = {free_domain() for _ in range(500)}
    finally:
        for one in sockets:
            one.close()
    assert drawn.isdisjoint({11, 12})
    assert len(drawn) > 50


def test_what_one_process_has_drawn_no_other_draws_before_its_nodes_are_there():
    code = "from df_policy.ros_nodes.graph import free_domain; print(free_domain(), flush=True);"
    program = [sys.executable, "-c", f"{code} input()"]
    with subprocess.Popen(
        program, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT
    ) as other:
        taken = int(other.stdout.readline())
        assert taken not in {free_domain() for _ in range(500)}
        other.stdin.write("\n")


def test_the_package_names_every_part_of_ros_that_it_imports():
    declared = {
        found.text
        for found in ElementTree.parse(ROOT / "package.xml").getroot()
        if found.tag == "exec_depend"
    }
    imported = set()
    for path in (*(ROOT / "ros_nodes").glob("*.py"), *(ROOT / "launch").glob("*.py")):
        for top in re.findall(r"^ *(?:from|import) (\w+)", path.read_text("utf-8"), re.MULTILINE):
            imported.add({"yaml": "python3-yaml"}.get(top, top))
    ours = {"rclpy", "launch", "launch_ros", "python3-yaml"}
    parts = {name for name in imported if name in ours or name.endswith(ROS_ENDINGS)}
    assert parts <= declared
    assert declared - parts <= {"launch_ros"}  # which `ros2 launch` needs


def test_what_the_environment_sets_is_left_alone():
    added = local_environment({"ROS_DOMAIN_ID": "7", "RMW_IMPLEMENTATION": "rmw_zenoh_cpp"})
    assert "ROS_DOMAIN_ID" not in added
    assert "RMW_IMPLEMENTATION" not in added
    assert added["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_alone_the_graph_gets_a_domain_of_its_own():
    assert 1 <= int(local_environment({})["ROS_DOMAIN_ID"]) <= 100


def test_the_layouts_show_topics_that_there_are():
    pytest.importorskip("rclpy")
    from df_policy.ros_nodes import topics

    known = {topic.name.replace("{camera}", camera).lstrip("/")
             for topic in topics.TOPICS for camera in ("front", "wrist")}  # fmt: skip
    known |= {f"imagined/{camera}/image_raw" for camera in ("front", "wrist")}
    foxglove = (ROOT / "launch" / "fruit_swap.foxglove.json").read_text()
    rviz = (ROOT / "launch" / "fruit_swap.rviz").read_text()
    shown = set(re.findall(r'"/([a-z_/]+)', foxglove)) | set(re.findall(r"Value: /(\S+)", rviz))
    assert {"plan", "plan_timing", "target_pose", "diagnostics", "joint_states"} <= shown
    assert "/limits" in foxglove
    shows = yaml.safe_load(rviz)["Visualization Manager"]["Displays"]
    latched = {
        display["Topic"]["Value"]
        for display in shows
        if display.get("Topic", {}).get("Durability Policy") == "Transient Local"
    }
    assert latched == {f"/{topic.name}" for topic in topics.TOPICS if topic.delivery.latched}
    assert shown <= known
    panels = json.loads(foxglove)
    placed = re.findall(r'"(\w+!\w+)"', json.dumps(panels["layout"]))
    assert set(placed) == set(panels["configById"])
    assert yaml.safe_load(rviz)["Visualization Manager"]["Global Options"]["Fixed Frame"] == "base"
