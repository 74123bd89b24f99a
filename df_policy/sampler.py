"""Walks a scheduling matrix: from pure noise to a plan."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol, runtime_checkable

import numpy as np
import torch
from jaxtyping import Float, Int
from torch import Tensor

from df_policy.noise import NoiseSchedule
from df_policy.schedule import Matrix


@runtime_checkable
class StepDenoiser(Protocol):
    """What sampling needs of a network; see `network.RecurrentDenoiser`."""

    def update(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b d"], level: Int[Tensor, "b"]
    ) -> Float[Tensor, "b m"]:
        """The memory after a token."""
        ...

    def predict(
        self, z: Float[Tensor, "*b m"], x: Float[Tensor, "*b d"], level: Int[Tensor, "*b"]
    ) -> Float[Tensor, "*b d"]:
        """v of noised tokens."""
        ...


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

    def update(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b d"], level: Int[Tensor, "b"]
    ) -> Float[Tensor, "b m"]:
        """Each memory after the token."""
        count = len(self._weights)
        each = z.reshape(count * len(z), -1)
        after = self._denoiser.update(
            each, x.repeat_interleave(count, 0), level.repeat_interleave(count, 0)
        )
        return after.reshape(len(z), -1)

    def predict(
        self, z: Float[Tensor, "*b m"], x: Float[Tensor, "*b d"], level: Int[Tensor, "*b"]
    ) -> Float[Tensor, "*b d"]:
        """The weighted sum of v given each memory."""
        count = len(self._weights)
        each = z.reshape(*z.shape[:-1], count, -1)
        others = x.unsqueeze(-2).expand(*x.shape[:-1], count, -1)
        v = self._denoiser.predict(each, others, level.unsqueeze(-1).expand(*level.shape, count))
        weights = torch.tensor(self._weights, device=v.device, dtype=v.dtype)
        return (weights.unsqueeze(-1) * v).sum(-2)


def sample(
    denoiser: StepDenoiser,
    schedule: NoiseSchedule,
    z: Float[Tensor, "b m"],
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
        z: memory of all that is known.
        matrix: levels, rows x tokens; see `schedule`.
        width: d, numbers in a token.
        generator: all randomness.
        eta: DDIM's share of fresh noise.

    Source: Chen et al. 2024 (arXiv:2407.01392), algorithm 2. There a token sees the row's new
    values of the tokens before it; here it sees those that the row began with, as an
    attention network would.
    """
    batch, device = len(z), z.device
    shape = (batch, matrix.shape[1], width)
    tokens = torch.randn(shape, generator=generator, device=device)
    levels = torch.from_numpy(matrix).to(device)
    for row in range(1, len(matrix)):
        moving = np.flatnonzero(matrix[row] != matrix[row - 1])
        if len(moving) == 0:
            continue
        memories = [z]
        for t in range(moving[-1]):
            level = levels[row - 1, t].expand(batch)
            memories.append(denoiser.update(memories[-1], tokens[:, t], level))
        before = torch.stack([memories[t] for t in moving], dim=1)
        here = torch.from_numpy(moving).to(device)
        level, to = (levels[r, here].expand(batch, -1) for r in (row - 1, row))
        x = tokens[:, here]
        v = denoiser.predict(before, x, level)
        tokens[:, here] = schedule.step(x, v, level, to, eta, generator)
    return tokens
