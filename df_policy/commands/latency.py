"""`python -m df_policy latency`: how fresh, regular and smooth the targets are on this machine."""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import tempfile
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError
from df_policy.files import check_writable, write_text
from df_policy.witness import Witness


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy latency",
        description="Drive the simulated robot over ROS 2 by the wall clock, as a real one, and "
        "measure the whole chain from the stamp of an image to the target made of it.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    options.add_argument("checkpoint", nargs="?", default="fruit_swap")
    options.add_argument("--task", default="fruit_swap", help="what it was trained for")
    options.add_argument("--episodes", type=int, default=2, help="how many to run")
    options.add_argument("--seed", type=int, default=0, help="of the first episode")
    options.add_argument("--rate", type=float, default=100.0, help="targets per second")
    options.add_argument(
        "--every", type=int, default=0, help="actions between two plans; 0: as it was trained"
    )
    options.add_argument(
        "--sampler", default="", help='how plans are sampled, JSON: {"horizon": 1} is quicker'
    )
    options.add_argument(
        "--delay", type=float, default=0.0, help="hold back all that the robot says so long [ms]"
    )
    options.add_argument("--loss", type=float, default=0.0, help="share of messages to lose")
    options.add_argument(
        "--recording", type=Path, help="of an operator, whose jerk to compare with"
    )
    options.add_argument("--log", default="", help="an .mcap file of all that the policy sees")
    options.add_argument("--json", type=Path, help="write the figures to this file")
    return options


def main(argv: list[str]) -> int:
    """Measure; returns the exit code of the run."""
    options = parser().parse_args(argv)
    from df_policy.ros_nodes import missing_ros

    if find_spec("rclpy") is None:
        raise DfPolicyError(missing_ros(ImportError("no module named 'rclpy'")))
    if options.json:
        check_writable(options.json)
    operator = None if options.recording is None else operators_jerk(options.recording)
    with tempfile.TemporaryDirectory() as folder:
        trace, result = Path(folder, "trace.npz"), Path(folder, "result.json")
        load_before = os.getloadavg()[0]
        with Witness() as witness:
            code = run(options, trace, result)
        if code or not trace.is_file():
            return code or 1
        found = figures(options, trace, json.loads(result.read_text()), witness)
    found["machine"] = {
        "cores": os.cpu_count(),
        "load_1min": [round(load_before, 1), round(os.getloadavg()[0], 1)],
        "platform": platform.platform(),
    }
    if operator is not None:
        found["operator_jerk_m_s3"] = operator
    show(found)
    if options.json:
        write_text(options.json, json.dumps(found, indent=1) + "\n")
    return 0


def run(options: argparse.Namespace, trace: Path, result: Path) -> int:
    """The episodes, over ROS; returns the exit code."""
    from df_policy.commands import bringup
    from df_policy.ros_nodes import graph
    from df_policy.ros_nodes.params import configure

    names = ("checkpoint", "task", "episodes", "seed", "rate", "every", "sampler", "delay", "loss")
    values = {name: getattr(options, name) for name in (*names, "log")}
    given = {"wall_clock": True, "trace": str(trace), "result": str(result)}
    arguments = configure(graph.FruitSwapArguments, values | given)
    bringup.check(arguments)
    environment = {**os.environ, **graph.local_environment(os.environ)}
    return bringup.supervise(graph.fruit_swap(arguments), graph.DRIVER, environment)


def figures(
    options: argparse.Namespace, trace: Path, result: Mapping[str, Any], witness: Witness
) -> dict[str, Any]:
    """What was asked for, and what was found."""
    import numpy as np

    from df_policy.robot import RobotSpec
    from df_policy.ros_nodes import regularity

    with np.load(trace) as arrays:
        held = dict(arrays)
    found = regularity.figures(
        held, options.rate, 1.0 / RobotSpec.action_rate_hz, witness.stalled_s
    )
    found["machine_stalls"] = len(witness.stalls) if witness.knows else None
    told = held["told"]
    memory = {}
    if len(told) > 1:
        later = told[min(len(told) // 4, len(told) - 2) :]
        for name, column in (("policy_node", 1), ("planner", 2)):
            memory[name] = {
                "end_mb": float(told[-1, column]),
                "growth_mb_per_min": slope(later[:, 0] / 60.0, later[:, column]),
            }
    asked = {k: str(v) if isinstance(v, Path) else v for k, v in vars(options).items()}
    outcome = {name: result[name] for name in ("successes", "episodes")}
    return {"asked": asked, "result": outcome, "memory": memory, **found}


def slope(x: Any, y: Any) -> float:
    """Of the straight line through points, NaN where there is none."""
    import numpy as np

    known = np.isfinite(y)
    if known.sum() < 2 or np.ptp(x[known]) == 0.0:
        return math.nan
    return float(np.polyfit(x[known], y[known], 1)[0])


def operators_jerk(path: Path, episodes: int = 50) -> dict[str, float]:
    """Of the targets that were sent in the first episodes of a recording.

    Raises:
        DfPolicyError: if it is none.
    """
    import numpy as np

    from df_policy.data.reader import EpisodeStore
    from df_policy.ros_nodes import regularity

    store = EpisodeStore.open(path)
    ends = store.ends[:episodes]
    actions = store.rows("action", 0, int(ends[-1])).astype(np.float64)[:, :3]
    period_s = 1.0 / store.spec.action_rate_hz
    parts = [regularity.jerk(part, period_s) for part in np.split(actions, ends[:-1])]
    return regularity.spread(np.concatenate(parts))


def show(found: Mapping[str, Any]) -> None:
    """A table for the person at the terminal."""
    from rich.console import Console
    from rich.table import Table

    console = Console()
    machine = found["machine"]
    before, after = machine["load_1min"]
    where = f"{machine['cores']} cores, load {before} to {after}"
    shown = Table(title=f"{found['targets']} targets on {where}")
    for column in ("", "p50", "p99", "worst"):
        shown.add_column(column, justify="left" if not column else "right")
    for name, spread in {**found["stages_ms"], **found}.items():
        if isinstance(spread, dict) and "p99" in spread:
            shown.add_row(name, *(f"{spread[key]:.3g}" for key in ("p50", "p99", "worst")))
    console.print(shown)
    for kind in ("step_mm", "velocity_mm_s", "target velocity_mm_s"):
        one, other = (found.get(f"{kind} {at}") for at in ("at hand-overs", "elsewhere"))
        if one and other and other["p99"] > 0.0:
            console.print(f"{kind}, hand-over to elsewhere, p99: {one['p99'] / other['p99']:.2f}")
    result, memory = found["result"], found["memory"]
    excused = ""
    if found["machine_stalls"]:
        excused = f" ({found['missed_while_the_machine_stood_still']} as the machine stood still)"
    console.print(f"missed ticks: {found['missed_ticks']}{excused}, plans: {found['plans']}")
    console.print(f"episodes solved: {result['successes']} of {result['episodes']}")
    for name, values in memory.items():
        growth = values["growth_mb_per_min"]
        console.print(f"memory of {name}: {values['end_mb']:.0f} MB, {growth:+.2f} MB a minute")
