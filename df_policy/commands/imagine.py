"""`python -m df_policy imagine`: what a policy expects to see, beside what then happened."""

from __future__ import annotations

import argparse
import dataclasses
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from df_policy.commands.options import Options, natural, positive
from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from df_policy.checkpoint import Checkpoint
    from df_policy.commands.imagining import RollOuts, Watched
    from df_policy.frames import Image

FILM_FPS = 5


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy imagine",
        description="Play episodes in simulation and write, into --out, a film of what was seen "
        "beside what plans had foreseen and what was imagined far ahead (imagined.mp4), and how "
        "wrong that was (horizon.json, horizon.png).",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    options.add_argument("checkpoint", help="a run folder, or the name of shipped weights")
    options.add_argument("--out", type=Path, required=True, help="a folder, made if need be")
    options.add_argument(
        "--task",
        default=argparse.SUPPRESS,
        help="what to solve (default: what the policy was trained for)",
    )
    options.add_argument("--episodes", type=positive, default=4, help="the first is filmed")
    options.add_argument("--seed", type=natural, default=0, help="of the first; then +1 each")
    options.add_argument(
        "--times", type=float, default=5.0, help="how far to imagine, in training lengths"
    )
    options.add_argument(
        "--context", type=natural, default=4, help="tokens seen before imagining far ahead"
    )
    options.add_argument(
        "--level",
        type=natural,
        default=50,
        help="at which imagined tokens are remembered, beside 0: as if they had been seen",
    )
    options.add_argument("--perturb", default="", help="disturbances, as evaluate takes them")
    options.add_argument(
        "--trust", choices=("always", "by_plausibility"), help="whether every image is believed"
    )
    options.add_argument("--device", default="cpu", help="where the policy runs")
    return options


def main(argv: list[str]) -> int:
    """Play, draw, measure."""
    options = parser().parse_args(argv)
    from rich.console import Console

    from df_policy import checkpoint
    from df_policy.commands import horizon
    from df_policy.commands.imagining import RollOuts
    from df_policy.device import pick

    trained = checkpoint.load(options.checkpoint, pick(options.device))
    trained.need_imagination()  # one without is refused now, not after all episodes
    diffusion, token = trained.config.diffusion, trained.config.token
    if not 0 <= options.level < diffusion.levels:
        raise DfPolicyError(
            f"expected --level from 0 to below {diffusion.levels}, got {options.level}"
        )
    levels = tuple(dict.fromkeys((0, options.level)))
    far = RollOuts(options.context, max(1, round(options.times * token.window)), levels)
    episodes = _watch(options, trained, far)
    console = Console()
    options.out.mkdir(parents=True, exist_ok=True)
    film = options.out / "imagined.mp4"
    _film(trained, episodes[0], film)
    figures = horizon.Ruler(trained, episodes).figures()
    _write(options, episodes, figures, horizon.summary(figures, token.window), far)
    seconds = token.chunk / trained.spec.action_rate_hz
    title = f"{options.checkpoint}: {len(episodes)} episodes, seeds from {options.seed}"
    picture = options.out / "horizon.png"
    horizon.plot(figures, seconds, seconds * token.window, title, picture)
    console.print(f"film: {film}\nplot: {picture}\nfigures: {options.out / 'horizon.json'}")
    return 0


def _watch(options: argparse.Namespace, trained: Checkpoint, far: RollOuts) -> list[Watched]:
    from rich.progress import Progress

    from df_policy.checkpoint import check_robot
    from df_policy.commands.imagining import watch_episode
    from df_policy.commands.playing import task_of
    from df_policy.device import pick
    from df_policy.policy import Policy
    from df_policy.sim.disturbances import parse
    from df_policy.sim.disturbed import Disturbed
    from df_policy.sim.tasks import make

    sampler = trained.config.sampler
    if options.trust is not None:
        sampler = dataclasses.replace(sampler, trust=options.trust)
    policy = Policy(trained, sampler, pick(options.device))
    disturbances = parse(options.perturb)
    environment = make(task_of(options, policy))
    try:
        check_robot(policy.spec, environment.spec)
        disturbed = Disturbed(environment, disturbances)
        seeds = range(options.seed, options.seed + options.episodes)
        with Progress(transient=True) as progress:
            return [
                watch_episode(policy, disturbed, seed, far)
                for seed in progress.track(seeds, description="episodes")
            ]
    finally:
        environment.close()


def _film(trained: Checkpoint, one: Watched, path: Path) -> None:
    from itertools import chain

    from df_policy.sim.film import write_film

    pictures = chain(_foreseen(trained, one), _far_ahead(trained, one))
    first = next(pictures)
    write_film(chain([first], pictures), first.shape[:2], path, fps=FILM_FPS)


def _foreseen(trained: Checkpoint, one: Watched) -> Iterator[Image]:
    """Each moment beside what the plans of one token before, of two, ... had foreseen for it."""
    from df_policy.sim.film import mosaic

    token, rate_hz = trained.config.token, trained.spec.action_rate_hz
    imagination = trained.need_imagination()
    drawn = [imagination.images(plan.foreseen) for plan in one.plans]
    horizon = len(one.plans[0].foreseen_ns)
    titles = [
        "seen",
        *(f"foreseen {n * token.chunk / rate_hz:.1f} s before" for n in range(1, horizon + 1)),
    ]
    for moment in range(min(len(one.plans), token.window * token.chunk // one.every)):
        rows = []
        for camera, images in one.images.items():
            seen = images[moment * one.every]
            row = [seen]
            for n in range(1, horizon + 1):
                made = moment - n * token.chunk // one.every
                row.append(drawn[made][camera][n - 1] if made >= 0 else seen * 0)
            rows.append(row)
        trust = one.plans[moment].trust
        believed = "  ".join(f"{camera} {share:.2f}" for camera, share in trust.items())
        at_s = moment * one.every / rate_hz
        yield mosaic(rows, titles, f"seed {one.seed}   {at_s:4.1f} s   trust: {believed}")


def _far_ahead(trained: Checkpoint, one: Watched) -> Iterator[Image]:
    """What came beside what was imagined in one go, token by token."""
    from df_policy.sim.film import mosaic

    imagination = trained.need_imagination()
    drawn = {level: imagination.images(rows) for level, rows in one.ahead.items()}
    titles = ["seen", *(f"imagined, remembered at {level}" for level in drawn)]
    rate_hz, begin = trained.spec.action_rate_hz, one.at[0] - trained.config.token.chunk
    for token, at in enumerate(one.at):
        rows = [
            [images[at], *(pictures[camera][token] for pictures in drawn.values())]
            for camera, images in one.images.items()
        ]
        ahead_s = (at - begin) / rate_hz
        yield mosaic(rows, titles, f"seed {one.seed}   {ahead_s:5.1f} s ahead, nothing seen")


def _write(
    options: argparse.Namespace,
    episodes: Sequence[Watched],
    figures: dict[str, Any],
    summary: dict[str, Any],
    far: RollOuts,
) -> None:
    import json

    from df_policy.files import write_text

    head = {
        "checkpoint": options.checkpoint,
        "seeds": [one.seed for one in episodes],
        "ends": [one.reason for one in episodes],
        "perturb": options.perturb,
        "context": far.context,
        "tokens": far.tokens,
    }
    text = json.dumps(head | {"summary": summary, "curves": figures})
    write_text(options.out / "horizon.json", text + "\n")
