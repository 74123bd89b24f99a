"""`python -m df_policy ship`: put a run's checkpoint among the shipped weights."""

from __future__ import annotations

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError


def parser() -> Options:
    """The command's options."""
    options = Options(
        prog="python -m df_policy ship",
        description="Store a run's checkpoint in half precision below df_policy/weights.",
    )
    options.add_argument("run", help="a run folder")
    options.add_argument("name", help="what to call it, for example fruit_swap")
    options.add_argument("--replace", action="store_true", help="even if there is one already")
    return options


def main(argv: list[str]) -> int:
    """Ship; nothing is replaced unless asked."""
    options = parser().parse_args(argv)
    import torch

    from df_policy import checkpoint

    if not options.name.isidentifier():
        raise DfPolicyError(f"expected a name of letters, digits and _, got {options.name!r}")
    if options.name in checkpoint.shipped() and not options.replace:
        raise DfPolicyError(f"{options.name} is shipped already: add --replace, or choose a name")
    folder = checkpoint.SHIPPED / options.name
    checkpoint.load(options.run).save(folder, torch.float16)
    print(f"{folder}: write its CARD.md, and evaluate it before you commit it")
    return 0
