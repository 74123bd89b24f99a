"""`python -m df_policy evaluate`: how often a policy solves the task in simulation."""

from __future__ import annotations

import argparse
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_args

from df_policy.commands.options import Options, natural, positive
from df_policy.config import Choice
from df_policy.costs import read, write
from df_policy.errors import DfPolicyError, nearest

if TYPE_CHECKING:
    from df_policy.commands.playing import Played
    from df_policy.commands.results import Results


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy evaluate",
        description="Run a policy against MuJoCo, without ROS; each episode is judged at its end.",
        formatter_class=argparse.ArgumentDefaultsHelpFormatter,
    )
    options.add_argument("checkpoint", help="a run folder, or the name of shipped weights")
    options.add_argument(
        "--task",
        default=argparse.SUPPRESS,
        help="what to solve (default: what the policy was trained for)",
    )
    options.add_argument("--episodes", type=positive, default=100, help="of each condition")
    options.add_argument(
        "--seed", type=natural, default=0, help="of the first episode; then +1 each"
    )
    options.add_argument("--workers", type=positive, default=min(2, os.cpu_count() or 1))
    conditions = options.add_mutually_exclusive_group()
    conditions.add_argument(
        "--perturb",
        metavar="NAME[,NAME...]",
        action=_Perturb,
        default="clean",
        help="disturbances, all at once; `--perturb list` shows them",
    )
    conditions.add_argument(
        "--suite",
        help="robustness: without a disturbance and with each, one after the other; reactivity: "
        "with those of fruit; long: episodes of four times the length; given again with the same "
        "--json, what is finished is not played again",
    )
    options.add_argument("--json", type=Path, help="write the figures to this file")
    options.add_argument(
        "--plot", type=Path, help="PNG of a suite's rates (default: beside the --json file)"
    )
    options.add_argument(
        "--film",
        type=Path,
        help="MP4 of the first episodes (default, but not of a suite: beside the --json file)",
    )
    options.add_argument("--film-episodes", type=natural, default=2, help="0 for no film")
    options.add_argument("--device", default="cpu", help="where the policy runs")
    options.add_argument(
        "--costs", type=costs, metavar="FILE_OR_JSON", help="what plans are bent by; see README.md"
    )
    _add_sampler(options)
    return options


def _add_sampler(options: argparse.ArgumentParser) -> None:
    """How plans are sampled, where that is not to be as the checkpoint says."""
    options.add_argument("--steps", type=positive, help="denoising steps a token")
    options.add_argument("--samples", type=positive, help="plans drawn for one decision")
    options.add_argument("--choice", choices=get_args(Choice), help="which of them is carried out")
    options.add_argument("--horizon", type=positive, help="tokens planned ahead")
    options.add_argument("--every", type=positive, help="actions between two plans")
    options.add_argument(
        "--commit", type=natural, help="actions of a plan that the next one takes over"
    )
    options.add_argument(
        "--matrix",
        choices=("pyramid", "autoregressive", "full_sequence", "rolling", "warm"),
        help="denoising order",
    )
    options.add_argument("--eta", type=float, help="DDIM's share of fresh noise, 0 to 1")
    options.add_argument(
        "--trust", choices=("always", "by_plausibility"), help="whether every image is believed"
    )
    options.add_argument(
        "--histories",
        type=naturals,
        help="plan from only so many of the newest tokens too, each of a list such as 4,1",
    )
    options.add_argument(
        "--history-weights",
        type=numbers,
        help="of the whole past and of each of --histories, such as 0.5,0.25,0.25",
    )


class _Perturb(argparse.Action):
    """Takes the names; `list` shows all there are, and ends, as --help does."""

    def __call__(
        self,
        parser: argparse.ArgumentParser,
        namespace: argparse.Namespace,
        values: Any,
        option_string: str | None = None,
    ) -> None:
        del option_string
        if values == "list":
            from df_policy.sim.disturbances import descriptions

            lines = [f"  {name:<20}{about}" for name, about in descriptions().items()]
            print("\n".join(["disturbances:", *lines]))
            parser.exit()
        setattr(namespace, self.dest, values)


