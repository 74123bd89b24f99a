"""Walks a scheduling matrix: from pure noise to a plan."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor

from df_policy.noise import NoiseSchedule
from df_policy.schedule import Matrix


@runtime_checkable
class StepDenoiser(Protocol):
    """What sampling needs of a network; see `network.Denoiser`."""

    def initial(self, batch: int) -> Float[Tensor, "b m"]:
        """The memory before the first token."""
        ...

    def update(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b d"], level: Int[Tensor, "b"]
    ) -> Float[Tensor, "b m"]:
        """The memory after a token."""
        ...

    @property
    def causal(self) -> bool:
        """Whether a token is denoised from the tokens before it alone."""
        ...

    def ahead(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b h d"], level: Int[Tensor, "b h"]
    ) -> Float[Tensor, "b h r"]:
        """What `predict` reads for each token of a plan that follows the memory `z`."""
        ...

    def predict(
        self,
        z: Float[Tensor, "*b r"],
        x: Float[Tensor, "*b d"],
        level: Int[Tensor, "*b"],
        given: Bool[Tensor, "*b d"] | None = None,
    ) -> Float[Tensor, "*b d"]:
        """v of noised tokens, of which some numbers may be given as they are."""
        ...


@dataclass(frozen=True)
class Given:
    """What is known of the tokens of a plan."""

    x: Float[Tensor, "h d"]
    known: Bool[Tensor, "h d"]
    """Which numbers of `x` say something."""


Bend = Callable[[Tensor], Tensor]
"""Changes the tokens (b, h, d) that a denoising step foresees, for instance down a cost's
gradient."""
Recall = Callable[[int], Tensor]
"""The memory (b, m) as a plan reads it that is at this level."""


def remember(
    denoiser: StepDenoiser, x: Float[Tensor, "b t d"], level: Int[Tensor, "b t"]
) -> tuple[Float[Tensor, "b t m"], Float[Tensor, "b m"]]:
    """The memory before each token of a sequence, and the one after all of them."""
    z, before = denoiser.initial(len(x)), []
    for t in range(x.shape[1]):
        before.append(z)
        z = denoiser.update(z, x[:, t], level[:, t])
    return torch.stack(before, dim=1), z


class Composed:
    """One denoiser told several memories of the same past: its predictions are summed by weight.

    The memories lie side by side in one flat vector, so that whoever samples need not know.

    Source: history guidance, Song et al. 2025 (arXiv:2502.06764), section 4, without the
    unconditional term.
    """

    def __init__(self, denoiser: StepDenoiser, weights: Sequence[float]) -> None:
        """Memories with these weights.

        Args:
            denoiser: the network.
            weights: one for each memory.
        """
        self._denoiser = denoiser
        self._weights = tuple(weights)
        self.causal = denoiser.causal

    def initial(self, batch: int) -> Float[Tensor, "b m"]:
        """All of them before the first token."""
        return self._denoiser.initial(batch).repeat(1, len(self._weights))

    def update(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b d"], level: Int[Tensor, "b"]
    ) -> Float[Tensor, "b m"]:
        """Each after a token."""
        count = len(self._weights)
        each = z.reshape(count * len(z), -1)
        tokens = x.repeat_interleave(count, 0), level.repeat_interleave(count, 0)
        return self._denoiser.update(each, *tokens).reshape(len(z), -1)

    def ahead(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b h d"], level: Int[Tensor, "b h"]
    ) -> Float[Tensor, "b h r"]:
        """What `predict` reads of each, side by side."""
        count = len(self._weights)
        each = z.reshape(count * len(z), -1)
        tokens = x.repeat_interleave(count, 0), level.repeat_interleave(count, 0)
        read = self._denoiser.ahead(each, *tokens)
        return read.reshape(len(z), count, *read.shape[1:]).transpose(1, 2).flatten(2)

    def predict(
        self,
        z: Float[Tensor, "*b r"],
        x: Float[Tensor, "*b d"],
        level: Int[Tensor, "*b"],
        given: Bool[Tensor, "*b d"] | None = None,
    ) -> Float[Tensor, "*b d"]:
        """The weighted sum of v given each memory."""
        count = len(self._weights)
        each = z.reshape(*z.shape[:-1], count, -1)
        wide = (*x.shape[:-1], count, -1)
        others, levels = x.unsqueeze(-2).expand(wide), level.unsqueeze(-1).expand(wide[:-1])
        known = None if given is None else given.unsqueeze(-2).expand(wide)
        v = self._denoiser.predict(each, others, levels, known)
        weights = torch.tensor(self._weights, device=v.device, dtype=v.dtype)
        return (weights.unsqueeze(-1) * v).sum(-2)


def sample(
    denoiser: StepDenoiser,
    schedule: NoiseSchedule,
    z: Float[Tensor, "b m"] | Recall,
    matrix: Matrix,
    width: int,
    generator: torch.Generator,
    eta: float = 0.0,
    given: Given | None = None,
    begin: Float[Tensor, "b h d"] | None = None,
    bend: Bend | None = None,
) -> Float[Tensor, "b h d"]:
    """Tokens that follow the memory `z`.

    In each row the memory is carried through the tokens as they are, and then all tokens whose
    level changes in this row are denoised in one call: the weights are read once a row.

    Args:
        denoiser: the network.
        schedule: the forward process.
        z: memory of all that is known, or how to make it where it is as noisy as the plan.
        matrix: levels, rows x tokens; see `schedule`.
        width: d, numbers in a token.
        generator: all randomness.
        eta: DDIM's share of fresh noise.
        given: what of the tokens is known already.
        begin: the tokens, at the levels of the first row; pure noise if that is left out.
        bend: a preference among plans; see `guidance`.

    Source: Chen et al. 2024 (arXiv:2407.01392), algorithm 2. There a token sees the row's new
    values of those before it; here those that the row began with, as with attention.
    """
    memory = z if isinstance(z, Tensor) else z(int(matrix[0, 0]))
    batch, device = len(memory), memory.device
    noise = partial(torch.randn, generator=generator, device=device)
    tokens = noise(batch, matrix.shape[1], width) if begin is None else begin.clone()
    levels = torch.from_numpy(matrix).to(device)
    if given is not None:
        tokens = torch.where(given.known, given.x, tokens)
    for row in range(1, len(matrix)):
        moving = np.flatnonzero(matrix[row] != matrix[row - 1])
        if len(moving) == 0:
            continue
        if not isinstance(z, Tensor) and row > 1:
            memory = z(int(matrix[row - 1, 0]))
        # A causal network need not look at what lies behind the last token that moves.
        end = moving[-1] + 1 if denoiser.causal else matrix.shape[1]
        level = levels[row - 1, :end].expand(batch, -1)
        here = torch.from_numpy(moving).to(device)
        before = denoiser.ahead(memory, tokens[:, :end], level)[:, here]
        level, to = (levels[r, here].expand(batch, -1) for r in (row - 1, row))
        x = tokens[:, here]
        known = None if given is None else given.known[here].expand(x.shape)
        v = denoiser.predict(before, x, level, known)
        if bend is not None:
            foreseen = tokens.index_copy(1, here, schedule.split(x, v, level)[0])
            v = schedule.towards(x, bend(foreseen)[:, here], level)
        stepped = schedule.step(x, v, level, to, eta, generator)
        tokens[:, here] = stepped if known is None else torch.where(known, x, stepped)
    return tokens
