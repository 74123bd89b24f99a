"""`python -m df_policy bringup fruit_swap` or `record`: ROS 2 nodes, without `ros2 launch`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError
from df_policy.files import check_writable
from df_policy.processes import die_with_parent, stopping

if TYPE_CHECKING:
    from df_policy.ros_nodes.robot_arguments import RobotArguments

STOP_S = 8.0
"""How long nodes may take to end before they are killed."""
_POLL_S = 0.05


def main(argv: list[str]) -> int:
    """Start the graph; returns the exit code of the node that drives it."""
    from df_policy.ros_nodes import missing_ros
    from df_policy.ros_nodes.graph import local_environment
    from df_policy.ros_nodes.graphs import GRAPHS
    from df_policy.ros_nodes.params import configure

    given = vars(_parser(argv).parse_args(argv))
    graph = GRAPHS[given.pop("graph")]
    arguments = configure(graph.arguments, given)
    if find_spec("rclpy") is None:
        raise DfPolicyError(missing_ros(ImportError("no module named 'rclpy'")))
    nodes = graph.nodes(arguments)
    check(arguments)
    added = local_environment(os.environ)
    domain = {**os.environ, **added}["ROS_DOMAIN_ID"]
    print(f"nodes start with ROS_DOMAIN_ID={domain}; Ctrl-C ends them", flush=True)
    return supervise(nodes, graph.driver(arguments), {**os.environ, **added})


def check(arguments: RobotArguments) -> None:
    """Nothing, if the nodes can load the checkpoint, write what was asked for, and may move.

    Raises:
        DfPolicyError: in one line, instead of one from a node after three have started.
    """
    from df_policy import checkpoint

    if arguments.policy:
        checkpoint.find(arguments.policy)
    for path in arguments.written:
        check_writable(path)
    if arguments.real:
        _look_before(arguments)


def _look_before(arguments: RobotArguments) -> None:
    """Print what the pre-flight check finds.

    Raises:
        DfPolicyError: if a real robot must not be started so.
    """
    from df_policy.commands import preflight
    from df_policy.hardware.camera_sources import named_cameras
    from df_policy.hardware.preflight import refuse

    cameras = named_cameras(arguments.cameras)
    wanted = preflight.Wanted(
        arguments.robot_ip, cameras, arguments.policy, driver=arguments.driver
    )
    refuse(preflight.show(wanted))


def supervise(nodes: Sequence[Any], driver: str, environment: dict[str, str]) -> int:
    """Run all nodes until the driver ends, or another one does, which is an error.

    Args:
        nodes: `NodeSpec`s.
        driver: name of the node whose exit code counts.
        environment: of all processes.

    Returns:
        The driver's exit code, 1 if another node ended first, that of a signal that ended all.
    """
    running: dict[str, subprocess.Popen[bytes]] = {}
    # Not by an exception out of the handler: one that comes in the middle of a fork gets lost.
    with stopping() as asked:
        try:
            for node in nodes:
                # A session of its own: Ctrl-C reaches this process alone, which ends all in order.
                running[node.name] = subprocess.Popen(
                    node.command(),
                    env=environment,
                    stdin=subprocess.DEVNULL,
                    start_new_session=True,
                    preexec_fn=die_with_parent,
                )
            while not asked.is_set():
                ended = {name: one.returncode for name, one in running.items() if _is_over(one)}
                if driver in ended:
                    code = ended[driver]
                    return code if code >= 0 else 128 - code
                if ended:
                    name, code = next(iter(ended.items()))
                    print(f"df_policy: {name} ended early with exit code {code}", file=sys.stderr)
                    return 1
                time.sleep(_POLL_S)
        finally:
            stop(running)
    return 128 + asked.number


def _is_over(process: subprocess.Popen[bytes]) -> bool:
    return process.poll() is not None


def stop(running: dict[str, subprocess.Popen[bytes]], patience_s: float = STOP_S) -> None:
    """End all processes: politely, then for certain."""
    alive = {name: process for name, process in running.items() if process.poll() is None}
    for process in alive.values():
        _signal(process, signal.SIGTERM)  # silent even while a node still imports
    deadline_s = time.monotonic() + patience_s
    for name, process in alive.items():
        try:
            process.wait(max(0.0, deadline_s - time.monotonic()))
        except subprocess.TimeoutExpired:
            print(f"df_policy: {name} did not end in {patience_s:g} s: killed", file=sys.stderr)
            _signal(process, signal.SIGKILL)
            process.wait()


def _signal(process: subprocess.Popen[bytes], number: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, number)


def _parser(argv: Sequence[str]) -> argparse.ArgumentParser:
    """Options from the fields of a graph's configuration.

    Args:
        argv: names the graph whose options are wanted.
    """
    from df_policy.ros_nodes.graphs import GRAPHS
    from df_policy.ros_nodes.params import field_kinds

    about = "; ".join(f"{name}: {graph.about}" for name, graph in GRAPHS.items())
    parser = Options(
        prog="python -m df_policy bringup",
        description=f"{__doc__} Without a display leave `headless` as it is; "
        "`--no-headless` opens MuJoCo's viewer.",
        epilog="`bringup fruit_swap --help` and `bringup record --help` show their options.",
    )
    parser.add_argument("graph", choices=[*GRAPHS], help=about)
    named = next((word for word in argv if word in GRAPHS), None)
    if named is None:
        return parser
    chosen = GRAPHS[named].arguments
    kinds = field_kinds(chosen)
    for entry in dataclasses.fields(chosen):
        kind = kinds[entry.name]
        options: dict[str, Any] = {"default": entry.default, "help": entry.metadata["text"]}
        if kind is bool:
            options["action"] = argparse.BooleanOptionalAction
        else:
            options |= {"type": kind, "metavar": kind.__name__.upper()}
            options["help"] += " (default: %(default)s)"
        parser.add_argument(f"--{entry.name.replace('_', '-')}", **options)
    return parser
