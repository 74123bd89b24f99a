"""What the sub-commands that write recordings have in common: where to, and a dry run first."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from df_policy.commands.bar import bar
from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from df_policy.data.edit import Plan

_MOST_LINES = 50


def add_targets(options: argparse.ArgumentParser, *, in_place: bool = True) -> None:
    """Options that say where the result goes; without one of them nothing is written."""
    options.add_argument("--out", type=Path, help="write a new recording here")
    if in_place:
        options.add_argument(
            "--in-place",
            action="store_true",
            help="put the result in the recording's place; the old one is kept beside it",
        )
    options.add_argument(
        "--dry-run",
        action="store_true",
        help="only say what would be done, as without --out" + " or --in-place" * in_place,
    )


def carry_out(plan: Plan, options: argparse.Namespace, path: Path | None) -> int:
    """Show a plan, and write it where the options say.

    Args:
        plan: what to write.
        options: with those of `add_targets`.
        path: the recording that may be replaced.

    Raises:
        DfPolicyError: if two places are named, or the disk refuses.
    """
    from df_policy.data import edit

    in_place = getattr(options, "in_place", False)
    if options.out is not None and in_place:
        raise DfPolicyError("expected --out or --in-place, got both; choose one")
    describe(plan)
    if options.dry_run or (options.out is None and not in_place):
        print("dry run: nothing was written; --out writes a new recording")
        return 0
    with bar("write") as show:
        if path is not None and in_place:
            backup = edit.write_in_place(plan, path, show)
            print(f"{path}: {len(plan.pieces)} episodes; as it was: {backup}")
        else:
            edit.write(plan, options.out, show)
            print(f"{options.out}: {len(plan.pieces)} episodes")
    return 0


def describe(plan: Plan) -> None:
    """Print what a plan changes."""
    for line in plan.says[:_MOST_LINES]:
        print(line)
    if len(plan.says) > _MOST_LINES:
        print(f"... and {len(plan.says) - _MOST_LINES} more")
    frames = sum(piece.frames for piece in plan.pieces)
    print(f"result: {len(plan.pieces)} episodes, {frames} frames")
