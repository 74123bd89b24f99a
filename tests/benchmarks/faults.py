"""Random faults against the running policy node: `python tests/benchmarks/faults.py --faults 100`.

The node and its planner are processes of their own; the robot, which also keeps the clock, is in
this one. Each command that the node sends is held against the limits. With each fault it is
measured how long the robot still moved and, once the fault is taken back, when it moves again.
"""

from __future__ import annotations

import argparse
import fcntl
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import asdict, dataclass
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))
sys.path.insert(0, str(Path(__file__).parents[1] / "fakes"))

import numpy as np
from circling_node import SPEC
from rcl_interfaces.msg import Parameter, ParameterType, ParameterValue
from rcl_interfaces.srv import SetParameters
from rich.console import Console
from rich.table import Table
from watched_robot import RECOVER_S, STILL_M, TICK_NS, Robot, Watch

from df_policy.ros_nodes import topics
from df_policy.ros_nodes.graph import free_domain, local_environment

HOLD_NS = 150_000_000
"""From when the first missing message was due to when the brake is on."""
START_S = 180.0
HUNG_S = 12.0
DISK = "the log's disk hangs"


class Graph:
    """The node under test, the robot, and whoever joins in."""

    def __init__(self, resources: ExitStack, patience_s: float, *, log: bool = False) -> None:
        self.patience_s = patience_s
        self.domain = free_domain()
        self.folder = Path(resources.enter_context(tempfile.TemporaryDirectory()))
        self.fault = self.folder / "fault"
        self.fault.write_text("")
        self.resources = resources
        self.disk = self._disk() if log else None
        """Takes the node's log, of which no more than a page waits for it."""
        written = ["-p", f"log:={self.folder / 'log'}"] if log else []
        self.node = self.spawn(*written)
        self.robot = Robot(self.domain)
        resources.callback(self.robot.close)

    def spawn(self, *options):
        """A policy node, on this graph's topics."""
        environment = {
            **os.environ,
            **local_environment(os.environ),
            "ROS_DOMAIN_ID": str(self.domain),
            "CIRCLING_FAULT": str(self.fault),
            "ROS_LOG_DIR": str(self.folder),
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[2]), *sys.path[:1]]),
        }
        program = Path(__file__).parents[1] / "fakes" / "circling_node.py"
        options = ["--ros-args", "-p", "use_sim_time:=true", "--log-level", "fatal", *options]
        process = subprocess.Popen([sys.executable, str(program), *options], env=environment)
        self.resources.callback(end, process)
        return process

    def _disk(self):
        path = self.folder / "log"
        os.mkfifo(path)
        end_of_pipe = os.open(path, os.O_RDWR)
        fcntl.fcntl(end_of_pipe, fcntl.F_SETPIPE_SZ, 4096)
        with (self.folder / "drive.mcap").open("wb") as file:
            disk = subprocess.Popen(["cat", str(path)], stdout=file)
        self.resources.callback(os.close, end_of_pipe)
        self.resources.callback(end, disk)
        return disk

    def planner(self):
        """Process number of the node's planner."""
        text = Path(f"/proc/{self.node.pid}/task/{self.node.pid}/children").read_text()
        return int(text.split()[0]) if text.split() else 0

    def run(self, seconds):
        """Let the robot's time go on."""
        for _ in range(round(seconds * 1e9 / TICK_NS)):
            self.robot.tick(self.patience_s)

    def until(self, done, seconds):
        """Let it go on until `done`; whether that came in time."""
        deadline = time.monotonic() + seconds
        while not done():
            if time.monotonic() > deadline:
                return False
            self.robot.tick(self.patience_s)
        return True


def end(process):
    """As Ctrl-C does, and for certain."""
    process.terminate()
    try:
        process.wait(15.0)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()


@dataclass(frozen=True)
class Fault:
    """What goes wrong."""

    name: str
    inject: Callable[[Graph], object]
    withdraw: Callable[[Graph, object], None] = lambda _graph, _made: None
    holds: bool = True
    """Whether the robot must be held."""
    in_time: bool = True
    """Whether the moment from which the hold counts is known."""
    heals: bool = False
    """Whether it passes by itself, and the hold with it."""
    slow: bool = False
    """Whether it is there only once `inject` returns."""
    start: bool = False
    """Whether `policy/start` is needed again."""
    image: bool = False
    """Whether the first thing that is missing is an image."""


def bend(**changes):
    """Bend what the robot says."""
    return lambda graph: [setattr(graph.robot, name, value) for name, value in changes.items()]


