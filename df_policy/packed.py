"""Weights laid out once as the processor's matrix units read them: the same numbers, sooner.

A layer of PyTorch lays its weights out anew at each call, which for a few rows costs as much as
the arithmetic. `torch.compile` with frozen weights does the same, but asks for a C++ compiler on
the robot and half a minute at each start.
"""

from __future__ import annotations

from typing import Any

import torch
from jaxtyping import Float
from torch import Tensor, nn


class PackedLinear(nn.Module):
    """A linear layer for inference in bfloat16 on a CPU."""

    def __init__(self, layer: nn.Linear, rows: int) -> None:
        """The layer, for inputs of about so many rows."""
        super().__init__()
        self._weight = _operators()._reorder_linear_weight(layer.weight.detach(), rows)
        self._bias = None if layer.bias is None else layer.bias.detach()

    def forward(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b e"]:
        """The layer's output."""
        y: Tensor = _operators()._linear_pointwise(x, self._weight, self._bias, "none", [], "")
        return y


def packed(part: nn.Module, rows: int) -> nn.Module:
    """The same network with its linear layers packed, where this machine can; for running only.

    Args:
        part: whose layers are replaced.
        rows: of the inputs, about.
    """
    if isinstance(part, nn.Linear):
        weight = part.weight
        if weight.device.type == "cpu" and weight.dtype == torch.bfloat16 and _available():
            return PackedLinear(part, rows)
        return part
    for name, child in part.named_children():
        setattr(part, name, packed(child, rows))
    return part


def _available() -> bool:
    there: bool = torch.backends.mkldnn.is_available()  # type: ignore[no-untyped-call]
    return there and hasattr(_operators(), "_linear_pointwise")


def _operators() -> Any:
    """oneDNN's operators: what PyTorch's own compiler calls, and keeps no promise about."""
    return torch.ops.mkldnn
