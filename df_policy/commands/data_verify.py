"""`python -m df_policy data verify`: whether a recording is whole, and what is wrong where."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

from df_policy.commands.options import Options

if TYPE_CHECKING:
    from df_policy.data.verify import Proof

_MOST_LINES = 50


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy data verify",
        description="Read and decode all of a recording: lengths, stamps, shapes, finite numbers, "
        "image sizes, and the checksums that the recorder wrote. Exit code 0 if all is well, 1 if "
        "something is wrong. Nothing is changed.",
    )
    options.add_argument("paths", nargs="+", type=Path, help="recordings (.zarr)")
    options.add_argument("--json", action="store_true", help="print the result as JSON")
    return options


def as_json(proof: Proof) -> dict[str, Any]:
    """The proof for programs."""
    return {
        "path": str(proof.path),
        "whole": not proof.findings,
        "episodes": proof.episodes,
        "frames": proof.frames,
        "without_checksums": proof.unproven,
        "broken": list(proof.broken),
        "findings": [{"episode": f.episode, "what": f.what} for f in proof.findings],
        "notes": list(proof.notes),
    }


def report(proof: Proof) -> None:
    """Print what was found."""
    for note in proof.notes:
        print(f"note: {note}")
    for finding in proof.findings[:_MOST_LINES]:
        print(finding)
    if len(proof.findings) > _MOST_LINES:
        print(f"... and {len(proof.findings) - _MOST_LINES} more")
    held = f"{proof.episodes} episodes, {proof.frames} frames"
    if not proof.findings:
        proven = "all as recorded" if not proof.unproven else "no fault found"
        print(f"{proof.path}: whole, {held}, {proven}")
        return
    print(f"{proof.path}: {len(proof.findings)} faults, {len(proof.broken)} broken of {held}")


def main(argv: list[str]) -> int:
    """Look at all of them; exit code 1 if one is not whole."""
    options = parser().parse_args(argv)
    from df_policy.commands.bar import bar
    from df_policy.data.verify import verify

    proofs = []
    for path in options.paths:
        with bar(f"verify {path}") as show:
            proofs.append(verify(path, show))
        if not options.json:
            report(proofs[-1])
    if options.json:
        print(json.dumps([as_json(proof) for proof in proofs], indent=1))
    return 1 if any(proof.findings for proof in proofs) else 0
