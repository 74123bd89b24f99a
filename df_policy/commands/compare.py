"""`python -m df_policy compare`: whether one evaluation is really better than another."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from df_policy.commands.results import Figures


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy compare",
        description="Compare two evaluations seed by seed, with McNemar's exact test: the "
        "probability that policies which are equally good differ so much.",
    )
    options.add_argument("first", type=Path, help="a --json file of evaluate")
    options.add_argument("second", type=Path, help="another, on the same seeds")
    return options


def pairs(first: dict[str, Figures], second: dict[str, Figures]) -> dict[str, tuple[str, str]]:
    """What is compared with what: the conditions that both have, or the only one of each.

    Raises:
        DfPolicyError: if there is no such pair.
    """
    if len(first) == len(second) == 1:
        (a,), (b,) = first, second
        return {a if a == b else f"{a} / {b}": (a, b)}
    both = [name for name in first if name in second]
    if not both:
        raise DfPolicyError(
            f"expected a condition that both have, got {', '.join(first)} and {', '.join(second)}"
        )
    return {name: (name, name) for name in both}


def main(argv: list[str]) -> int:
    """Compare; exit code 0 whichever is better."""
    options = parser().parse_args(argv)
    from rich.console import Console
    from rich.table import Table

    from df_policy.commands.results import conditions_of, read
    from df_policy.evaluate import compare

    held = [read(path) for path in (options.first, options.second)]
    played = [one.get("task") for one in held]
    if played[0] != played[1]:
        raise DfPolicyError(
            f"expected two evaluations of one task, got {played[0]} and {played[1]}: a seed is "
            "another start in another task"
        )
    first, second = map(conditions_of, held)
    shown = Table(title=f"{options.first} and {options.second}")
    for column in ("condition", "first", "second", "only first", "only second", "p"):
        shown.add_column(column)
    for name, (a, b) in pairs(first, second).items():
        found = compare(first[a], second[b])
        rates = (f"{len(one['solved'])} of {found.episodes}" for one in (first[a], second[b]))
        only = (str(found.only_first), str(found.only_second))
        shown.add_row(name, *rates, *only, f"{found.p_value:.3g}")
    Console().print(shown)
    return 0
