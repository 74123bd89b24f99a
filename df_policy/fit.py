"""One optimisation that can be stopped at any step and resumed exactly."""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import Generic, TypeVar

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor, nn

from df_policy.errors import DfPolicyError
from df_policy.files import write_atomically
from df_policy.fit_config import FitConfig
from df_policy.sharing import ALONE, Share

Losses = dict[str, Tensor]
"""The losses of one batch; the one called `loss` is minimised."""
M = TypeVar("M", bound=nn.Module)


@dataclass
class Fit(Generic[M]):
    """AdamW with warm-up, cosine decay, clipping and averaged weights, around any module."""

    module: M
    loss: Callable[[M, torch.Generator], Losses]
    config: FitConfig
    generator: torch.Generator
    precision: str
    """`fp32` or `bf16`."""
    share: Share = ALONE
    """This process among those that train together."""

    def __post_init__(self) -> None:
        """Set up the optimiser; nothing is drawn yet."""
        config = self.config
        self.step = 0
        self._optimizer = torch.optim.AdamW(
            self.module.parameters(),
            lr=config.learning_rate,
            betas=(0.9, 0.99),
            weight_decay=config.weight_decay,
            fused=True,
        )
        self._parameters = dict(self.module.named_parameters())
        self._average = {name: p.detach().clone() for name, p in self._parameters.items()}

    def learning_rate(self) -> float:
        """The rate of the next step."""
        config = self.config
        if self.step < config.warmup:
            return config.learning_rate * (self.step + 1) / config.warmup
        done = (self.step - config.warmup) / max(1, config.steps - config.warmup)
        return config.learning_rate * 0.5 * (1.0 + math.cos(math.pi * min(1.0, done)))

    def advance(self) -> dict[str, float]:
        """One step: the losses of its batch, the gradient's length and the rate.

        Raises:
            DfPolicyError: if the loss is not finite.
        """
        rate = self.learning_rate()
        for group in self._optimizer.param_groups:
            group["lr"] = rate
        device = self.generator.device.type
        bf16 = torch.autocast(device, torch.bfloat16, enabled=self.precision == "bf16")
        with bf16, self.share.over(self.module):
            losses = self.loss(self.module, self.generator)
        if not bool(torch.isfinite(losses["loss"])):
            raise DfPolicyError(
                f"expected a finite loss, got {losses['loss'].item()} at step {self.step}; resume "
                "from the last saved state with a lower learning rate, or in fp32"
            )
        self._optimizer.zero_grad(set_to_none=True)
        losses["loss"].backward()  # type: ignore[no-untyped-call]
        self.share.add_gradients(self.module)
        length = nn.utils.clip_grad_norm_(self.module.parameters(), self.config.clip)
        self._optimizer.step()
        self.step += 1
        keep = min(self.config.ema, (1 + self.step) / (10 + self.step))
        current = [p.detach() for p in self._parameters.values()]
        torch._foreach_lerp_(list(self._average.values()), current, 1.0 - keep)
        values = {name: float(value.detach()) for name, value in losses.items()}
        return {**values, "gradient": float(length), "learning_rate": rate}

    def averaged(self) -> M:
        """A copy of the module with the averaged weights."""
        copy = deepcopy(self.module)
        copy.load_state_dict(self._average, strict=False)
        copy.eval()
        return copy

    def save(self, path: Path) -> None:
        """Write all that a resumed run needs, atomically."""
        tensors = {f"weight/{name}": p.detach() for name, p in self._parameters.items()}
        tensors |= {f"average/{name}": value for name, value in self._average.items()}
        for name, parameter in self._parameters.items():
            for key, value in self._optimizer.state[parameter].items():
                tensors[f"optimizer/{key}/{name}"] = value
        tensors["generator"] = self.generator.get_state()
        about = {"fit": json.dumps({"step": self.step, "precision": self.precision})}
        contiguous = {name: value.contiguous().clone() for name, value in tensors.items()}
        write_atomically(path, lambda partial: save_file(contiguous, partial, metadata=about))

    def load(self, path: Path) -> None:
        """Continue exactly where `save` was called.

        Raises:
            DfPolicyError: if the file is damaged or of another network.
        """
        try:
            self._load(path)
        except (OSError, KeyError, RuntimeError, ValueError, SafetensorError) as error:
            raise DfPolicyError(
                f"{path} cannot be resumed ({str(error).splitlines()[0]}): "
                "delete it to train this stage anew"
            ) from error

    def _load(self, path: Path) -> None:
        with safe_open(path, "pt", device=str(self.generator.device)) as state:
            about = json.loads(state.metadata()["fit"])
            for name, parameter in self._parameters.items():
                parameter.data.copy_(state.get_tensor(f"weight/{name}"))
                self._average[name] = state.get_tensor(f"average/{name}")
            for key in state.keys():  # noqa: SIM118  # a file, not a dictionary
                if key.startswith("optimizer/"):
                    _, entry, name = key.split("/", 2)
                    of = self._optimizer.state[self._parameters[name]]
                    of[entry] = state.get_tensor(key)
            self.generator.set_state(state.get_tensor("generator").cpu())
        self.step, self.precision = int(about["step"]), str(about["precision"])
