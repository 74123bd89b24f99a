"""What was imagined beside what came: watching changes nothing, and the figures are true."""

import json

import numpy as np
import pytest
import torch
from tiny_arm import TinyArm
from training_data import make_checkpoint

from df_policy.commands import horizon
from df_policy.commands.imagining import RollOuts, watch_episode
from df_policy.evaluate import run_episode
from df_policy.policy import Policy

FAR = RollOuts(context=1, tokens=4, levels=(0, 50))


@pytest.fixture(scope="module")
def trained():
    made = make_checkpoint()
    for parameter in made.denoiser.parameters():
        torch.nn.init.normal_(parameter, std=0.2)
    return made


@pytest.fixture(scope="module")
def episodes(trained):
    return [watch_episode(Policy(trained), TinyArm(24), seed, FAR) for seed in (0, 1)]


def test_watching_changes_nothing_and_goes_on_until_all_has_come(trained, episodes):
    steps = 8 * (FAR.context + FAR.tokens)
    plans = []
    run_episode(Policy(trained), TinyArm(steps), 0, plans.append)
    watched = episodes[0]
    assert len(watched.images["front"]) == steps + 1
    assert len(watched.plans) == steps // watched.every
    assert np.array_equal(watched.plans[-1].actions, plans[-1].actions)
    assert watched.at.tolist() == [16, 24, 32, 40]


def test_each_level_is_a_roll_out_of_its_own_from_the_same_moment(episodes):
    ahead = episodes[0].ahead
    assert list(ahead) == [0, 50]
    assert ahead[0]["front"].shape[0] == FAR.tokens
    assert np.array_equal(ahead[0]["front"][0], ahead[50]["front"][0])
    assert not np.array_equal(ahead[0]["front"][1], ahead[50]["front"][1])


def test_what_is_imagined_as_it_came_has_no_error(trained, episodes):
    figures = horizon.Ruler(trained, episodes).figures()
    assert set(figures) == {"0", "50", "drawn", "kept", "other"}
    assert figures["drawn"]["latent"] == [0.0] * FAR.tokens
    assert figures["drawn"]["outside"] == [0.0] * FAR.tokens
    for name in ("0", "50", "kept", "other"):
        assert min(figures[name]["latent"]) > 0.0
    for curves in figures.values():
        assert all(0.0 <= share <= 1.0 for share in curves["outside"])
        assert curves["image"][0] > 0.0  # no decoder of eight numbers draws noise again


def test_latents_far_off_are_counted_as_outside(trained, episodes):
    ruler = horizon.Ruler(trained, episodes)
    far = {name: rows + 1e3 for name, rows in episodes[0].ahead[0].items()}
    assert ruler._errors(far, 0)["outside"].tolist() == [1.0] * FAR.tokens


def test_the_plot_and_the_summary_hold_each_curve(trained, episodes, tmp_path):
    figures = horizon.Ruler(trained, episodes).figures()
    said = horizon.summary(figures, 2)
    first = np.mean(figures["0"]["image"][:2])
    assert said["0"]["image"]["first"] == pytest.approx(first, abs=1e-3)
    assert json.loads(json.dumps(said)) == said
    path = tmp_path / "horizon.png"
    horizon.plot(figures, 0.8, 1.6, "tiny", path)
    assert path.read_bytes().startswith(b"\x89PNG")
