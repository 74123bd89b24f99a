"""One training on several processes: each computes some rows of every batch.

All processes draw the same batches and the same noise from the same generator, so the run is that
of one process but for the order in which floats are summed. Each network is asked about some rows
alone; what the others found is filled in as numbers, without a gradient. The loss is thus that of
the whole batch everywhere, and the gradients of all processes add up to its gradient.

`torchrun --nproc-per-node 2 -m df_policy train ...` tells each process of the others.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, TypeVar

import torch
from torch import Tensor, distributed, nn

from df_policy.device import pick
from df_policy.encoder import EncoderTask
from df_policy.errors import DfPolicyError
from df_policy.network import Denoiser

T = TypeVar("T")
_PATIENCE = timedelta(hours=2)
"""How long the others wait for the first one, which decodes recordings and tests checkpoints."""
_SHARED_CALLS = ("scan", "predict")
"""Of a denoiser: what costs time, and treats each row alone."""


@dataclass(frozen=True)
class Share:
    """This process among those that train together."""

    rank: int = 0
    world: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes and speaks."""
        return self.rank == 0

    def rows(self, batch: int) -> slice:
        """Which rows of a batch are this process'.

        Raises:
            DfPolicyError: if there are fewer rows than processes.
        """
        if batch < self.world:
            raise DfPolicyError(
                f"expected batches of at least {self.world} for as many processes, got {batch}; "
                "start fewer processes or raise the batch"
            )
        return slice(batch * self.rank // self.world, batch * (self.rank + 1) // self.world)

    @contextmanager
    def over(self, module: nn.Module) -> Iterator[None]:
        """Within, the module computes this process' rows; those of the others are filled in."""
        if self.world == 1:
            yield
        elif isinstance(module, Denoiser):
            for name in _SHARED_CALLS:
                setattr(module, name, self._shared(getattr(module, name)))
            try:
                yield
            finally:
                for name in _SHARED_CALLS:
                    delattr(module, name)
        elif isinstance(module, EncoderTask):
            nets = [*module.encoders.values(), *module.decoders.values(), module.imitate]
            nets += [module.locate] if module.locate is not None else []
            hooks = [hook for net in nets for hook in self._hooks(net)]
            try:
                yield
            finally:
                for hook in hooks:
                    hook.remove()
        else:
            yield

    def add_gradients(self, module: nn.Module) -> None:
        """Let every process have the gradient of the whole batch."""
        if self.world == 1:
            return
        gradients = [p.grad for p in module.parameters() if p.grad is not None]
        flat = torch.cat([gradient.reshape(-1) for gradient in gradients])
        distributed.all_reduce(flat)
        if not isinstance(module, (Denoiser, EncoderTask)):
            flat /= self.world  # each has computed all of it
        sizes = [gradient.numel() for gradient in gradients]
        for gradient, whole in zip(gradients, torch.split(flat, sizes), strict=True):
            gradient.copy_(whole.view_as(gradient))

    def any(self, here: bool, device: torch.device) -> bool:
        """Whether it is so in any process; all must ask."""
        if self.world == 1:
            return here
        flag = torch.tensor([float(here)], device=device)
        distributed.all_reduce(flag)
        return bool(flag.item() > 0)

    def wait(self) -> None:
        """Go on when all are here."""
        if self.world > 1:
            distributed.barrier()

    def in_turn(self, work: Callable[[], T]) -> T:
        """Do something in the first process, then, when it is done there, in the others."""
        if not self.first:
            self.wait()
        done = work()
        if self.first:
            self.wait()
        return done

    def _shared(self, call: Callable[..., Tensor]) -> Callable[..., Tensor]:
        def shared(*values: Tensor | None) -> Tensor:
            count = next(len(value) for value in values if value is not None)
            rows = self.rows(count)
            return self._whole(call(*(None if v is None else v[rows] for v in values)), count)

        return shared

    def _hooks(self, net: nn.Module) -> Iterable[Any]:
        counts: list[int] = []

        def before(_net: nn.Module, values: tuple[Tensor, ...]) -> tuple[Tensor, ...]:
            counts.append(len(values[0]))
            rows = self.rows(counts[-1])
            return tuple(value[rows] for value in values)

        def after(_net: nn.Module, _values: Any, found: Tensor) -> Tensor:
            return self._whole(found, counts.pop())

        return net.register_forward_pre_hook(before), net.register_forward_hook(after)

    def _whole(self, mine: Tensor, count: int) -> Tensor:
        """All rows; only this process' have a gradient."""
        rows = self.rows(count)
        whole = mine.new_zeros((count, *mine.shape[1:]), dtype=torch.float32)
        whole[rows] = mine.detach()
        distributed.all_reduce(whole)
        others = whole.to(mine.dtype)
        return torch.cat([others[: rows.start], mine, others[rows.stop :]])


ALONE = Share()


@contextmanager
def joined(device: str) -> Iterator[Share]:
    """This process among those that torchrun started; alone if it started none.

    Args:
        device: as in the settings; with `auto` or `cuda` each process of a machine has a GPU.

    Raises:
        DfPolicyError: if there are fewer GPUs than processes.
    """
    world = int(os.environ.get("WORLD_SIZE", "1"))
    if world == 1:
        yield ALONE
        return
    backend = "gloo"
    if pick(device).type == "cuda":
        local, found = int(os.environ.get("LOCAL_RANK", "0")), torch.cuda.device_count()
        if local >= found:
            raise DfPolicyError(
                f"expected a GPU for each process of this machine, got {found} for process "
                f"{local}; start fewer, or give --run.device cpu"
            )
        torch.cuda.set_device(local)
        backend = "nccl"
    distributed.init_process_group(backend, timeout=_PATIENCE)
    try:
        yield Share(distributed.get_rank(), world)
    finally:
        distributed.destroy_process_group()
