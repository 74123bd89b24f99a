"""A whole run on a small recording: it learns, and it can be stopped anywhere."""

import dataclasses
import shutil
import threading

import numpy as np
import pytest
import torch
from training_data import SPEC, TINY, make_checkpoint, make_demonstrations, make_grasps, tiny

from df_policy import checkpoint, train
from df_policy.batches import Batches
from df_policy.config import PolicyFitConfig
from df_policy.frames import Action, Observation
from df_policy.geometry import Pose
from df_policy.held_out import held_out_error
from df_policy.policy import Policy
from df_policy.presets import PRESETS
from df_policy.reading import Reading
from df_policy.train import Hooks, StoppedError, Training, kept


def tensors(folder):
    loaded = checkpoint.load(str(folder))
    return loaded.denoiser.state_dict() | loaded.codec.state_dict()


def stop_at(stage, step):
    stop = threading.Event()

    def watch(now, done, _of, _losses):
        if (now, done) == (stage, step):
            stop.set()

    return Hooks(on_step=watch, stop=stop)


@pytest.mark.parametrize(
    ("stage", "step", "name"),
    [
        ("encoder", 7, "fruit_swap"),
        ("policy", 13, "fruit_swap"),
        ("policy", 13, "fruit_swap_attention"),
    ],
)
def test_a_run_that_is_stopped_and_resumed_gives_the_same_checkpoint(tmp_path, stage, step, name):
    data, config = make_demonstrations(), tiny(name)
    Training(data, config, tmp_path / "whole", {}, Hooks()).run()
    with pytest.raises(StoppedError):
        Training(data, config, tmp_path / "parts", {}, stop_at(stage, step)).run()
    Training(data, config, tmp_path / "parts", {}, Hooks()).run()
    want, got = tensors(tmp_path / "whole"), tensors(tmp_path / "parts")
    assert want.keys() == got.keys()
    assert all(torch.equal(want[name], got[name]) for name in want)


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_learns_and_then_plans(tmp_path, name):
    losses = []
    config = dataclasses.replace(tiny(name), policy_fit=PolicyFitConfig(steps=150, batch=8))

    def watch(stage, _done, _of, values):
        if stage == "policy":
            losses.append(values["loss"])

    Training(make_demonstrations(), config, tmp_path, {}, Hooks(on_step=watch)).run()
    assert sum(losses[-40:]) < 0.85 * sum(losses[:40])
    policy = Policy.load(str(tmp_path))
    policy.warm_up()
    trained = checkpoint.load(str(tmp_path))
    assert all(np.isfinite(error) for error in trained.about["held_out"].values())


def test_an_encoder_that_is_there_already_is_the_one_that_would_be_trained(tmp_path):
    data, attention = make_demonstrations(), tiny("fruit_swap_attention")
    Training(data, TINY, tmp_path / "first", {}, Hooks()).run()
    Training(data, attention, tmp_path / "whole", {}, Hooks()).run()
    state = tmp_path / "short" / "state"
    state.mkdir(parents=True)
    shutil.copy(tmp_path / "first" / "state" / "encoder.safetensors", state)
    stages = set()
    hooks = Hooks(on_step=lambda stage, *_: stages.add(stage))
    Training(data, attention, tmp_path / "short", {}, hooks).run()
    assert stages == {"policy"}
    want, got = tensors(tmp_path / "whole"), tensors(tmp_path / "short")
    assert all(torch.equal(want[name], got[name]) for name in want)


def test_a_run_on_the_first_episodes_is_that_on_a_recording_of_no_more(tmp_path):
    data = make_demonstrations(episodes=5)
    few = dataclasses.replace(TINY, run=dataclasses.replace(TINY.run, episodes=3))
    some = Training(data, few, tmp_path / "some", {}, Hooks()).run()
    Training(data.first(3), TINY, tmp_path / "all", {}, Hooks()).run()
    want, got = tensors(tmp_path / "all"), tensors(tmp_path / "some")
    assert all(torch.equal(want[name], got[name]) for name in want)
    assert some.about["episodes"] == 3
    assert some.about["frames"] == len(data.first(3).action)


def test_mirrored_episodes_and_where_things_lie_are_learnt_from_the_first_episodes(tmp_path):
    """And from the images that belong to them, however many more there are."""
    locating = dataclasses.replace(TINY.encoder_fit, location_weight=1.0)
    told = []

    def config(**run):
        return dataclasses.replace(
            TINY, encoder_fit=locating, run=dataclasses.replace(TINY.run, mirror=True, **run)
        )

    def watch(stage, _step, _of, losses):
        if stage == "encoder":
            told.append(losses["location"])

    data = make_grasps(episodes=5)
    alone = make_grasps(episodes=5)
    alone = dataclasses.replace(
        alone.first(3), images={name: images[:120] for name, images in alone.images.items()}
    )
    Training(data, config(episodes=3), tmp_path / "some", {}, Hooks(on_step=watch)).run()
    Training(alone, config(), tmp_path / "all", {}, Hooks()).run()
    want, got = tensors(tmp_path / "all"), tensors(tmp_path / "some")
    assert all(torch.equal(want[name], got[name]) for name in want)
    assert np.mean(told[-5:]) < np.mean(told[:5])


