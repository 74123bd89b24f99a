"""`python -m df_policy looks`: a picture of what the cameras see as episodes begin."""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np

from df_policy.commands.options import Options, positive
from df_policy.files import check_writable
from df_policy.frames import Image

_ENLARGED = 2


def main(argv: list[str]) -> int:
    """Draw the picture."""
    from df_policy.sim.film import write_png

    given = _parser().parse_args(argv)
    check_writable(given.out)
    rows = [_row(given.task, names, given.episodes) for names in given.perturb or [""]]
    sheet = np.repeat(np.repeat(np.vstack(rows), _ENLARGED, axis=0), _ENLARGED, axis=1)
    write_png(sheet, given.out)
    print(f"{given.out}: {given.episodes} episodes a row, all cameras one above the other")
    return 0


def _row(task: str, names: str, episodes: int) -> Image:
    """The first images of so many episodes, beside one another."""
    from df_policy.sim.disturbances import parse
    from df_policy.sim.disturbed import Disturbed
    from df_policy.sim.tasks import make

    world = Disturbed(make(task), parse(names))
    try:
        columns = [world.reset(seed).images for seed in range(episodes)]
    finally:
        world.close()
    width = max(image.shape[1] for image in columns[0].values())
    return np.hstack(
        [
            np.vstack([_padded(images[name], width) for name in sorted(images)])
            for images in columns
        ]
    )


def _padded(image: Image, most: int) -> np.ndarray:
    """As wide as the widest camera's."""
    return np.pad(image, ((0, 0), (0, most - image.shape[1]), (0, 0)))


def _parser() -> argparse.ArgumentParser:
    parser = Options(prog="python -m df_policy looks", description=__doc__)
    parser.add_argument("--task", default="fruit_swap", help="which, as for the recorder")
    parser.add_argument(
        "--perturb",
        action="append",
        metavar="NAMES",
        help="a row with these disturbances, as for the recorder; again for another row",
    )
    parser.add_argument("--episodes", type=positive, default=8, help="of each row, seeds from 0")
    parser.add_argument("--out", type=Path, default=Path("looks.png"), help="a .png file")
    return parser
