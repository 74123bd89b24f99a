"""The graph: one description, commands that any shell and any ROS understand, and kept local."""

import sys
from dataclasses import fields
from importlib.util import find_spec

import yaml
from hypothesis import given
from hypothesis import strategies as st

from df_policy.ros_nodes.graph import (
    DRIVER,
    FruitSwapArguments,
    NodeSpec,
    fruit_swap,
    local_environment,
)

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
        return [node.parameters for node in fruit_swap(arguments)]

    other = {
        bool: lambda v: not v,
        int: lambda v: v + 1,
        float: lambda v: v + 1,
        str: lambda v: v + "x",
    }
    for entry in fields(FruitSwapArguments):
        changed = other[type(entry.default)](entry.default)
        assert flat(FruitSwapArguments(**{entry.name: changed})) != flat(FruitSwapArguments())


def test_what_the_environment_sets_is_left_alone():
    added = local_environment({"ROS_DOMAIN_ID": "7", "RMW_IMPLEMENTATION": "rmw_zenoh_cpp"})
    assert "ROS_DOMAIN_ID" not in added
    assert "RMW_IMPLEMENTATION" not in added
    assert added["ROS_AUTOMATIC_DISCOVERY_RANGE"] == "LOCALHOST"


def test_alone_the_graph_gets_a_domain_of_its_own():
    assert 1 <= int(local_environment({})["ROS_DOMAIN_ID"]) <= 100
