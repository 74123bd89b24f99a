"""A benchmark is a table of studies: each can be done, in order, once, and is shown as it is."""

import argparse
import dataclasses
import json

import pytest
from training_data import make_checkpoint

from df_policy.commands import benchmark, evaluate, train
from df_policy.commands.benchmark import Benchmark, chosen, spoken
from df_policy.commands.benchmark_report import write
from df_policy.commands.results import fingerprint
from df_policy.commands.studies import (
    BENCHMARKS,
    RECORDED,
    SUITE,
    WITH_MISHAPS,
    Point,
    Run,
    Study,
    points_of,
    recordings_of,
    runs_of,
)
from df_policy.config import SamplerConfig
from df_policy.errors import DfPolicyError
from df_policy.evaluate import EpisodeResult, summary
from df_policy.schedule import matrices
from df_policy.sim.disturbances import parse
from df_policy.sim.tasks import find
from df_policy.teleop import record

STUDIES = [study for studies in BENCHMARKS.values() for study in studies]
RUNS = {run.name: run for run in runs_of(STUDIES)}
TINY = Run("tiny", "tiny", recordings=(WITH_MISHAPS,))
NAMES = Study("names", "By name.", (Point("one", TINY), Point("two", TINY, ("--steps=2",))))
COUNTS = Study(
    "counts",
    "By minutes.",
    (Point("20", TINY, step=20), Point("10", TINY, step=10)),
    axis="minutes of training",
    number="minutes",
)
RIVALS = Study(
    "rivals",
    "Under disturbances.",
    (Point("a", TINY, ("--suite=long",)), Point("b", TINY, ("--suite=long", "--steps=2"))),
)
CONDITIONS = Study("conditions", "By condition.", (Point("tiny", TINY, SUITE),))


def parsed(run):
    words = [f"--preset={run.preset}", *run.options]
    return train.parse(["--data=a.zarr", "--out=b", *words]).config


@pytest.mark.parametrize("name", RUNS)
def test_every_training_is_one_that_train_takes(name):
    run, config = RUNS[name], parsed(RUNS[name])
    assert config.run.episodes <= RECORDED
    if run.encoder_from:
        owner = parsed(RUNS[run.encoder_from])
        for part in ("encoder", "encoder_fit"):
            assert getattr(config, part) == getattr(owner, part)
        for part in ("seed", "episodes", "validation", "mirror", "precision"):
            assert getattr(config.run, part) == getattr(owner.run, part)


@pytest.mark.parametrize(
    "recording", recordings_of(RUNS.values()), ids=lambda recording: recording.name
)
def test_every_recording_is_one_that_the_recorder_takes(recording):
    options = record.parser().parse_args(["--out=a.zarr", *recording.options])
    assert all(not one.longer for one in parse(options.perturb))
    assert find(recording.task or "fruit_swap").name.startswith("fruit_swap")


def test_a_run_has_its_encoder_from_one_on_the_same_recordings():
    for run in RUNS.values():
        assert run.recordings[0].task == ""
        if run.encoder_from:
            assert run.recordings == RUNS[run.encoder_from].recordings


@pytest.mark.parametrize("study", STUDIES, ids=lambda study: study.name)
def test_every_evaluation_is_one_that_evaluate_takes(study):
    for point in study.points:
        options = evaluate.parser().parse_args(["somewhere", *point.options])
        config = parsed(point.run)
        sampler = sampler_of(config.sampler, options)
        matrices(sampler, config.diffusion.levels)
        if point.step:
            assert point.step % config.run.keep_every == 0
            assert point.step <= config.policy_fit.steps
        if study.axis and study.number == "label":
            float(point.label)
    assert len({point.key for point in study.points}) == len(study.points)


def test_the_studies_are_those_that_were_asked_for():
    by_name = {study.name: study for study in BENCHMARKS["fruit_swap"]}
    labels = {name: {point.label for point in study.points} for name, study in by_name.items()}
    assert labels["demonstrations"] == {"25", "50", "100", "240", "1100"}
    assert labels["steps"] == {"1", "2", "4", "10", "25"}
    assert labels["long"] == {"fruit_swap", "no_pauses", "attention"}
    assert len(labels["recovery"]) == 4
    assert len(by_name) == len(BENCHMARKS["fruit_swap"])


def test_points_of_one_key_are_the_same_evaluation():
    seen = {}
    for point in points_of(STUDIES) + [p for study in STUDIES for p in study.points]:
        what = (point.run, point.options, point.step)
        assert seen.setdefault(point.key, what) == what


def sampler_of(stored: SamplerConfig, options: argparse.Namespace) -> SamplerConfig:
    """As `evaluate` makes it."""
    given = {
        name: value
        for name, value in vars(options).items()
        if hasattr(stored, name) and value is not None
    }
    return dataclasses.replace(stored, **given)


def build(out, *words):
    options = benchmark.parser().parse_args(["fruit_swap", f"--out={out}", *words])
    return Benchmark(options)


def test_the_parts_come_in_an_order_in_which_they_can_be_done(tmp_path):
    names = [job.name for job in build(tmp_path).jobs(STUDIES)]
    assert names[0] == "recording"
    assert len(set(names)) == len(names)
    kinds = [name.split()[0] for name in names[1:]]
    kinds = [kind.split("_")[0] for kind in kinds]
    assert kinds == sorted(kinds, key=["recording", "training", "evaluating"].index)
    for run in RUNS.values():
        if run.encoder_from:
            assert names.index(f"training {run.encoder_from}") < names.index(
                f"training {run.name}"
            )


def test_a_study_that_needs_anothers_encoder_trains_that_first():
    (study,) = chosen("fruit_swap", ["robustness_next_frame"])
    assert [run.name for run in runs_of([study])] == ["fruit_swap", "next_frame"]


