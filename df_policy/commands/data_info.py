"""`python -m df_policy data info`: what a recording holds, in numbers and pictures."""

from __future__ import annotations

import argparse
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy data info",
        description="Lengths, rates, action ranges, success, and what was dropped or late.",
    )
    options.add_argument("path", type=Path, help="a recording (.zarr)")
    options.add_argument("--json", action="store_true", help="print JSON, each episode in it")
    options.add_argument(
        "--plots", type=Path, metavar="FOLDER", help="write overview.png and contact_sheet.png"
    )
    return options


def _counts(found: Mapping[str, int | None]) -> str:
    known = {name: value for name, value in found.items() if value is not None}
    if not known:
        return "not recorded"
    bad = ", ".join(f"{name} {value}" for name, value in known.items() if value)
    return bad or "none"


def rows(figures: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The summary for people."""
    length, rates = figures["length"], [one["rate_hz"] for one in figures["per_episode"]]
    known = [rate for rate in rates if rate is not None]
    gap = max(one["longest_gap_ms"] for one in figures["per_episode"])
    cameras = (f"{name} {h}x{w}" for name, (h, w) in figures["cameras"].items())
    low_high = (f"{name} {a:.3f}..{b:.3f}" for name, (a, b) in figures["action"].items())
    size = f"{figures['bytes'] / 1e6:.1f} MB, {figures['bytes'] / figures['frames']:.0f} a frame"
    return [
        ("task", figures["task"]),
        ("robot", figures["robot"]),
        ("cameras", ", ".join(cameras)),
        ("operators", ", ".join(figures["operators"])),
        ("schema", str(figures["schema_version"])),
        ("episodes", f"{figures['episodes']}, {figures['successes']} successful"),
        ("frames", f"{figures['frames']} ({figures['minutes']:.1f} min)"),
        ("size", size),
        ("length", f"{length['shortest']} to {length['longest']}, median {length['median']:g}"),
        (
            "rate",
            f"{min(known):.2f} to {max(known):.2f} Hz, longest gap {gap:.1f} ms" if known else "-",
        ),
        ("dropped", _counts(figures["dropped"])),
        ("late", _counts(figures["late"])),
        ("action", ", ".join(low_high)),
        ("checksums", f"{figures['with_checksums']} of {figures['episodes']} episodes"),
    ]


def main(argv: list[str]) -> int:
    """Print, and draw if asked."""
    options = parser().parse_args(argv)
    from df_policy.data.reader import EpisodeStore
    from df_policy.data.summary import summarize

    store = EpisodeStore.open(options.path)
    if len(store) == 0:
        raise DfPolicyError(f"expected episodes in {options.path}, got none; record some")
    figures = summarize(store)
    if options.json:
        print(json.dumps(figures, indent=1))
    else:
        from rich.console import Console

        from df_policy.commands.info import table

        Console().print(table(str(options.path), (), rows(figures)))
    if options.plots:
        from df_policy.commands.plots import recording
        from df_policy.data.pictures import contact_sheet

        recording(figures, options.plots / "overview.png")
        if store.spec.cameras:
            contact_sheet(store, options.plots / "contact_sheet.png")
        if not options.json:
            print(f"pictures: {options.plots}")
    return 0
