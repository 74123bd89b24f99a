"""`python -m df_policy data export`: write a recording as another project reads it."""

from __future__ import annotations

import argparse
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from collections.abc import Callable


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

    from df_policy.commands.isolated import console
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
    with landing.landing(chosen.out) as path, Progress(console=console()) as progress:
        bar = progress.add_task(chosen.format, total=len(store))
        write(store, path, lambda: progress.advance(bar))
    print(f"{chosen.out}: {len(store)} episodes, {store.frames} frames as {chosen.format}")
    video = ("exact images: they are AV1 now",) if chosen.images == "video" else ()
    for line in (*form.LOST, *video):
        print(f"  not kept: {line}")
    return 0