@pytest.fixture
def made(tmp_path):
    """A benchmark whose one training is over."""
    built = build(tmp_path, "--episodes=4", "--seed=7")
    trained = make_checkpoint()
    for step, minutes in ((10, 0.5), (20, 1.25)):
        about = {"step": step, "minutes": minutes}
        one = dataclasses.replace(trained, about=about)
        one.save(built.folder(TINY) / "checkpoints" / f"step_{step}")
    one.save(built.folder(TINY))
    return built


def results(solved, seed=7):
    reasons = ("success", "not moved")
    return summary(
        [
            EpisodeResult(number, number in solved, reasons[number not in solved], (1.0,))
            for number in range(seed, seed + 4)
        ]
    )


def leave(made, point, figures, **changes):
    """What `evaluate` would have written."""
    folder = made.checkpoint(point)
    head = {
        "weights": fingerprint(str(folder)),
        "first_seed": 7,
        "episodes": 4,
        "trained": json.loads((folder / "checkpoint.json").read_text())["about"],
    }
    path = made.figures(point)
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(figures | head | changes))


def test_what_is_done_is_not_done_again_unless_it_was_another(made):
    left = {job.name for job in made.jobs([NAMES]) if not job.is_done()}
    assert left == {"recording", "evaluating tiny", "evaluating tiny-steps_2"}
    one, two = NAMES.points
    leave(made, one, results({7}))
    assert made.is_evaluated(one)
    assert not made.is_evaluated(two)
    for change in ({"first_seed": 0}, {"episodes": 3}, {"weights": "others"}):
        leave(made, one, results({7}), **change)
        assert not made.is_evaluated(one)


def test_a_suite_is_done_with_its_last_condition(made):
    (point,) = CONDITIONS.points
    whole = {name: results({7}) for name in benchmark_suite()}
    leave(made, point, {"conditions": whole})
    assert made.is_evaluated(point)
    del whole["colour"]
    leave(made, point, {"conditions": whole})
    assert not made.is_evaluated(point)


def benchmark_suite():
    from df_policy.sim.disturbances import SUITES

    return SUITES["robustness"]


def test_finished_studies_are_shown_and_others_left_out(made):
    one, two = NAMES.points
    leave(made, one, results({7, 8, 9, 10}))
    leave(made, two, results({7}))
    for point, solved in zip(COUNTS.points, ({7, 8}, {8}), strict=True):
        leave(made, point, results(solved))
    paths = {path.name: path for path in write(made, [NAMES, COUNTS, CONDITIONS])}
    assert paths.keys() == {"names.png", "counts.png", "benchmark.md", "benchmark.json"}
    assert all(paths[name].read_bytes()[:4] == b"\x89PNG" for name in ("names.png", "counts.png"))
    page = paths["benchmark.md"].read_text()
    assert "seeds 7 to 10" in page
    assert "| two | 1 of 4 (25 %) | 4.6 to 69.9 % | 0.25 | 3 not moved |" in page
    assert "| 0.5 | 1 of 4" in page
    assert "conditions" not in page
    data = json.loads(paths["benchmark.json"].read_text())["studies"]
    assert [row["solved"] for row in data["names"]["rows"]] == [[7, 8, 9, 10], [7]]
    assert [row["number"] for row in data["counts"]["rows"]] == [1.25, 0.5]


def test_a_suite_is_a_row_a_condition(made):
    (point,) = CONDITIONS.points
    leave(made, point, {"conditions": {name: results({7}) for name in benchmark_suite()}})
    write(made, [CONDITIONS])
    page = (made.out / "benchmark.md").read_text()
    assert all(f"| {name} | 1 of 4" in page for name in benchmark_suite())


def test_several_suites_are_compared_condition_by_condition(made):
    one, two = RIVALS.points
    solved = {"clean": {7, 8, 9, 10}, "pauses": {7, 8, 9, 10}, "waits_after": {7}}
    leave(made, one, {"conditions": {name: results(won) for name, won in solved.items()}})
    solved["pauses"] = set()
    leave(made, two, {"conditions": {name: results(won) for name, won in solved.items()}})
    write(made, [RIVALS])
    lines = (made.out / "benchmark.md").read_text().splitlines()
    p = {cells[1].strip(): cells[4].strip() for line in lines if len(cells := line.split("|")) > 4}
    assert p["a, clean"] == ""
    assert p["a, waits_after"] == "0.25"
    assert p["b, clean"] == p["b, waits_after"] == "1"
    assert p["b, pauses"] == "0.12"


def test_a_study_that_is_none_is_answered_with_the_nearest(tmp_path):
    with pytest.raises(DfPolicyError, match="did you mean 'robustness'"):
        benchmark.main(["fruit_swap", f"--out={tmp_path}", "--only=robustnes"])
    with pytest.raises(DfPolicyError, match="expected one of: presets"):
        chosen("fruit_swap", ["xyz"])
    with pytest.raises(DfPolicyError, match="--episodes of at least 1"):
        benchmark.main(["fruit_swap", "--episodes=0"])


def test_the_list_says_what_is_left_and_touches_nothing(tmp_path, capsys):
    out = tmp_path / "new"
    assert benchmark.main(["fruit_swap", f"--out={out}", "--list", "--only=steps"]) == 0
    shown = capsys.readouterr().out
    assert "8 parts left" in shown  # two recordings, one training, five evaluations
    assert "denoising steps" in shown
    assert "presets" not in shown
    assert not out.exists()


@pytest.mark.parametrize(
    ("seconds", "said"), [(5, "1 min"), (600, "10 min"), (7500, "2 h 05 min")]
)
def test_durations_are_spoken(seconds, said):
    assert spoken(seconds) == said
