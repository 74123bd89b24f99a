"""`python -m df_policy data edit`: delete, split, merge, trim or relabel episodes."""

from __future__ import annotations

import argparse
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

from df_policy.commands.data_write import add_targets, carry_out, describe
from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from df_policy.data.label import Label
    from df_policy.data.reader import EpisodeStore


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy data edit",
        description="Change which episodes a recording holds, or what is said of them. Images are "
        "moved as they are, never encoded anew. Without --out or --in-place nothing is written.",
    )
    kinds = options.add_subparsers(dest="kind", required=True, parser_class=Options)
    delete = kinds.add_parser("delete", help="leave episodes out")
    trim = kinds.add_parser("trim", help="cut the first or last frames of episodes")
    relabel = kinds.add_parser("relabel", help="change success, note or task")
    for one in (delete, trim, relabel):
        one.add_argument("path", type=Path, help="a recording (.zarr)")
        wanted = one is not relabel
        one.add_argument("--episodes", required=wanted, help="which, for example 3,5-7")
        add_targets(one)
    trim.add_argument("--head", type=int, default=0, help="frames to cut at the beginning")
    trim.add_argument("--tail", type=int, default=0, help="frames to cut at the end")
    relabel.add_argument("--success", choices=["yes", "no"], help="the verdict")
    relabel.add_argument("--note", help="free text; '' for none")
    relabel.add_argument("--task", default="", help="of the whole recording")
    split = kinds.add_parser("split", help="make two recordings of one")
    split.add_argument("path", type=Path, help="a recording (.zarr)")
    split.add_argument("--at", type=int, required=True, help="episodes in the first")
    split.add_argument("--out", type=Path, nargs=2, metavar=("FIRST", "SECOND"))
    split.add_argument("--dry-run", action="store_true", help="only say what would be done")
    merge = kinds.add_parser("merge", help="make one recording of several")
    merge.add_argument("paths", type=Path, nargs="+", help="recordings (.zarr)")
    add_targets(merge, in_place=False)
    return options


def main(argv: list[str]) -> int:
    """Make the plan, and carry it out where the options say so."""
    options = parser().parse_args(argv)
    from df_policy.data import edit
    from df_policy.data.reader import EpisodeStore

    if options.kind == "merge":
        plan = edit.merge([EpisodeStore.open(path) for path in options.paths])
        return carry_out(plan, options, None)
    store = EpisodeStore.open(options.path)
    if options.kind == "split":
        return _split(store, options)
    named = options.episodes
    numbers = edit.episode_numbers(named, len(store)) if named else list(range(len(store)))
    if options.kind == "delete":
        plan = edit.delete(store, numbers)
    elif options.kind == "trim":
        plan = edit.trim(store, numbers, options.head, options.tail)
    else:
        plan = edit.relabel(store, numbers, _change(options), options.task)
    return carry_out(plan, options, options.path)


def _change(options: argparse.Namespace) -> _Change:
    if options.success is None and options.note is None and not options.task:
        raise DfPolicyError("expected --success, --note or --task, got none of them")
    if options.episodes is None and (options.success is not None or options.note is not None):
        raise DfPolicyError("expected --episodes with --success or --note, got none")
    return _Change(options.success, options.note)


class _Change:
    """A label with the parts that were given."""

    def __init__(self, success: str | None, note: str | None) -> None:
        self._success, self._note = success, note

    def __call__(self, label: Label) -> Label:
        """The new label."""
        if self._success is not None:
            label = replace(label, success=self._success == "yes")
        return label if self._note is None else replace(label, note=self._note)


def _split(store: EpisodeStore, options: argparse.Namespace) -> int:
    from df_policy.commands.bar import bar
    from df_policy.data import edit

    plans = edit.split(store, options.at)
    for plan in plans:
        describe(plan)
    if options.dry_run or options.out is None:
        print("dry run: nothing was written; --out FIRST SECOND writes both")
        return 0
    for out in options.out:
        if out.exists():
            raise DfPolicyError(f"expected nothing at {out}, got something; name another path")
    for plan, out in zip(plans, options.out, strict=True):
        with bar(f"write {out}") as show:
            edit.write(plan, out, show)
        print(f"{out}: {len(plan.pieces)} episodes")
    return 0
