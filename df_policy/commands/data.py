"""`python -m df_policy data <what>`: look at recordings, prove, repair and change them."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable

from df_policy.errors import nearest

SUBCOMMANDS = {
    "info": "lengths, rates, action ranges, success and losses; plots and a contact sheet",
    "verify": "prove that a recording is whole",
    "repair": "save the whole episodes of a damaged recording",
    "view": "show an episode in rerun, or write it as .rrd or .mp4",
    "stats": "mean, spread and range of every column",
    "import": "make a recording of another project's dataset",
    "export": "write a recording as another project reads it",
    "edit": "delete, split, merge, trim or relabel episodes",
}
"""Each is a module data_<name> beside this one."""

_USAGE = 2


def help_text() -> str:
    """The sub-commands with a line each."""
    width = max(map(len, SUBCOMMANDS))
    lines = [f"  {name:<{width}}  {line}" for name, line in SUBCOMMANDS.items()]
    return "\n".join(
        [
            "usage: python -m df_policy data <what> [options]",
            "",
            *lines,
            "",
            "`python -m df_policy data <what> --help` shows its options.",
        ]
    )


def main(argv: list[str]) -> int:
    """Run the sub-command that `argv` names."""
    if not argv:
        print(help_text(), file=sys.stderr)
        return _USAGE
    name, *rest = argv
    if name in ("-h", "--help", "help"):
        print(help_text())
        return 0
    if name not in SUBCOMMANDS:
        hint = nearest(name, SUBCOMMANDS) or f"; expected one of: {', '.join(SUBCOMMANDS)}"
        print(f"df_policy data: unknown {name!r}{hint}", file=sys.stderr)
        return _USAGE
    entry: Callable[[list[str]], int] = importlib.import_module(
        f"df_policy.commands.data_{name}"
    ).main
    return entry(rest)
