"""What a benchmark consists of: recordings, trainings, evaluations, and the studies of them.

A study is a line of a table; adding one needs no other change.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

RECORDED, MOVED = 800, 300
"""Demonstrations in a recording of whole tasks, and in one in which a person moves a fruit."""


@dataclass(frozen=True)
class Recording:
    """Demonstrations that the scripted operator gives."""

    name: str
    options: tuple[str, ...] = ()
    """Of the recorder, beside the task."""
    task: str = ""
    """Another one than the benchmark's."""
    episodes: int = RECORDED
    episode_s: float = 1.3
    """About how long one takes, with two workers."""


WITH_MISHAPS = Recording(
    "recording",
    ("--perturb=fruit_slips,fruit_knocked,fruit_moved", "--perturb-share=0.5"),
)
"""Whole tasks; in some a mishap befalls the operator, who mends it."""
WITH_MOVES = Recording("recording_moved", ("--perturb=fruit_moved", "--seed=2000000"), "", MOVED)
"""Each mishap alone is seldom, and this one changes what is left to do."""
_PLAIN = Recording("recording_plain")
_REGRASPS = Recording(
    "recording_regrasps", task="fruit_swap_regrasp", episodes=1000, episode_s=0.3
)
"""About as many mended mishaps as in the first, each alone."""


@dataclass(frozen=True)
class Run:
    """One training."""

    name: str
    preset: str
    options: tuple[str, ...] = ()
    """Of `train`, beside the preset."""
    encoder_from: str = ""
    """The run whose encoder is the same one, so that it need not be trained again."""
    minutes: float = 12.5
    """About how long it takes: 20,000 steps of the denoiser; see tests/benchmarks/RESULTS.md."""
    recordings: tuple[Recording, ...] = (WITH_MISHAPS, WITH_MOVES)
    """What it is trained on; the first is of the benchmark's own task."""


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
        changes = str.maketrans("=,", "__")
        words += [option.strip("-").translate(changes) for option in self.options]
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


SUITE = ("--suite=robustness",)
_LONG = ("--suite=long",)
_REACTIVITY = ("--suite=reactivity",)
KEPT = (1000, 2000, 4000, 6000, 8000, 12000, 16000, 20000)
"""Steps at which the main run's checkpoints are evaluated."""

_MAIN = Run("fruit_swap", "fruit_swap", ("--run.keep-every=1000",), minutes=20.0)
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
_NO_PAUSES = Run(
    "no_pauses", "fruit_swap", ("--policy-fit.pauses=0",), encoder_from=_MAIN.name, minutes=12.5
)
_ONLY_PLAIN = Run("plain", "fruit_swap", minutes=20.0, recordings=(_PLAIN,))
_APART = Run("regrasps", "fruit_swap", minutes=20.0, recordings=(_PLAIN, _REGRASPS))


def _fewer(demonstrations: int) -> Run:
    options = (f"--run.episodes={demonstrations}",)
    return Run(f"fruit_swap_{demonstrations}", "fruit_swap", options, minutes=20.0)


def _composed(tokens: str, weights: str) -> tuple[str, ...]:
    """The whole past and only so many of its newest tokens, each with its weight."""
    return (f"--histories={tokens}", f"--history-weights={weights}")


_HISTORIES = (
    ("1", "0.75,0.25"),
    ("1", "0.5,0.5"),
    ("4", "0.75,0.25"),
    ("4", "0.5,0.5"),
    ("4,1", "0.5,0.25,0.25"),
)

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
            Point(str(RECORDED + MOVED), _MAIN),
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
    Study(
        "long",
        "Episodes four times as long: the policy, without pauses in training, and with memory in "
        "a window.",
        (
            Point("fruit_swap", _MAIN, _LONG),
            Point("no_pauses", _NO_PAUSES, _LONG),
            Point("attention", _BASELINES["attention"], _LONG),
        ),
    ),
    Study(
        "recovery",
        "Where recoveries are learnt from: mishaps inside whole swaps, short regrasps apart, and "
        "those with a plan from the newest token besides, or none at all.",
        (
            Point("mishaps inside", _MAIN, _REACTIVITY),
            Point("regrasps apart", _APART, _REACTIVITY),
            Point("regrasps apart, histories", _APART, (*_REACTIVITY, *_composed(*_HISTORIES[1]))),
            Point("neither", _ONLY_PLAIN, _REACTIVITY),
        ),
    ),
    Study(
        "histories",
        "Plans from the whole past alone, and together with those from few or one of its tokens.",
        (
            Point("whole", _MAIN, _REACTIVITY),
            *(
                Point(
                    f"whole + {tokens} ({weights})",
                    _MAIN,
                    (*_REACTIVITY, *_composed(tokens, weights)),
                )
                for tokens, weights in _HISTORIES
            ),
        ),
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


def recordings_of(runs: Iterable[Run]) -> list[Recording]:
    """Every recording that the runs need, once."""
    return list(dict.fromkeys(recording for run in runs for recording in run.recordings))


def points_of(studies: Iterable[Study]) -> list[Point]:
    """Every evaluation that the studies need, once."""
    return list({point.key: point for study in studies for point in study.points}.values())
