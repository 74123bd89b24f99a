"""How good a policy is at recorded episodes that it has not trained on, without playing any."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from df_policy.config import SamplerConfig
from df_policy.demonstrations import Demonstrations
from df_policy.imagination import Imagination
from df_policy.network import Denoiser
from df_policy.noise import NoiseSchedule
from df_policy.sampler import remember, sample
from df_policy.schedule import full_sequence
from df_policy.tokens import TokenCodec


@torch.no_grad()
def foretold(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    x: Float[Tensor, "b t d"],
    sampler: SamplerConfig,
) -> Float[Tensor, "b t d"]:
    """Each token as sampled from those before it, read as the policy would read them.

    Args:
        denoiser: the network.
        schedule: the forward process.
        x: tokens of whole episodes.
        sampler: denoising steps, and how the past is read.
    """
    batch, tokens, width = x.shape
    generator = torch.Generator(x.device).manual_seed(0)
    noise = torch.randn(x.shape, generator=generator, device=x.device)

    def recall(level: int) -> Tensor:
        levels = torch.full((batch, tokens), level, device=x.device)
        return remember(denoiser, schedule.add(x, noise, levels), levels)[0].flatten(0, 1)

    # Later tokens matter to the first only where it sees them.
    horizon = 1 if denoiser.causal else sampler.horizon
    steps = full_sequence(horizon, sampler.steps, schedule.levels)
    memory = recall(0) if sampler.past == "clean" else recall
    told = sample(denoiser, schedule, memory, steps, width, generator, sampler.eta)
    return told[:, 0].reshape(batch, tokens, width)


def held_out_error(
    codec: TokenCodec,
    x: Float[Tensor, "b t d"],
    real: Bool[Tensor, "b t"],
    told: Float[Tensor, "b t d"],
) -> dict[str, float]:
    """How far the actions of `told` are from those of `x`."""
    got = codec.decode_actions(told)[:, 1:][real[:, 1:]]
    want = codec.decode_actions(x)[:, 1:][real[:, 1:]]
    return {
        "position_error_mm": 1e3 * float((got - want)[..., :3].norm(dim=-1).mean()),
        "gripper_error_mm": 1e3 * float((got - want)[..., 9].abs().mean()),
    }


def uncertainty(
    codec: TokenCodec,
    x: Float[Tensor, "b t d"],
    real: Bool[Tensor, "b t"],
    told: Float[Tensor, "b t d"],
) -> dict[str, float]:
    """For each camera how far latents of `told` are from those of `x`, root mean square."""
    parts = {name: codec.camera(name) for name in codec.cameras}
    off = {name: x[..., part] - told[..., part] for name, part in parts.items()}
    return {name: float(o[:, 1:][real[:, 1:]].square().mean().sqrt()) for name, o in off.items()}


@torch.no_grad()
def usual_unexplained(
    codec: TokenCodec, imagination: Imagination, held_out: Demonstrations
) -> dict[str, float]:
    """For each camera how much of an image is unexplained at most, but for one in a thousand."""
    device = codec.observation.mean.device
    strange: dict[str, list[Tensor]] = {name: [] for name in codec.cameras}
    for number in range(len(held_out.ends)):
        rows = held_out.episode(number)
        images = {
            name: torch.from_numpy(held_out.images[name][rows]).to(device)
            for name in codec.cameras
        }
        for name, some in imagination.unexplained(images, codec.by_camera(images)).items():
            strange[name].append(some)
    return {name: float(torch.cat(some).quantile(0.999)) for name, some in strange.items()}