def straight(graph, _made):
    """The robot says again what is true."""
    robot = graph.robot
    robot.dead, robot.size, robot.joints, robot.repeat, robot.old = set(), (8, 8), 0.0, 1, False


def jump(seconds):
    def inject(graph):
        graph.robot.now += round(seconds * 1e9)

    return inject


def kill_planner(graph):
    os.kill(graph.planner(), signal.SIGKILL)


def say(text):
    return lambda graph: graph.fault.write_text(text)


def rival_publisher(graph):
    made = topics.publisher(graph.robot, topics.TARGET_POSE)
    graph.until(lambda: graph.robot.count_publishers("target_pose") > 1, 10.0)
    return made


def rival_node(graph):
    process = graph.spawn("-r", "__node:=rival", "-p", "autostart:=true")
    graph.until(lambda: graph.robot.count_publishers("target_pose") > 1, 60.0)
    return process


def bad_parameter(graph):
    value = ParameterValue(type=ParameterType.PARAMETER_DOUBLE, double_value=-1.0)
    name = ["rate_hz", "max_state_age_s", "gather_s"][graph.robot.watch.count % 3]
    request = SetParameters.Request(parameters=[Parameter(name=name, value=value)])
    answer = graph.robot.call(SetParameters, "policy_node/set_parameters", request)
    if answer is None or answer.results[0].successful or not answer.results[0].reason:
        graph.robot.watch.violations.append(f"{name} = -1 was not refused with a reason")


def hang_disk(graph):
    """As a network disk does; long enough for what waits in the node to be more than it keeps."""
    graph.disk.send_signal(signal.SIGSTOP)
    graph.run(HUNG_S)


def stop(graph):
    graph.robot.trigger(topics.SAFETY_STOP)


def release(graph, _made):
    graph.robot.trigger(topics.RELEASE)


FAULTS = (
    Fault("a camera stops", bend(dead={"wrist"}), straight, image=True),
    Fault("all cameras stop", bend(dead={"wrist", "front"}), straight, image=True),
    Fault("the robot's state stops", bend(dead={"state"}), straight),
    Fault("joints are NaN", bend(joints=float("nan")), straight),
    Fault("a joint is at its end", bend(joints=0.99), straight),
    Fault("images of another size", bend(size=(9, 8)), straight, image=True),
    Fault("every message twice", bend(repeat=2), straight, holds=False),
    Fault("stamps out of order", bend(old=True), straight, holds=False),
    Fault("the clock leaps ahead", jump(5.0), heals=True),
    Fault("the clock is set back", jump(-5.0), heals=True),
    Fault("the planner is killed", kill_planner, heals=True),
    Fault("the plan is NaN", say("nan"), lambda g, _: say("")(g), start=True, in_time=False),
    Fault("an invalid parameter", bad_parameter, holds=False),
    Fault(DISK, hang_disk, lambda g, _: g.disk.send_signal(signal.SIGCONT), holds=False),
    Fault(
        "another sender",
        rival_publisher,
        lambda g, made: g.robot.destroy_publisher(made),
        slow=True,
    ),
    Fault("another policy node", rival_node, lambda _, made: end(made), slow=True),
    Fault("safety/stop", stop, release, start=True, in_time=False),
)


@dataclass(frozen=True)
class Result:
    """What came of one fault."""

    fault: str
    hold_ms: float | None
    """From what was missing to the brake; None where nothing had to be held, or nothing was."""
    held: bool
    recovered_s: float | None
    reason: str


