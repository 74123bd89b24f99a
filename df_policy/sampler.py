"""Walks a scheduling matrix: from pure noise to a plan."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
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
        self, z: Float[Tensor, "*b r"], x: Float[Tensor, "*b d"], level: Int[Tensor, "*b"]
    ) -> Float[Tensor, "*b d"]:
        """v of noised tokens."""
        ...


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


def sample(
    denoiser: StepDenoiser,
    schedule: NoiseSchedule,
    z: Float[Tensor, "b m"] | Recall,
    matrix: Matrix,
    width: int,
    generator: torch.Generator,
    eta: float = 0.0,
) -> Float[Tensor, "b h d"]:
    """Tokens that follow the memory `z`.

    In each row the memory is carried through the tokens as they are, at their levels, and then all
    tokens that move in this row are denoised in one call: the weights are read once a row, not
    once a token. A token whose level does not change in a row is left as it is.

    Args:
        denoiser: the network.
        schedule: the forward process.
        z: memory of all that is known; or how to make it for the level that a plan is at, where
            the past must be as noisy as the plan.
        matrix: levels, rows x tokens; see `schedule`.
        width: d, numbers in a token.
        generator: all randomness.
        eta: DDIM's share of fresh noise.

    Source: Chen et al. 2024 (arXiv:2407.01392), algorithm 2. There a token sees the row's new
    values of the tokens before it; here it sees those that the row began with, as an
    attention network would.
    """
    known = z if isinstance(z, Tensor) else z(int(matrix[0, 0]))
    batch, device = len(known), known.device
    shape = (batch, matrix.shape[1], width)
    tokens = torch.randn(shape, generator=generator, device=device)
    levels = torch.from_numpy(matrix).to(device)
    for row in range(1, len(matrix)):
        moving = np.flatnonzero(matrix[row] != matrix[row - 1])
        if len(moving) == 0:
            continue
        if not isinstance(z, Tensor) and row > 1:
            known = z(int(matrix[row - 1, 0]))
        # A causal network need not look at what lies behind the last token that moves.
        end = moving[-1] + 1 if denoiser.causal else matrix.shape[1]
        level = levels[row - 1, :end].expand(batch, -1)
        here = torch.from_numpy(moving).to(device)
        before = denoiser.ahead(known, tokens[:, :end], level)[:, here]
        level, to = (levels[r, here].expand(batch, -1) for r in (row - 1, row))
        x = tokens[:, here]
        v = denoiser.predict(before, x, level)
        tokens[:, here] = schedule.step(x, v, level, to, eta, generator)
    return tokens
