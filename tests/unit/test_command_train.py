"""The train command's run folder: another run's encoder is taken only if it is the same one."""

import json
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pytest
from training_data import make_demonstrations

from df_policy.commands import train, train_data
from df_policy.errors import DfPolicyError


@pytest.fixture
def run(tmp_path):
    """A run whose encoder is trained."""
    folder = tmp_path / "first"
    train.prepare(arguments(folder), "a recording")
    (folder / "state").mkdir()
    for stage in ("encoder", "policy"):
        (folder / "state" / f"{stage}.safetensors").write_bytes(stage.encode())
    return folder


def arguments(out, *words):
    return train.parse(["--data=a.zarr", f"--out={out}", *words])


def test_the_encoder_of_another_preset_on_the_same_recording_is_taken(run, tmp_path):
    out = tmp_path / "second"
    words = (f"--encoder-from={run}", "--preset=fruit_swap_attention")
    train.prepare(arguments(out, *words), "a recording")
    assert [path.name for path in (out / "state").iterdir()] == ["encoder.safetensors"]
    assert (out / "state" / "encoder.safetensors").read_bytes() == b"encoder"


@pytest.mark.parametrize(
    ("data", "word", "said"),
    [
        ("another recording", "--run.threads=1", "same data"),
        ("a recording", "--run.seed=1", "same config.run.seed"),
        ("a recording", "--run.episodes=3", "same config.run.episodes"),
        ("a recording", "--encoder.latent=16", "same config.encoder,"),
        ("a recording", "--encoder-fit.steps=7", "same config.encoder_fit"),
    ],
)
def test_one_that_would_have_become_another_is_refused(run, tmp_path, data, word, said):
    out = tmp_path / "second"
    with pytest.raises(DfPolicyError, match=said):
        train.prepare(arguments(out, f"--encoder-from={run}", word), data)
    assert not out.exists()


def test_one_that_is_not_finished_or_not_there_is_refused(run, tmp_path):
    out = tmp_path / "second"
    with pytest.raises(DfPolicyError, match="expected a run folder"):
        train.prepare(arguments(out, f"--encoder-from={tmp_path}"), "a recording")
    (run / "state" / "policy.safetensors").unlink()
    with pytest.raises(DfPolicyError, match="still being trained"):
        train.prepare(arguments(out, f"--encoder-from={run}"), "a recording")


def test_the_encoder_of_a_run_that_knew_less_settings_is_taken(run, tmp_path):
    saved = json.loads((run / "run.json").read_text())
    del saved["config"]["run"]["episodes"]
    (run / "run.json").write_text(json.dumps(saved))
    train.prepare(arguments(tmp_path / "second", f"--encoder-from={run}"), "a recording")
    assert (tmp_path / "second" / "state" / "encoder.safetensors").is_file()


def test_a_run_that_knew_less_settings_is_resumed_with_what_they_meant(run):
    saved = json.loads((run / "run.json").read_text())
    del saved["config"]["token"]["frames"]
    (run / "run.json").write_text(json.dumps(saved))
    train.prepare(arguments(run, "--resume"), "a recording")
    with pytest.raises(DfPolicyError, match=r"token.frames = 1"):
        train.prepare(arguments(run, "--resume", "--token.frames=2"), "a recording")


def test_a_run_is_resumed_with_its_own_settings_whoever_names_them(tmp_path):
    out = tmp_path / "run"
    words = ("--preset=fruit_swap_attention", "--token.window=40", "--run.seed=3")
    train.prepare(arguments(out, *words), "a recording")
    assert arguments(out, "--resume").config == arguments(out, *words).config
    train.prepare(arguments(out, "--resume"), "a recording")
    with pytest.raises(DfPolicyError, match=r"run.seed = 3"):
        train.prepare(arguments(out, "--resume", "--run.seed=4"), "a recording")
    with pytest.raises(DfPolicyError, match="no run to resume"):
        arguments(tmp_path / "none", "--resume")


def test_recordings_that_differ_in_their_images_alone_are_told_apart():
    one, other = make_demonstrations(), make_demonstrations()
    assert train_data._fingerprint(one) == train_data._fingerprint(other)
    for rows in other.images.values():
        rows[...] //= 2
    assert train_data._fingerprint(one) != train_data._fingerprint(other)


@dataclass(frozen=True)
class Recorded:
    """What is asked of a recording before it is joined to others."""

    task: str
    seeds: np.ndarray


@pytest.mark.parametrize(
    ("second", "said"),
    [
        (Recorded("fruit_swap", np.array([7, 3])), "seed 3 in a.zarr and b.zarr"),
        (Recorded("fruit_cycle", np.array([7])), "fruit_swap like a.zarr, got fruit_cycle"),
    ],
)
def test_no_episode_is_learnt_twice_and_no_task_taken_for_another(second, said):
    paths, first = (Path("a.zarr"), Path("b.zarr")), Recorded("fruit_swap", np.array([3, -1]))
    with pytest.raises(DfPolicyError, match=said):
        train_data._check_apart(paths, [first, second])


def test_recordings_that_go_together_do():
    paths = (Path("a.zarr"), Path("b.zarr"), Path("c.zarr"))
    people = np.array([-1, -1])  # starts that no seed drew
    recordings = [Recorded("fruit_swap", np.array([3])), Recorded("fruit_swap", people)]
    train_data._check_apart(paths, [*recordings, Recorded("fruit_swap_regrasp", np.array([3]))])
