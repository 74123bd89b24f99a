"""`python -m df_policy info`: what is installed here, and what a recording or checkpoint holds."""

from __future__ import annotations

import importlib.util
import json
import os
import platform
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError
from df_policy.provenance import versions

if TYPE_CHECKING:
    from rich.table import Table

OPTIONAL = {
    "rclpy": ("ROS 2 nodes", "pip install '.[ros]' in a checkout, or source ROS 2"),
    "launch_ros": ("ros2 launch", "source ROS 2; `bringup` works without it"),
    "franky": ("Franka robots", "pip install '.[franka]'"),
    "pyrealsense2": ("RealSense cameras", "pip install '.[realsense]'"),
    "rerun": ("data view, live preview", "pip install '.[view]'"),
    "mcap": ("logs of policy_node", "pip install '.[log]'"),
    "wandb": ("training logs on a server", "pip install '.[wandb]'"),
}
"""Module -> what it is for, and where it comes from."""


def accelerator() -> str:
    """What torch would compute on."""
    if importlib.util.find_spec("torch") is None:
        return "torch is not installed"
    import torch

    return torch.cuda.get_device_name() if torch.cuda.is_available() else "none, the CPU is used"


def machine() -> dict[str, str]:
    """This package, its main libraries, and the machine."""
    return versions() | {
        "system": platform.platform(),
        "cores": f"{len(os.sched_getaffinity(0))} of {os.cpu_count()}",
        "accelerator": accelerator(),
    }


def optional_parts() -> list[tuple[str, str, str, str]]:
    """Module, purpose, whether it is there, and how to get it if not."""
    rows = []
    for module, (purpose, source) in OPTIONAL.items():
        there = importlib.util.find_spec(module) is not None
        rows.append((module, purpose, "yes" if there else "no", "" if there else source))
    return rows


def checkpoint_row(folder: Path) -> tuple[str, str, str]:
    """A checkpoint's name, size, and what is noted about its origin.

    Raises:
        DfPolicyError: if its description cannot be read.
    """
    from df_policy.checkpoint import ABOUT

    try:
        described: dict[str, Any] = json.loads((folder / ABOUT).read_text("utf-8"))
    except (OSError, ValueError) as error:
        raise DfPolicyError(
            f"expected a readable {ABOUT} in {folder}, got {error}; copy it again"
        ) from error
    size = sum(file.stat().st_size for file in folder.iterdir() if file.is_file())
    about = described.get("about", {})
    notes = ", ".join(f"{k} {v}" for k, v in about.items() if isinstance(v, str | int | float))
    return folder.name, f"{size / 1e6:.1f} MB", notes


def recording_rows(path: Path) -> list[tuple[str, str]]:
    """What a recording holds.

    Raises:
        DfPolicyError: if it is missing, damaged, or something else.
    """
    from df_policy.data.reader import EpisodeStore

    store = EpisodeStore.open(path)
    spec, lengths = store.spec, store.lengths
    cameras = (f"{name} {h}x{w}" for name, (h, w) in spec.cameras.items())
    size = sum(file.stat().st_size for file in path.rglob("*") if file.is_file())
    seconds = store.frames / spec.action_rate_hz
    rows = [
        ("task", store.header.task),
        ("robot", f"{spec.name}, {len(spec.joint_names)} joints"),
        ("cameras", ", ".join(cameras)),
        ("episodes", str(len(store))),
        ("frames", f"{store.frames} ({seconds / 60:.1f} min at {spec.action_rate_hz:g} Hz)"),
        ("size", f"{size / 1e6:.1f} MB, {size / max(store.frames, 1):.0f} bytes a frame"),
        ("operators", ", ".join(store.header.operators)),
        ("written by", ", ".join(f"df_policy {v}" for v in store.header.code_versions)),
    ]
    if len(store):
        rows += [
            ("episode length", f"{lengths.min()} to {lengths.max()} frames"),
            ("successful", f"{int(store.success.sum())} of {len(store)}"),
        ]
    return rows


def table(title: str, header: Sequence[str], rows: Iterable[Sequence[str]]) -> Table:
    """A titled table; without column names where `header` is empty."""
    from rich import box
    from rich.table import Table
    from rich.text import Text

    shown = Table(title=title, title_justify="left", box=box.SIMPLE, show_header=bool(header))
    for name in header:
        shown.add_column(name, overflow="fold")
    for row in rows:
        shown.add_row(*map(Text, row))  # as it stands: no markup, paths and [extras] have brackets
    return shown


def path_table(path: Path) -> Table:
    """The recording or checkpoint at `path`.

    Raises:
        DfPolicyError: if it is neither.
    """
    if (path / "zarr.json").is_file() or not path.is_dir():
        return table(str(path), (), recording_rows(path))
    from df_policy import checkpoint  # slow, for it brings torch: only when it is no recording

    if (path / checkpoint.ABOUT).is_file():
        return table(str(path), ("checkpoint", "size", "about"), [checkpoint_row(path)])
    return table(str(path), (), recording_rows(path))


def machine_tables() -> list[Table]:
    """Versions, optional parts and shipped checkpoints."""
    tables = [
        table("versions", (), machine().items()),
        table("optional", ("module", "for", "installed", "get it by"), optional_parts()),
    ]
    if importlib.util.find_spec("torch") is None:
        return tables
    from df_policy import checkpoint

    rows = [checkpoint_row(checkpoint.SHIPPED / name) for name in checkpoint.shipped()]
    if rows:
        tables.append(table("shipped checkpoints", ("name", "size", "about"), rows))
    return tables


def main(argv: list[str]) -> int:
    """Print the tables."""
    parser = Options(prog="python -m df_policy info", description=__doc__)
    parser.add_argument(
        "path", nargs="?", type=Path, help="a recording (.zarr) or a checkpoint's folder"
    )
    chosen = parser.parse_args(argv)

    from rich.console import Console

    console = Console()
    for shown in [path_table(chosen.path)] if chosen.path else machine_tables():
        console.print(shown)
    return 0
