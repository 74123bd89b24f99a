"""Walks a scheduling matrix: from pure noise to a plan."""

from __future__ import annotations

from typing import Protocol, runtime_checkable

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
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b d"], level: Int[Tensor, "b"]
    ) -> Float[Tensor, "b d"]:
        """v of a noised token."""
        ...


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

    In each row the tokens are visited in order, and the memory is carried through them at their
    new levels. A token whose level does not change in a row is left as it is.

    Args:
        denoiser: the network.
        schedule: the forward process.
        z: memory of all that is known.
        matrix: levels, rows x tokens; see `schedule`.
        width: d, numbers in a token.
        generator: all randomness.
        eta: DDIM's share of fresh noise.

    Source: Chen et al. 2024 (arXiv:2407.01392), algorithm 2, with the level of the row in `f`.
    """
    batch, device = len(z), z.device
    horizon = matrix.shape[1]
    shape = (batch, horizon, width)
    plan = torch.randn(shape, generator=generator, device=device).unbind(1)
    tokens = list(plan)
    levels = torch.from_numpy(matrix).to(device)
    for row in range(1, len(matrix)):
        memory = z
        last = _last_moving(matrix, row)
        for t in range(last + 1):
            level, to = levels[row - 1, t].expand(batch), levels[row, t].expand(batch)
            if matrix[row, t] != matrix[row - 1, t]:
                v = denoiser.predict(memory, tokens[t], level)
                tokens[t] = schedule.step(tokens[t], v, level, to, eta, generator)
            if t < last:
                memory = denoiser.update(memory, tokens[t], to)
    return torch.stack(tokens, dim=1)


def _last_moving(matrix: Matrix, row: int) -> int:
    """The last token that this row denoises: later ones need no memory yet."""
    moving = (matrix[row] != matrix[row - 1]).nonzero()[0]
    return int(moving[-1]) if len(moving) else -1
