"""`python -m df_policy data stats`: what a normalisation needs to know of every column."""

from __future__ import annotations

import argparse
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError

_SHOWN = ("mean", "std", "min", "p01", "p50", "p99", "max")


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy data stats",
        description="Mean, spread, range and percentiles of every column. Images in shares of "
        "full brightness, of 200 that are evenly spread.",
    )
    options.add_argument("path", type=Path, help="a recording (.zarr)")
    options.add_argument("--json", action="store_true", help="print JSON")
    return options


def rows(statistics: dict[str, dict[str, Any]]) -> Iterator[tuple[str, ...]]:
    """The table's rows: one for each number of each column."""
    for name, figures in statistics.items():
        columns = [np.atleast_1d(figures[kind]) for kind in _SHOWN]
        for index, values in enumerate(zip(*columns, strict=True)):
            label = name if len(columns[0]) == 1 else f"{name}[{index}]"
            yield (label, *(f"{value:.3g}" for value in values))


def main(argv: list[str]) -> int:
    """Compute and print."""
    options = parser().parse_args(argv)
    from df_policy.data.reader import EpisodeStore
    from df_policy.data.summary import column_statistics

    store = EpisodeStore.open(options.path)
    if len(store) == 0:
        raise DfPolicyError(f"expected episodes in {options.path}, got none")
    found = column_statistics(store)
    if options.json:
        print(json.dumps(found, indent=1))
        return 0
    from rich.console import Console

    from df_policy.commands.info import table

    Console().print(table(str(options.path), ("column", *_SHOWN), rows(found)))
    return 0
