"""What a policy's call leaves behind, as bytes: another policy goes on from it bit for bit."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from jaxtyping import Float, Float64
from safetensors import SafetensorError
from safetensors.torch import load, save
from torch import Tensor

from df_policy.errors import DfPolicyError
from df_policy.memory import Remembered
from df_policy.plan import Trace


@dataclass(frozen=True)
class Rest:
    """All that the next call depends on beside the remembered tokens."""

    calls: int
    sent: Float64[Tensor, "n 10"]
    """The newest actions."""
    generator: Tensor
    """State of all randomness."""
    foreseen: Mapping[int, Float[Tensor, "1 d"]]
    """Number of a memory -> the next token that it expects."""
    unfinished: Mapping[int, Float[Tensor, "n t d"]]
    """Number of a memory -> what its plans left partly denoised."""


def pack(token: Remembered, rest: Rest) -> Trace:
    """Both as bytes."""
    values = {"calls": torch.tensor(rest.calls), "sent": rest.sent, "generator": rest.generator}
    values |= {f"foreseen.{number}": x.contiguous() for number, x in rest.foreseen.items()}
    values |= {f"left.{number}": x.contiguous() for number, x in rest.unfinished.items()}
    read = {"x": token.x.contiguous(), "level": token.level.contiguous()}
    return Trace(save(read), save(values))


def unpack(
    tokens: Sequence[bytes], rest: bytes, device: torch.device
) -> tuple[list[Remembered], Rest]:
    """What was packed.

    Raises:
        DfPolicyError: if it was not, or is damaged.
    """
    try:
        parts = [load(token) for token in tokens]
        remembered = [Remembered(p["x"].to(device), p["level"].to(device)) for p in parts]
        values = load(rest)
        foreseen, left = (
            {
                int(name.removeprefix(kind)): x.to(device)
                for name, x in values.items()
                if name.startswith(kind)
            }
            for kind in ("foreseen.", "left.")
        )
        calls = int(values["calls"])
        found = Rest(calls, values["sent"], values["generator"], foreseen, left)
    except (SafetensorError, KeyError, ValueError) as error:
        raise DfPolicyError(
            f"expected what a policy remembered, got something else: {error}; start it anew"
        ) from error
    return remembered, found
