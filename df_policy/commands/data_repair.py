"""`python -m df_policy data repair`: the whole episodes of a damaged recording."""

from __future__ import annotations

import argparse
from pathlib import Path

from df_policy.commands.bar import bar
from df_policy.commands.data_write import add_targets, carry_out
from df_policy.commands.options import Options


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy data repair",
        description="Cut a damaged recording to its last whole episode, and say what is cut. "
        "Without --out or --in-place nothing is written.",
    )
    options.add_argument("path", type=Path, help="a recording (.zarr)")
    options.add_argument(
        "--drop-broken",
        action="store_true",
        help="leave broken episodes out that have whole ones after them, too",
    )
    add_targets(options)
    return options


def main(argv: list[str]) -> int:
    """Look at all of it, then write what is whole."""
    options = parser().parse_args(argv)
    from df_policy.data.filing import take_up_left
    from df_policy.data.repair import plan
    from df_policy.data.verify import verify

    if options.in_place and take_up_left(options.path):
        print(f"{options.path}: filed an episode that was kept when the recorder was killed")
    with bar(f"verify {options.path}") as show:
        proof = verify(options.path, show)
    if not proof.episodes and not proof.findings and not proof.notes:
        print(f"{options.path}: whole, no episodes yet; there is nothing to repair")
        return 0
    made = plan(proof, drop_broken=options.drop_broken)
    if not made.says:
        print(f"{options.path}: whole, {proof.episodes} episodes; there is nothing to repair")
        return 0
    return carry_out(made, options, options.path)
