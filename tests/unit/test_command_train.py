"""The train command's run folder: another run's encoder is taken only if it is the same one."""

import json

import pytest

from df_policy.commands import train
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
