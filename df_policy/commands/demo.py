"""`python -m df_policy demo`: the whole stack once, in a few minutes, and a report to look at."""

from __future__ import annotations

import argparse
import json
import shutil
import time
from pathlib import Path

from df_policy.commands.options import Options
from df_policy.commands.part import run_part
from df_policy.errors import DfPolicyError

LEFT = {"recording.zarr", "swaps", "swaps.json", "swaps.mp4", "report"}
"""What a demo leaves in its folder: a second one may replace it."""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy demo",
        description="Record fresh episodes, drive the simulated robot over ROS 2 with the shipped "
        "policy, and leave a film and a report.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    options.add_argument("--out", type=Path, default=Path("runs/demo"))
    options.add_argument("--checkpoint", default="fruit_swap", help="a run folder, or shipped")
    options.add_argument("--record-episodes", type=int, default=2)
    options.add_argument("--episodes", type=int, default=5, help="swaps over ROS 2")
    options.add_argument("--seed", type=int, default=0)
    return options


def main(argv: list[str]) -> int:
    """Run the demo; exit code 0 when every part ran, whatever the policy's success."""
    options = parser().parse_args(argv)
    from df_policy import checkpoint

    checkpoint.find(options.checkpoint)
    begin = time.monotonic()
    out: Path = options.out
    _clear(out)
    recording, result = out / "recording.zarr", out / "swaps.json"
    run_part(
        f"recording {options.record_episodes} episodes",
        ["df_policy.teleop.record", "--device=scripted", f"--out={recording}"],
        [f"--episodes={options.record_episodes}", f"--seed={int(time.time())}"],
    )
    run_part(
        f"{options.episodes} swaps over ROS 2",
        ["df_policy", "bringup", "fruit_swap", f"--checkpoint={options.checkpoint}"],
        [f"--episodes={options.episodes}", f"--seed={options.seed}"],
        [f"--record={out / 'swaps'}", f"--result={result}"],
    )
    from df_policy.commands.films import film
    from df_policy.commands.report import takes, write_report

    print("film and report", flush=True)
    film(takes(out / "swaps" / "episodes.npz"), out / "swaps.mp4", "fruit_swap")
    write_report(out, recording, result, out / "swaps" / "episodes.npz")
    _show(result)
    minutes = (time.monotonic() - begin) / 60
    print(f"done in {minutes:.1f} min: {out / 'report' / 'index.html'}, {out / 'swaps.mp4'}")
    return 0


def _clear(out: Path) -> None:
    """Make room for a new demo, but never delete what no demo made.

    Raises:
        DfPolicyError: if the folder holds anything else.
    """
    if out.exists() and not out.is_dir():
        raise DfPolicyError(f"{out} is a file: choose another --out")
    strangers = {p.name for p in out.iterdir()} - LEFT if out.is_dir() else set()
    if strangers:
        raise DfPolicyError(
            f"{out} holds {', '.join(sorted(strangers))}, which no demo made: choose another --out"
        )
    try:
        if out.exists():
            shutil.rmtree(out)
        out.mkdir(parents=True)
    except OSError as error:
        raise DfPolicyError(f"{out} cannot be written ({error}): choose another --out") from error


def _show(result: Path) -> None:
    from rich.console import Console
    from rich.table import Table

    figures = json.loads(result.read_text())
    shown = Table(title="fruit swap over ROS 2")
    for column in ("seed", "ends", "targets", "rate [Hz]", "worst gap [ms]"):
        shown.add_column(column)
    for one in figures["results"]:
        rate, gap = f"{one['rate_hz']:.2f}", f"{one['worst_gap_ms']:.0f}"
        shown.add_row(str(one["seed"]), one["reason"], str(one["targets"]), rate, gap)
    console = Console()
    console.print(shown)
    low, high = (100 * bound for bound in figures["wilson95"])
    console.print(
        f"{figures['successes']} of {figures['episodes']} solved "
        f"(95 % Wilson interval {low:.0f} to {high:.0f} %)"
    )
