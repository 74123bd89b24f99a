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

    parts: Tensor
    """Which part of a token each number belongs to; the memory is told a level for each part."""

    @property
    def causal(self) -> bool:
        """Whether a token's memory knows nothing of the token itself."""
        ...

    def scan(
        self, x: Float[Tensor, "b t d"], level: Int[Tensor, "b t *p"]
    ) -> Float[Tensor, "b t r"]:
        """For each token of a sequence what `predict` reads of the memory."""
        ...

    def predict(
        self,
        z: Float[Tensor, "*b r"],
        x: Float[Tensor, "*b d"],
        level: Int[Tensor, "*b"],
        given: Bool[Tensor, "*b d"] | None = None,
    ) -> Float[Tensor, "*b d"]:
        """v of a noised token, of which some numbers may be given as they are."""
        ...


def draw_levels(
    batch: int, tokens: int, config: DiffusionConfig, generator: torch.Generator
) -> tuple[Int[Tensor, "b t"], Int[Tensor, "b t"]]:
    """The level that each token is denoised from, and the level that the memory reads it at.

    The first are independent per token and sample. The memory reads clean tokens up to a random
    place and noised ones after it, since that is what it meets at run time: what was observed is
    clean, what is being planned is not. In some sequences the first tokens are pure noise instead:
    a past that is not to be looked at. With a shared level, one draw is all there is.
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
    history = level.masked_fill(clean, 0)
    if config.forget > 0.0:
        some = torch.rand(batch, generator=generator, device=device) < config.forget
        until = torch.randint(1, tokens, (batch,), generator=generator, device=device) * some
        forgotten = torch.arange(tokens, device=device) < until[:, None]
        history = history.masked_fill(forgotten, config.levels)
    return level, history


def draw_doubt(
    history: Int[Tensor, "b t"], parts: int, config: DiffusionConfig, generator: torch.Generator
) -> Int[Tensor, "b t p"]:
    """The levels at which the memory reads each part of each token.

    Part 0 is read as the token is. Of the others, each may be noised for one stretch: half of the
    time to pure noise, as if it were not there, else to one level.
    """
    device = generator.device
    batch, tokens = history.shape
    shape = (batch, 1, parts)

    def draw(below: int) -> Int[Tensor, "b 1 p"]:
        return torch.randint(below, shape, generator=generator, device=device)

    def happens(share: float) -> Bool[Tensor, "b 1 p"]:
        return torch.rand(shape, generator=generator, device=device) < share

    begin, length = draw(tokens), 1 + draw(tokens)
    level = torch.where(happens(0.5), config.levels, 1 + draw(config.levels))
    place = torch.arange(tokens, device=device)[None, :, None]
    doubted = (place >= begin) & (place < begin + length) & happens(config.doubt)
    doubted[..., 0] = False
    whole = history.unsqueeze(-1)
    return torch.where(doubted, torch.maximum(whole, level), whole)


def draw_given(
    batch: int,
    tokens: int,
    prefixes: Bool[Tensor, "c d"],
    config: DiffusionConfig,
    generator: torch.Generator,
) -> Bool[Tensor, "b t d"]:
    """Which numbers of each token are known: in most none, else one of the prefixes, all alike.

    Source: Black et al. 2025, real-time chunking (arXiv:2506.07339), where what is carried out
    while a plan is made is kept in it by guidance; here it is learnt.
    """
    device, shape = generator.device, (batch, tokens)
    which = torch.randint(len(prefixes), shape, generator=generator, device=device)
    some = torch.rand(shape, generator=generator, device=device) < config.commit
    return prefixes[which] & some.unsqueeze(-1)


def sequence_loss(
    denoiser: SequenceDenoiser,
    schedule: NoiseSchedule,
    x: Float[Tensor, "b t d"],
    real: Bool[Tensor, "b t"],
    weight: Float[Tensor, "d"],
    config: DiffusionConfig,
    generator: torch.Generator,
    prefixes: Bool[Tensor, "c d"] | None = None,
    free: Float[Tensor, "b t d"] | None = None,
) -> Float[Tensor, ""]:
    """Weighted squared error of v, over real tokens.

    Args:
        denoiser: the network.
        schedule: the forward process.
        x: normalised tokens, as the memory reads them.
        real: False where a sequence ran past its episode.
        weight: of each number in a token; sums to the weight of a token.
        config: how levels are drawn.
        generator: all randomness.
        prefixes: parts of a token that may be known when it is planned, as masks.
        free: what is to be predicted in place of each token of `x`, where that was imposed.

    Source: Chen et al. 2024 (arXiv:2407.01392), algorithm 1, with v as the target.
    """
    batch, tokens, _ = x.shape
    free = x if free is None else free
    level, history = draw_levels(batch, tokens, config, generator)
    noise = torch.randn(x.shape, generator=generator, device=x.device)
    jitter = torch.randn(x.shape, generator=generator, device=x.device)
    given = None
    if prefixes is not None and config.commit > 0.0:
        given = draw_given(batch, tokens, prefixes, config, generator)
    noised = schedule.add(free, noise, level)
    clean = (history == 0).unsqueeze(-1)
    read = schedule.add(x, noise, history)
    if given is not None:
        noised, read = torch.where(given, free, noised), torch.where(given, x, read)
    seen = torch.where(clean, x + config.history_noise * jitter, read)
    if config.doubt > 0.0:
        whole, parts = history.unsqueeze(-1), denoiser.parts
        history = draw_doubt(history, int(parts.max()) + 1, config, generator)
        doubted = (history != whole)[..., parts]
        seen = torch.where(doubted, schedule.add_each(x, jitter, history[..., parts]), seen)
    z = denoiser.scan(seen, history)
    v = denoiser.predict(z, noised, level, given)
    wrong = v.float() - schedule.velocity(free, noise, level)
    if given is not None:
        wrong = wrong.masked_fill(given, 0.0)
    error = (wrong**2 * weight).sum(-1)
    counted = real
    if not denoiser.causal:
        # A memory that has seen the clean token itself, or another one, has nothing to predict.
        counted = real & ~clean.squeeze(-1) & (free == x).all(-1)
    return (error * counted).sum() / counted.sum().clamp_min(1)
