"""How good a policy is at recorded episodes that it has not trained on, without playing any."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor

from df_policy.config import SamplerConfig
from df_policy.network import Denoiser
from df_policy.noise import NoiseSchedule
from df_policy.sampler import remember, sample
from df_policy.schedule import full_sequence
from df_policy.tokens import TokenCodec


@torch.no_grad()
def held_out_error(
    denoiser: Denoiser,
    schedule: NoiseSchedule,
    codec: TokenCodec,
    x: Float[Tensor, "b t d"],
    real: Bool[Tensor, "b t"],
    sampler: SamplerConfig,
) -> dict[str, float]:
    """How far the actions sampled for each token are from the recorded ones.

    Each is sampled from the tokens before it, read as the policy would read them.

    Args:
        denoiser: the network.
        schedule: the forward process.
        codec: what made the tokens.
        x: tokens of whole episodes.
        real: False where they ran past their end.
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
    drawn = sample(denoiser, schedule, memory, steps, width, generator, sampler.eta)
    told = drawn[:, 0]
    got = codec.decode_actions(told.reshape(batch, tokens, width))[:, 1:][real[:, 1:]]
    want = codec.decode_actions(x)[:, 1:][real[:, 1:]]
    return {
        "position_error_mm": 1e3 * float((got - want)[..., :3].norm(dim=-1).mean()),
        "gripper_error_mm": 1e3 * float((got - want)[..., 9].abs().mean()),
    }
