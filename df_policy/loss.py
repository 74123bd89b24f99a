"""The training loss of Causal Diffusion Forcing, around any network that scans and predicts."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from df_policy.config import DiffusionConfig
from df_policy.noise import NoiseSchedule


@runtime_checkable
class SequenceDenoiser(Protocol):
    """What the loss needs of a network; see `network.Denoiser`."""

    @property
    def causal(self) -> bool:
        """Whether a token's memory knows nothing of the token itself."""
        ...

    def scan(self, x: Float[Tensor, "b t d"], level: Int[Tensor, "b t"]) -> Float[Tensor, "b t r"]:
        """For each token of a sequence what `predict` reads of the memory."""
        ...

    def predict(
        self, z: Float[Tensor, "*b r"], x: Float[Tensor, "*b d"], level: Int[Tensor, "*b"]
    ) -> Float[Tensor, "*b d"]:
        """v of a noised token."""
        ...


def draw_levels(
    batch: int, tokens: int, config: DiffusionConfig, generator: torch.Generator
) -> tuple[Int[Tensor, "b t"], Int[Tensor, "b t"]]:
    """The level that each token is denoised from, and the level that the memory reads it at.

    The first are independent per token and sample. The memory reads clean tokens up to a random
    place and noised ones after it, since that is what it meets at run time: what was observed is
    clean, what is being planned is not. With a shared level, one draw is all there is.
    """
    device = generator.device
    shape = (batch, 1 if config.shared_level else tokens)
    level = torch.randint(1, config.levels + 1, shape, generator=generator, device=device)
    if config.shared_level:
        level = level.expand(-1, tokens)
        return level, level
    whole = torch.rand(batch, generator=generator, device=device) < config.clean_history
    prefix = torch.randint(0, tokens, (batch,), generator=generator, device=device)
    prefix = prefix.masked_fill(whole, tokens)
    clean = torch.arange(tokens, device=device) < prefix[:, None]
    return level, level.masked_fill(clean, 0)


def sequence_loss(
    denoiser: SequenceDenoiser,
    schedule: NoiseSchedule,
    x: Float[Tensor, "b t d"],
    real: Bool[Tensor, "b t"],
    weight: Float[Tensor, "d"],
    config: DiffusionConfig,
    generator: torch.Generator,
) -> Float[Tensor, ""]:
    """Weighted squared error of v, over real tokens.

    Args:
        denoiser: the network.
        schedule: the forward process.
        x: normalised tokens.
        real: False where a sequence ran past its episode.
        weight: of each number in a token; sums to the weight of a token.
        config: how levels are drawn.
        generator: all randomness.

    Source: Chen et al. 2024 (arXiv:2407.01392), algorithm 1, with v as the target.
    """
    batch, tokens, _ = x.shape
    level, history = draw_levels(batch, tokens, config, generator)
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    jitter = torch.randn(x.shape, generator=generator, device=x.device)
    noised = schedule.add(x, noise, level)
    clean = (history == 0).unsqueeze(-1)
    seen = torch.where(clean, x + config.history_noise * jitter, noised)
    z = denoiser.scan(seen, history)
    v = denoiser.predict(z, noised, level)
    error = ((v.float() - schedule.velocity(x, noise, level)) ** 2 * weight).sum(-1)
    # A memory that has seen the clean token itself has nothing to predict.
    counted = real if denoiser.causal else real & ~clean.squeeze(-1)
    return (error * counted).sum() / counted.sum().clamp_min(1)
