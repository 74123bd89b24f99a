"""Where torch computes, and in which precision that is fast."""

from __future__ import annotations

import torch

from df_policy.errors import DfPolicyError


def pick(name: str) -> torch.device:
    """The device called `name`; `auto` is the GPU where there is one.

    Raises:
        DfPolicyError: if there is no such device here.
    """
    if name == "auto":
        name = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        device = torch.device(name)
        torch.empty(0, device=device)
    except (RuntimeError, AssertionError) as error:
        raise DfPolicyError(
            f"expected a device that torch has here (cpu, cuda or auto), got {name!r}: "
            f"{str(error).splitlines()[0]}"
        ) from error
    return device


def has_bfloat16(device: torch.device) -> bool:
    """Whether the device has instructions for bfloat16; without them it is slower than float32."""
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    able = torch.cpu.get_capabilities()
    return bool(able.get("avx512_bf16") or able.get("amx_bf16"))