def costs(text: str) -> str:
    """Costs, as JSON, from that or a file of it."""
    return write(read(text))


def naturals(text: str) -> tuple[int, ...]:
    """Whole numbers with commas between them."""
    return tuple(natural(part) for part in text.split(","))


def numbers(text: str) -> tuple[float, ...]:
    """Numbers with commas between them."""
    return tuple(float(part) for part in text.split(","))


def main(argv: list[str]) -> int:
    """Evaluate; exit code 0 when all episodes ran, whatever their result."""
    options = parser().parse_args(argv)
    conditions = _conditions(options)
    _choose_files(options)
    from rich.console import Console

    from df_policy.commands.playing import load_policy, task_of
    from df_policy.commands.results import Results
    from df_policy.files import check_writable

    for target in (options.json, options.plot, options.film):
        if target is not None:
            check_writable(target)  # now, not after the last episode
    policy = load_policy(options)  # a wrong one is refused here, before any worker starts
    console = Console()
    _warn_of_seen_seeds(options, policy.about, console)
    results = Results.begin(options, policy)
    played = _play(options, [name for name in conditions if name not in results.done], results)
    console.print(results.table(options.checkpoint, conditions))
    if options.plot is not None:
        from df_policy.commands.plots import rates

        rates({name: results.done[name] for name in conditions}, options.checkpoint, options.plot)
        console.print(f"plot: {options.plot}")
    takes = [one.take for one in played if one.take is not None]
    if takes:
        from df_policy.commands.films import film

        film(takes, options.film, task_of(options, policy))
        console.print(f"film: {options.film}")
    return 0


def _conditions(options: argparse.Namespace) -> tuple[str, ...]:
    """What is to be played, each a list of disturbances.

    Raises:
        DfPolicyError: if a name is unknown; the nearest is shown.
    """
    from df_policy.sim.disturbances import SUITES, parse

    if options.suite is None:
        return (",".join(one.name for one in parse(options.perturb)) or "clean",)
    if options.suite not in SUITES:
        known = f"expected one of: {', '.join(SUITES)}"
        raise DfPolicyError(
            f"unknown suite {options.suite!r}{nearest(options.suite, SUITES) or '; ' + known}"
        )
    return SUITES[options.suite]


def _choose_files(options: argparse.Namespace) -> None:
    """Where films and plots go if nothing else was asked for."""
    if options.json is not None and options.suite is None and options.film is None:
        options.film = options.json.with_suffix(".mp4")
    if options.film_episodes == 0:
        options.film = None
    if options.suite is not None and options.plot is None and options.json is not None:
        options.plot = options.json.with_suffix(".png")
    if options.suite is None and options.plot is not None:
        raise DfPolicyError("expected --suite with --plot: one condition alone is not plotted")


def _play(
    options: argparse.Namespace, conditions: Sequence[str], results: Results
) -> list[Played]:
    """Play the conditions and store each as it is finished; what was played, in order."""
    from rich.progress import Progress

    from df_policy.commands.playing import play

    played: dict[str, list[Played]] = {name: [] for name in conditions}
    with Progress(transient=True) as progress:
        task = progress.add_task("episodes", total=options.episodes * len(conditions))
        for one in play(options, conditions) if conditions else ():
            mine = played[one.condition]
            mine.append(one)
            solved = sum(p.result.success for p in mine)
            shown = f"{one.condition}: solved {solved}/{len(mine)}"
            progress.update(task, advance=1, description=shown)
            if len(mine) == options.episodes:
                mine.sort(key=lambda p: p.result.seed)
                results.finish(one.condition, mine)
    return [one for mine in played.values() for one in mine]


def _warn_of_seen_seeds(
    options: argparse.Namespace, about: Mapping[str, Any], console: Any
) -> None:
    first, last = about.get("recorded_seeds", (-1, -1))
    if first >= 0 and options.seed <= last and first < options.seed + options.episodes:
        console.print(
            f"[yellow]the policy was trained on seeds {first} to {last}, which overlap these: "
            "the result says nothing about unseen starts; choose another --seed"
        )
