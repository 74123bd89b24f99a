"""What a benchmark consists of: trainings, evaluations of them, and the studies that show them.

A study is a line of a table; adding one needs no other change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Run:
    """One training on the recording."""

    name: str
    preset: str
    options: tuple[str, ...] = ()
    """Of `train`, beside the preset."""
    encoder_from: str = ""
    """The run whose encoder is the same one, so that it need not be trained again."""
    minutes: float = 12.5
    """About how long it takes: 20,000 steps of the denoiser; see tests/benchmarks/RESULTS.md."""


@dataclass(frozen=True)
class Point:
    """One evaluation: of a run, with options of `evaluate`."""

    label: str
    run: Run
    options: tuple[str, ...] = ()
    step: int = 0
    """Of the kept checkpoint; 0 for the last one."""

    @property
    def key(self) -> str:
        """The name of its file: points of the same key are one evaluation."""
        words = [f"step_{self.step}"] if self.step else []
        words += [option.strip("-").replace("=", "_") for option in self.options]
        return "-".join([self.run.name, *words])


@dataclass(frozen=True)
class Study:
    """One plot and one table."""

    name: str
    about: str
    points: tuple[Point, ...]
    """The first is what the others are compared with, seed by seed."""
    axis: str = ""
    """What the labels count; empty where they are names."""
    number: Literal["label", "minutes"] = "label"
    """Whether a point's number is its label, or the minutes that its checkpoint was trained."""
    log: bool = False
    """Whether the number grows by factors."""


RECORDED = 400
"""Demonstrations in the recording."""
MISHAPS = ("--perturb=fruit_slips,fruit_knocked,fruit_moved", "--perturb-share=0.3")
"""What befalls the operator in it."""
SUITE = ("--suite=robustness",)
KEPT = (1000, 2000, 4000, 6000, 8000, 12000, 16000, 20000)
"""Steps at which the main run's checkpoints are evaluated."""

_MAIN = Run("fruit_swap", "fruit_swap", ("--run.keep-every=1000",), minutes=17.0)
_OTHERS = (
    "memoryless",
    "memoryless_two",
    "next_frame",
    "shared_level",
    "actions_only",
    "attention",
    "attention_noncausal",
)
_BASELINES = {name: Run(name, f"fruit_swap_{name}", encoder_from=_MAIN.name) for name in _OTHERS}


def _fewer(demonstrations: int) -> Run:
    options = (f"--run.episodes={demonstrations}",)
    return Run(f"fruit_swap_{demonstrations}", "fruit_swap", options, minutes=17.0)


FRUIT_SWAP: tuple[Study, ...] = (
    Study(
        "presets",
        "Where each gain comes from: the policy, its baselines and its ablations.",
        (
            Point("fruit_swap", _MAIN),
            *(Point(name, run) for name, run in _BASELINES.items()),
        ),
    ),
    Study(
        "robustness",
        "The policy under each disturbance.",
        (Point("fruit_swap", _MAIN, SUITE),),
    ),
    Study(
        "robustness_next_frame",
        "Next-frame diffusion, its strongest published rival, under each disturbance.",
        (Point("next_frame", _BASELINES["next_frame"], SUITE),),
    ),
    Study(
        "demonstrations",
        "Success against the number of demonstrations.",
        (
            Point(str(RECORDED), _MAIN),
            *(Point(str(count), _fewer(count)) for count in (25, 50, 100, 240)),
        ),
        axis="demonstrations",
        log=True,
    ),
    Study(
        "minutes",
        "Success against minutes of training, from the recording on.",
        tuple(Point(str(step), _MAIN, step=step) for step in KEPT[::-1]),
        axis="minutes of training",
        number="minutes",
    ),
    Study(
        "steps",
        "Success against denoising steps a token.",
        tuple(Point(str(steps), _MAIN, (f"--steps={steps}",)) for steps in (4, 1, 2, 10, 25)),
        axis="denoising steps a token",
        log=True,
    ),
)

BENCHMARKS: dict[str, tuple[Study, ...]] = {"fruit_swap": FRUIT_SWAP}
"""Task -> its studies."""


def runs_of(studies: Iterable[Study]) -> list[Run]:
    """Every training that the studies need, once; whose encoder others take comes first."""
    needed: dict[str, Run] = {}
    known = {
        point.run.name: point.run
        for task in BENCHMARKS.values()
        for study in task
        for point in study.points
    }
    for study in studies:
        for point in study.points:
            if point.run.encoder_from:
                needed.setdefault(point.run.encoder_from, known[point.run.encoder_from])
            needed.setdefault(point.run.name, point.run)
    return list(needed.values())


def points_of(studies: Iterable[Study]) -> list[Point]:
    """Every evaluation that the studies need, once."""
    return list({point.key: point for study in studies for point in study.points}.values())
