"""Evaluations: one condition or a suite that goes on, and two of them compared."""

import json

import pytest
from training_data import make_checkpoint

from df_policy.commands import compare, evaluate
from df_policy.commands.films import Take
from df_policy.commands.playing import Played, load_policy
from df_policy.commands.results import Results, conditions_of, read
from df_policy.costs import SpeedLimit
from df_policy.errors import DfPolicyError
from df_policy.evaluate import EpisodeResult


@pytest.fixture
def checkpoint(tmp_path):
    make_checkpoint().save(tmp_path / "run")
    return str(tmp_path / "run")


def played(condition, solved, episodes=4):
    return [
        Played(
            condition,
            EpisodeResult(
                seed, seed in solved, "success" if seed in solved else "not moved", (1.0,)
            ),
            {} if condition == "clean" else {condition: 1.5},
            None,
        )
        for seed in range(episodes)
    ]


def begin(checkpoint, *words):
    options = evaluate.parser().parse_args([checkpoint, "--episodes=4", *map(str, words)])
    return Results.begin(options, load_policy(options))


def test_a_suite_goes_on_where_it_stopped(checkpoint, tmp_path):
    path = tmp_path / "suite.json"
    words = ("--suite=robustness", f"--json={path}")
    first = begin(checkpoint, *words)
    assert first.done == {}
    first.finish("clean", played("clean", {0, 1, 2, 3}))
    first.finish("colour", played("colour", {0}))
    again = begin(checkpoint, *words)
    assert list(again.done) == ["clean", "colour"]
    again.finish("lighting", played("lighting", {0, 1}))
    held = conditions_of(read(path))
    assert [one["successes"] for one in held.values()] == [4, 1, 2]
    assert held["colour"]["acted"] == {"colour": 4}
    assert held["colour"]["since_s"]["2"] == {"colour": 1.5}


SLOW = '[{"kind": "speed_limit", "speed_m_s": 0.2}]'


@pytest.mark.parametrize("change", ["--seed=7", "--episodes=5", "--steps=2", f"--costs={SLOW}"])
def test_a_suite_of_other_episodes_or_settings_is_not_mixed_in(checkpoint, tmp_path, change):
    path = tmp_path / "suite.json"
    words = ("--suite=robustness", f"--json={path}")
    begin(checkpoint, *words).finish("clean", played("clean", {0}))
    before = path.read_bytes()
    with pytest.raises(DfPolicyError, match="this very suite"):
        begin(checkpoint, *words, change)
    make_checkpoint(seed=1).save(tmp_path / "run")  # the same folder, trained on
    with pytest.raises(DfPolicyError, match="weights"):
        begin(checkpoint, *words)
    assert path.read_bytes() == before


def test_costs_come_from_a_file_or_as_json_and_stand_with_the_figures(checkpoint, tmp_path):
    (tmp_path / "slow.json").write_text(SLOW)
    for given in (SLOW, tmp_path / "slow.json"):
        path = tmp_path / "one.json"
        options = evaluate.parser().parse_args([checkpoint, f"--costs={given}", f"--json={path}"])
        policy = load_policy(options)
        assert policy.costs == (SpeedLimit(0.2),)
        Results.begin(options, policy).finish("clean", played("clean", {0}))
        assert read(path)["costs"] == json.loads(SLOW)
    assert load_policy(evaluate.parser().parse_args([checkpoint])).costs == ()


def test_one_condition_is_always_played_anew(checkpoint, tmp_path):
    path = tmp_path / "one.json"
    begin(checkpoint, f"--json={path}").finish("clean", played("clean", {0}))
    again = begin(checkpoint, f"--json={path}", "--perturb=colour")
    assert again.done == {}
    again.finish("colour", played("colour", {0, 1}))
    assert {name: one["successes"] for name, one in conditions_of(read(path)).items()} == {
        "colour": 2
    }


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--perturb=front_lots"], "did you mean 'front_lost'"),
        (["--suite=robustnes"], "did you mean 'robustness'"),
        (["--suite=xyz"], "expected one of: robustness"),
        (["--plot=a.png"], "expected --suite with --plot"),
        (["--costs=[1]"], 'expected a cost with a "kind", got 1'),
        (["--costs=nowhere.json"], "a file of it, got 'nowhere.json'"),
    ],
)
def test_a_condition_that_is_none_is_refused_before_anything_is_loaded(words, said):
    with pytest.raises(DfPolicyError, match=said):
        evaluate.main(["nothing_here", *words])


def test_the_names_are_listed_without_a_checkpoint(capsys):
    with pytest.raises(SystemExit) as ending:
        evaluate.main(["--perturb", "list"])
    assert ending.value.code == 0
    shown = capsys.readouterr().out
    assert "fruit_moved" in shown
    assert "delay:MS" in shown


def test_a_caption_says_what_has_gone_wrong_by_then():
    take = Take(7, "not moved", [0.1, 2.0, 4.0], [], [], {"colour": 2.0, "wrist_lost": 3.0})
    lines = [take.caption(moment) for moment in range(3)]
    assert all(line.startswith("seed 7") and "ends: not moved" in line for line in lines)
    assert ["colour" in line for line in lines] == [False, True, True]
    assert ["wrist_lost" in line for line in lines] == [False, False, True]
    assert " 4.0 s" in lines[2]


def store(path, seeds=range(8), **solved):
    conditions = {n: {"seeds": list(seeds), "solved": list(won)} for n, won in solved.items()}
    path.write_text(json.dumps({"conditions": conditions}))
    return str(path)


def test_a_comparison_shows_the_conditions_that_both_have(tmp_path, capsys):
    first = store(tmp_path / "a.json", clean=range(8), colour=range(8))
    second = store(tmp_path / "b.json", clean=range(8), colour=[], lighting=[0])
    assert compare.main([first, second]) == 0
    lines = capsys.readouterr().out.splitlines()
    (row,) = (line for line in lines if "colour" in line)
    assert [cell.strip() for cell in row.strip("│ ").split("│")] == [
        *("colour", "8 of 8", "0 of 8", "8", "0", "0.00781")
    ]
    assert any("clean" in line for line in lines)
    assert not any("lighting" in line for line in lines)


def test_two_single_conditions_are_compared_whatever_they_are(tmp_path, capsys):
    first, second = (tmp_path / name for name in ("a.json", "b.json"))
    first.write_text(json.dumps({"seeds": [0, 1], "solved": [0]}))  # from before disturbances
    second.write_text(json.dumps({"seeds": [0, 1], "solved": [], "condition": "colour"}))
    assert compare.main([str(first), str(second)]) == 0
    assert "clean / colour" in capsys.readouterr().out


def test_what_cannot_be_paired_is_refused(tmp_path):
    first = store(tmp_path / "a.json", clean=[0])
    other_seeds = store(tmp_path / "b.json", seeds=range(1, 9), clean=[1])
    with pytest.raises(DfPolicyError, match=r"same seeds.*8 from 0 to 7 and 8 from 1 to 8"):
        compare.main([first, other_seeds])
    suite = store(tmp_path / "c.json", colour=[], lighting=[])
    with pytest.raises(DfPolicyError, match="a condition that both have"):
        compare.main([first, suite])
    (tmp_path / "d.json").write_text("[1]")
    for path in (tmp_path / "d.json", tmp_path / "missing.json"):
        with pytest.raises(DfPolicyError, match=r"expected the --json file of an evaluation"):
            compare.main([first, str(path)])