def carry_out(graph: Graph, fault: Fault, seconds: float) -> Result:
    """Let one thing go wrong for a while, and see what comes of it."""
    robot = graph.robot
    track = robot.watch.track
    begin = len(track)
    made = fault.inject(graph)
    every_ns = SPEC.period_ns if fault.image else TICK_NS
    due_ns = (robot.now // every_ns + 1) * every_ns
    if fault.slow:
        begin = len(track)
    still = graph.until(lambda: robot.stands, 20.0) if fault.holds else False
    graph.run(seconds)
    reason = robot.reasons
    held = still and (fault.heals or robot.stands)
    if not fault.holds:
        held = not graph.until(lambda: robot.watch.moving, 10.0)
    brake_ns = brake_begun(track[begin:]) if still else None
    hold_ms = None
    if fault.in_time and brake_ns is not None:
        hold_ms = (brake_ns - due_ns) * 1e-6
    fault.withdraw(graph, made)
    back_s = time.monotonic()
    moves = (not fault.start or robot.start()) and graph.until(
        lambda: robot.watch.moving, RECOVER_S
    )
    recovered_s = time.monotonic() - back_s if moves else None
    graph.run(0.5)
    return Result(fault.name, hold_ms, held, recovered_s, reason)


def brake_begun(track):
    """When the brake began that ended in the standstill: after the last command that went on.

    So a time without any command, in which nothing moves, counts as held.
    """
    still = next((i for i, row in enumerate(track) if max(row[1:]) <= STILL_M), None)
    if still is None:
        return None
    clearly_m = 0.5 * SPEC.max_acceleration_m_s2 * (1e-9 * TICK_NS) ** 2
    first = still
    while first > 1 and track[first - 2][1] - track[first - 1][1] >= clearly_m:
        first -= 1
    first_ns = track[first][0]
    went_on_ns = track[first - 1][0] + TICK_NS if first else first_ns
    leapt = abs(first_ns - went_on_ns) > 10**9  # the clock was set between the two
    return first_ns if leapt else went_on_ns


def verdict(fault: Fault, result: Result) -> str:
    """What is wrong with a result; empty if nothing is."""
    if fault.holds and not result.held:
        return "was not held"
    if result.held and not fault.holds:
        return "was held for nothing"
    if result.hold_ms is not None and result.hold_ms * 1e6 > HOLD_NS:
        return f"was held after {result.hold_ms:.0f} ms"
    if result.recovered_s is None:
        return "did not recover"
    return ""


def campaign(
    count: int, minutes: float, seed: int, patience_s: float, faults: tuple[Fault, ...] = FAULTS
) -> tuple[list[tuple[Result, str]], Watch]:
    """Faults at random times; each kind comes about as often.

    Args:
        count: of faults.
        minutes: over which they are spread, if they leave time.
        seed: of order and times.
        patience_s: how long a tick waits for the node's answer: 0 for real time.
        faults: which.
    """
    rng = np.random.default_rng(seed)
    order = np.concatenate([rng.permutation(len(faults)) for _ in range(-(-count // len(faults)))])
    results = []
    with ExitStack() as resources:
        log = any(fault.name == DISK for fault in faults)
        graph = Graph(resources, patience_s, log=log)
        if not graph.robot.start(START_S) or not graph.until(
            lambda: graph.robot.watch.moving, 30.0
        ):
            raise SystemExit(f"the node did not start: {graph.robot.answer}")
        begin = time.monotonic()
        for number, index in enumerate(order[:count]):
            due = begin + 60.0 * minutes * (number + rng.uniform(0.0, 0.7)) / count
            while time.monotonic() < due:
                graph.robot.tick(patience_s)
            fault = faults[index]
            result = carry_out(graph, fault, float(rng.uniform(0.3, 1.0)))
            results.append((result, verdict(fault, result)))
            if graph.node.poll() is not None:
                raise SystemExit(f"the node ended with exit code {graph.node.poll()}: {results}")
        return results, graph.robot.watch


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--faults", type=int, default=100)
    options.add_argument("--minutes", type=float, default=60.0)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--json", type=Path)
    chosen = options.parse_args()
    results, watch = campaign(chosen.faults, chosen.minutes, chosen.seed, 0.0)
    table = Table("fault", "n", "held", "hold ms, worst", "moves again s, worst", "wrong")
    for fault in FAULTS:
        rows = [(result, wrong) for result, wrong in results if result.fault == fault.name]
        if not rows:
            continue
        holds = [row.hold_ms for row, _ in rows if row.hold_ms is not None]
        back = [row.recovered_s for row, _ in rows if row.recovered_s is not None]
        table.add_row(
            fault.name,
            str(len(rows)),
            str(sum(row.held for row, _ in rows)) if fault.holds else "-",
            f"{max(holds):.0f}" if holds else "-",
            f"{max(back):.1f}" if back else "-",
            "; ".join(sorted({wrong for _, wrong in rows if wrong})) or "nothing",
        )
    console = Console()
    console.print(table)
    console.print(f"{watch.count} commands, {len(watch.violations)} outside the limits")
    console.print(*watch.violations[:10], sep="\n")
    if chosen.json:
        told = {
            "commands": watch.count,
            "violations": watch.violations,
            "results": [asdict(row) | {"wrong": wrong} for row, wrong in results],
        }
        chosen.json.write_text(json.dumps(told, indent=2) + "\n", encoding="utf-8")
    return int(bool(watch.violations) or any(wrong for _, wrong in results))


if __name__ == "__main__":
    sys.exit(main())
