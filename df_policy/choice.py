"""Which of the plans that were drawn is carried out, and what they are bent towards."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from df_policy.costs import Cost
from df_policy.guidance import bent, total
from df_policy.sampler import Bend
from df_policy.tokens import TokenCodec


def densest(rows: Float[Tensor, "n w"]) -> int:
    """The row with the nearest half of all rows around it.

    Where there are two choices it is in the middle of the likelier one: a mean, and a median too,
    may lie between them.
    """
    half = (len(rows) + 1) // 2
    return int(torch.cdist(rows, rows).sort(1).values[:, :half].sum(1).argmin())


def choose(
    codec: TokenCodec, plans: Float[Tensor, "n h d"], costs: Sequence[Cost], period_s: float
) -> int:
    """The plan with most others near it; with costs, among the better half of them.

    Args:
        codec: what the tokens mean.
        plans: their tokens.
        costs: see `guidance`.
        period_s: between two actions.
    """
    rows = plans[..., codec.observation_width :].flatten(1)
    if not costs:
        return densest(rows)
    actions = codec.decode_actions(plans).flatten(1, 2)
    better = total(costs, actions, period_s).argsort()[: (len(rows) + 1) // 2]
    return int(better[densest(rows[better])])


def preference(codec: TokenCodec, costs: Sequence[Cost], period_s: float) -> Bend | None:
    """What bends tokens so that their actions cost less; nothing where nothing is asked for."""
    if not costs:
        return None

    def bend(tokens: Tensor) -> Tensor:
        actions = codec.decode_actions(tokens)
        better = bent(costs, actions.flatten(1, 2), period_s)
        return codec.with_actions(tokens, better.reshape(actions.shape))

    return bend
