"""Affine statistics of each number, fitted to the data and stored with the weights."""

from __future__ import annotations

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor, nn


class Normalizer(nn.Module):
    """Standardises the columns that vary and drops those that do not.

    A column that never moves in the recordings (a wrist that is never turned) carries nothing to
    learn, and its tiny deviation would turn sensor noise into signal. It is left out of the tokens
    and comes back as its constant.
    """

    def __init__(
        self, mean: Float[Tensor, "w"], scale: Float[Tensor, "w"], varies: Float[Tensor, "w"]
    ) -> None:
        """Statistics of w columns; `varies` is 1 for the columns kept, else 0."""
        super().__init__()
        self.register_buffer("mean", mean)
        self.register_buffer("scale", scale)
        self.register_buffer("varies", varies)
        self.mean: Tensor
        self.scale: Tensor
        self.varies: Tensor
        self.register_buffer("columns", varies.nonzero().squeeze(-1), persistent=False)
        self.columns: Tensor
        self.width = int(varies.sum())
        """Columns kept."""

    @classmethod
    def fit(cls, values: Float[np.ndarray, "n w"], floor: Float[np.ndarray, "w"]) -> Normalizer:
        """Statistics of `values`; a column varies if its deviation exceeds its `floor`."""
        deviation = values.std(axis=0, dtype=np.float64)
        mean = torch.from_numpy(values.mean(axis=0, dtype=np.float64)).float()
        scale = torch.from_numpy(np.maximum(deviation, 1e-12)).float()
        return cls(mean, scale, torch.from_numpy(deviation > floor).float())

    def forward(self, values: Float[Tensor, "*b w"]) -> Float[Tensor, "*b kept"]:
        """The varying columns, standardised."""
        return ((values - self.mean) / self.scale)[..., self.columns]

    def inverse(self, kept: Float[Tensor, "*b kept"]) -> Float[Tensor, "*b w"]:
        """All columns in their own units; the dropped ones at their constants."""
        values = self.mean.expand(*kept.shape[:-1], -1).clone()
        values[..., self.columns] += kept * self.scale[self.columns]
        return values