def test_checkpoints_are_kept_as_they_were_at_their_step(tmp_path):
    config = dataclasses.replace(TINY, run=dataclasses.replace(TINY.run, keep_every=10))
    with pytest.raises(StoppedError):
        Training(make_demonstrations(), config, tmp_path, {}, stop_at("policy", 10)).run()
    early, minutes = tensors(tmp_path), checkpoint.load(str(tmp_path)).about["minutes"]
    last = Training(make_demonstrations(), config, tmp_path, {}, Hooks()).run()
    held = checkpoint.load(str(kept(tmp_path, 10)))
    assert (held.about["step"], last.about["step"]) == (10, 20)
    assert all(torch.equal(early[k], v) for k, v in tensors(kept(tmp_path, 10)).items())
    late = tensors(kept(tmp_path, 20))
    assert all(torch.equal(late[k], v) for k, v in tensors(tmp_path).items())
    assert held.about["minutes"] == minutes <= last.about["minutes"]


def test_every_checkpoint_is_measured_once(tmp_path, monkeypatch):
    measured = []

    def count(*arguments):
        measured.append(arguments)
        return held_out_error(*arguments)

    monkeypatch.setattr(train, "held_out_error", count)
    published = []
    hooks = Hooks(on_checkpoint=lambda step, _: published.append(step))
    last = Training(make_demonstrations(), TINY, tmp_path, {}, hooks).run()
    assert published == [10, 20]
    assert len(measured) == 2
    again = Training(make_demonstrations(), TINY, tmp_path, {}, hooks).run()
    assert again.about == last.about


def test_a_run_keeps_what_draws_its_latents_and_what_that_cannot_draw_as_a_rule(tmp_path):
    data = make_demonstrations()
    Training(data, TINY, tmp_path, {}, Hooks()).run()
    trained = checkpoint.load(str(tmp_path))
    images = {camera: torch.from_numpy(rows) for camera, rows in data.images.items()}
    strange = trained.imagination.unexplained(images, trained.codec.by_camera(images))
    for camera, share in trained.about["unexplained"].items():
        assert float(strange[camera].min()) < share < float(strange[camera].max()) + 1e-6
        assert trained.about["uncertainty"][camera] > 0.0


def test_a_run_of_before_decoders_were_kept_gets_them_without_a_step_of_training(tmp_path):
    data, steps = make_demonstrations(), []
    Training(data, TINY, tmp_path, {}, Hooks()).run()
    whole = (tmp_path / checkpoint.WEIGHTS).read_bytes()
    stored = checkpoint.load(str(tmp_path))
    about = {name: value for name, value in stored.about.items() if name != "unexplained"}
    dataclasses.replace(stored, imagination=None, about=about).save(tmp_path)
    Training(data, TINY, tmp_path, {}, Hooks(on_step=lambda *told: steps.append(told))).run()
    assert steps == []
    assert (tmp_path / checkpoint.WEIGHTS).read_bytes() == whole
    assert checkpoint.load(str(tmp_path)).about == stored.about


@pytest.mark.parametrize("name", ["fruit_swap", "fruit_swap_memoryless_two"])
def test_what_is_learnt_is_what_is_met(name):
    """The tokens of a recording are those that a policy makes when it sees the same."""
    config, data = tiny(name), make_demonstrations()
    trained = make_checkpoint(config=config)
    policy = Policy(trained, dataclasses.replace(config.sampler, every=8))
    policy._calls, codec = 1, trained.codec
    images = {camera: torch.from_numpy(rows) for camera, rows in data.images.items()}
    latents = codec.latents(images)
    batches = Batches(data, codec, latents, config, torch.device("cpu"))
    token = 2
    x = batches.tokens([Reading.of(data.episode(1))], np.array([3])).read
    row = int(data.starts[1]) + 3 + token * codec.chunk
    seen = dataclasses.replace(frame(data, row), before=frame(data, row - 1))
    executed = [Action.from_row(data.action[i].astype(float)) for i in range(row - 8, row)]
    torch.testing.assert_close(policy._token(seen, executed)[0], x[0, token], atol=1e-3, rtol=1e-3)


def frame(data, row):
    """A recorded frame as a policy would see it."""
    images = {camera: rows[row] for camera, rows in data.images.items()}
    pose = Pose.of(data.tool_position[row].astype(float), data.tool_quat_xyzw[row].astype(float))
    joints, stamps = np.zeros(len(SPEC.joint_names)), dict.fromkeys(images, 0)
    return Observation(0, images, stamps, joints, joints, pose, float(data.gripper[row, 0]))
