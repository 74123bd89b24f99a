"""`python -m df_policy data export`: write a recording as another project reads it."""

from __future__ import annotations

import argparse
import sys
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from collections.abc import Callable


_MOST_MEMORY_GB = 1e3
_CRASH = (
    "expected to write {what}, got a crash of the library that writes it ({name}); make room on "
    "the disk"
)


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = Options(
        prog="python -m df_policy data export",
        description="Write a recording as another project reads it. What the format has no place "
        "for is said at the end.",
    )
    made.add_argument("recording", type=Path, help="a recording (.zarr)")
    made.add_argument("out", type=Path, help="the file or folder to make")
    made.add_argument(
        "--format",
        required=True,
        help="diffusion_policy, umi, robomimic, aloha, lerobot or mcap; the first two make a zip "
        "file where OUT ends in .zip",
    )
    made.add_argument(
        "--images",
        choices=("png", "video"),
        default="png",
        help="lerobot only: exact, or small (AV1)",
    )
    return made


def main(argv: list[str]) -> int:
    """Export."""
    chosen = parser().parse_args(argv)

    from rich.progress import Progress

    from df_policy.commands.isolated import console, isolated
    from df_policy.data.formats import landing, registry
    from df_policy.data.reader import EpisodeStore

    form = registry.load(chosen.format)
    store = EpisodeStore.open(chosen.recording)
    if len(store) == 0:
        raise DfPolicyError(f"expected episodes in {chosen.recording}, got none; record some")
    write: Callable[..., None] = form.write
    if chosen.images == "video":
        if chosen.format != "lerobot":
            raise DfPolicyError(f"expected --images with lerobot only, got {chosen.format}")
        write = partial(write, video=True)

    def work() -> str:
        # HDF5's complaints while it lets go of a full disk.
        sys.excepthook = sys.unraisablehook = _ignore
        try:
            with Progress(console=console()) as progress:
                bar = progress.add_task(chosen.format, total=len(store))
                write(store, path, lambda: progress.advance(bar))
        except (OSError, RuntimeError) as error:
            # HDF5 raises either, and may crash once more when it lets go of its file.
            raise DfPolicyError(_no_room(chosen.out, error)) from error
        return ""

    with landing.landing(chosen.out) as path:
        isolated(work, _MOST_MEMORY_GB, str(chosen.out), crash=_CRASH)
    print(f"{chosen.out}: {len(store)} episodes, {store.frames} frames as {chosen.format}")
    video = ("exact images: they are AV1 now",) if chosen.images == "video" else ()
    for line in (*form.LOST, *video):
        print(f"  not kept: {line}")
    return 0


def _ignore(*_: object) -> None:
    """Say nothing."""


def _no_room(out: Path, error: OSError | RuntimeError) -> str:
    full = "No space left on device" in str(error)
    why = "No space left on device" if full else getattr(error, "strerror", None) or error
    return (
        f"expected to write {out}, got {why}; make room on the disk or name a place that can be "
        "written"
    )
