"""Read off the source: what may command a robot has passed the gate."""

import ast
from pathlib import Path

ROOT = Path(__file__).parents[2]
FOLDERS = ("df_policy", "ros_nodes", "sim", "teleop", "data", "launch")
SOURCES = {
    path.relative_to(ROOT).as_posix(): ast.parse(path.read_text("utf-8"))
    for folder in FOLDERS
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not any(parent.is_symlink() for parent in path.parents)
}


def called(node):
    """The name of what a call calls."""
    return getattr(node.func, "attr", getattr(node.func, "id", ""))


def files_that_call(name, holds=lambda _: True):
    return {
        path
        for path, tree in SOURCES.items()
        for node in ast.walk(tree)
        if isinstance(node, ast.Call) and called(node) == name and holds(node)
    }


def test_a_gate_alone_clears_targets():
    assert files_that_call("Cleared") == {"df_policy/gate.py"}


def test_publishers_are_made_by_the_table_of_topics_alone():
    assert files_that_call("create_publisher") == {"ros_nodes/topics.py"}
    assert files_that_call("create_lifecycle_publisher") == set()


def test_the_commander_alone_is_on_the_command_topics():
    def for_commands(node):
        said = ast.unparse(node)
        topic = node.args[1]
        constant = isinstance(topic, ast.Name) and topic.id.isupper()
        fixed = constant or isinstance(topic, ast.Attribute)
        return "TARGET" in said or (not fixed and path_of[node] != "ros_nodes/policy_node.py")

    path_of = {node: path for path, tree in SOURCES.items() for node in ast.walk(tree)}
    # The second sends on the controllers' topics, what franka_node's gate has cleared: see below.
    drivers = {"ros_nodes/commander.py", "ros_nodes/ros2_control_arm.py"}
    assert files_that_call("publisher", for_commands) == drivers


def test_drivers_are_told_what_a_gate_cleared():
    def an_arm(node):
        return "_arm" in ast.unparse(node.func)

    drive, node = "ros_nodes/arm_drive.py", "ros_nodes/franka_node.py"
    assert files_that_call("follow", an_arm) == {drive}
    moving = "self._feed.move(stamp_ns, cleared.target.tool)"
    assert told_in(drive, "tick") == ["self._arm.follow(moving, state)", moving]
    assert told_in(node, "_obey") == ["self._hand.want(cleared.target.gripper_m)"]


def told_in(path, name):
    """The calls of a function that move something, sorted."""
    (body,) = (
        node
        for node in ast.walk(SOURCES[path])
        if isinstance(node, ast.FunctionDef) and node.name == name
    )
    calls = [node for node in ast.walk(body) if isinstance(node, ast.Call)]
    return sorted(ast.unparse(one) for one in calls if called(one) in ("follow", "move", "want"))


def test_worlds_are_advanced_by_what_was_cleared():
    def a_world(node):
        return "world" in ast.unparse(node.func)

    assert files_that_call("advance", a_world) == {"sim/environment.py", "ros_nodes/sim_node.py"}
    for path in ("sim/environment.py", "ros_nodes/sim_node.py"):
        assert any(
            isinstance(node, ast.Call) and called(node) in ("pass_on", "next")
            for node in ast.walk(SOURCES[path])
        )
