"""`python -m df_policy data view`: one episode to look at."""

from __future__ import annotations

import argparse
from pathlib import Path

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy data view",
        description="Show an episode in rerun; with --out, write it to a file without a screen.",
    )
    options.add_argument("path", type=Path, help="a recording (.zarr)")
    options.add_argument("--episode", type=int, default=0, help="which; -1 is the last")
    options.add_argument("--out", type=Path, help="an .rrd file for rerun, or an .mp4")
    return options


def main(argv: list[str]) -> int:
    """Show or write."""
    options = parser().parse_args(argv)
    from df_policy.data.reader import EpisodeStore

    suffix = options.out.suffix if options.out else ".rrd"
    if suffix not in (".rrd", ".mp4"):
        raise DfPolicyError(f"expected --out to end in .rrd or .mp4, got {options.out}")
    store = EpisodeStore.open(options.path)
    index = options.episode + len(store) if options.episode < 0 else options.episode
    store.bounds(index)
    if suffix == ".mp4":
        from df_policy.data.pictures import film

        film(store, index, options.out)
    else:
        from df_policy.data.rerun_log import show

        show(store, index, options.out)
    if options.out:
        print(f"episode {index}: {options.out}")
    return 0
