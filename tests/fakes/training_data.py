"""Small recordings and checkpoints that tests make for themselves."""

import dataclasses

import numpy as np
import torch

from df_policy.checkpoint import Checkpoint, build_denoiser
from df_policy.demonstrations import Demonstrations
from df_policy.encoder import decoders_for
from df_policy.imagination import Imagination
from df_policy.normalize import Normalizer
from df_policy.presets import PRESETS
from df_policy.robot import RobotSpec
from df_policy.tokens import ACTION_FLOOR, TokenCodec

TINY = PRESETS["tiny"]
SPEC = RobotSpec("arm", ("joint",), {"front": (16, 16), "wrist": (16, 16)})
DOWN = (1.0, 0.0, 0.0, 0.0, -1.0, 0.0)


def tiny(name):
    """The preset of that name, at the size of the one for tests."""
    full = PRESETS[name]
    sizes = ("memory_width", "embedding_width", "width", "blocks")
    network = dataclasses.replace(
        full.network, **{size: getattr(TINY.network, size) for size in sizes}
    )
    return dataclasses.replace(
        TINY, token=full.token, diffusion=full.diffusion, sampler=full.sampler, network=network
    )


def make_demonstrations(episodes=4, length=40, seed=0):
    """Episodes in which the tool circles and the images show where it is."""
    rng = np.random.default_rng(seed)
    frames = episodes * length
    phase = np.concatenate([rng.uniform(0, 6) + 0.3 * np.arange(length) for _ in range(episodes)])
    position = np.stack([0.5 + 0.1 * np.cos(phase), 0.1 * np.sin(phase), 0.2 + 0 * phase], 1)
    gripper = 0.04 + 0.04 * np.sign(np.sin(phase))[:, None]
    rotation = np.tile(DOWN, (frames, 1))
    position[:, 2] += 0.02 * np.sin(2 * phase)
    images = {}
    for camera, (height, width) in SPEC.cameras.items():
        image = rng.integers(0, 40, (frames, height, width, 3), dtype=np.uint8)
        column = ((position[:, 1] + 0.1) / 0.2 * (width - 1)).round().astype(int)
        image[np.arange(frames), :, column] = 255
        images[camera] = image
    return Demonstrations(
        spec=SPEC,
        images=images,
        tool_position=position.astype(np.float32),
        tool_quat_xyzw=np.tile(np.array([1, 0, 0, 0], np.float32), (frames, 1)),
        gripper=gripper.astype(np.float32),
        action=np.concatenate([position, rotation, gripper], 1).astype(np.float32),
        starts=np.arange(episodes) * length,
        ends=np.arange(1, episodes + 1) * length,
    )


def make_grasps(episodes=4, length=40):
    """As `make_demonstrations`, with something between the fingers whenever they close."""
    data = make_demonstrations(episodes, length)
    held = np.where(data.gripper < 0.04, np.float32(0.05), data.gripper)
    return dataclasses.replace(data, gripper=held)


def make_checkpoint(seed=0, config=TINY):
    """An untrained policy for SPEC."""
    torch.manual_seed(seed)
    data = make_demonstrations()
    latents = 2 * config.encoder.latent
    seen = np.concatenate(
        [np.random.default_rng(0).normal(size=(160, latents)), data.proprioception()], 1
    )
    floor = np.concatenate([np.full(latents, 1e-6), ACTION_FLOOR])
    action = Normalizer.fit(data.action, np.array(ACTION_FLOOR))
    codec = TokenCodec(SPEC, config, Normalizer.fit(seen, floor), action)
    denoiser = build_denoiser(codec, config)
    imagination = Imagination(decoders_for(SPEC.cameras, config.encoder))
    return Checkpoint(config, SPEC, codec, denoiser, {"data": "made up"}, imagination)
