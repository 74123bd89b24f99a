"""Which of the plans that were drawn is carried out, and what they are bent towards.

The middle of all plans never makes the rarer choice. Where most rest a little longer it rests, and
is asked again before it would have set out: so a robot came to rest for longer than any
demonstrator, until its memory took it for one that is done. A plan taken as it was drawn sets out
when a demonstrator might have, but may have ended between two choices. So of the few nearest to it
the middle one is taken.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import torch
from jaxtyping import Float
from torch import Tensor

from df_policy.config import Choice
from df_policy.costs import Cost
from df_policy.guidance import bent, total
from df_policy.sampler import Bend
from df_policy.tokens import TokenCodec

_NEAR = 3
"""Plans among which the middle one is taken."""


def densest(rows: Float[Tensor, "n w"]) -> int:
    """The row with the nearest half of all rows around it.

    Where there are two choices it is in the middle of the likelier one: a mean, and a median too,
    may lie between them.
    """
    half = (len(rows) + 1) // 2
    return int(torch.cdist(rows, rows).sort(1).values[:, :half].sum(1).argmin())


def drawn(rows: Float[Tensor, "n w"]) -> int:
    """Of the first row and the two nearest to it the middle one.

    So of several choices each is made, the rarer a little less often than it is likely: a row that
    has no other near it gives way.
    """
    near = torch.cdist(rows[:1], rows)[0].argsort(stable=True)[:_NEAR]
    return int(near[torch.cdist(rows[near], rows[near]).sum(1).argmin()])


_CHOICES: dict[Choice, Callable[[Tensor], int]] = {"drawn": drawn, "densest": densest}


def choose(
    codec: TokenCodec,
    plans: Float[Tensor, "n h d"],
    costs: Sequence[Cost],
    period_s: float,
    choice: Choice,
) -> int:
    """The plan that is carried out; with costs, one of the better half of them.

    Args:
        codec: what the tokens mean.
        plans: their tokens, in the order in which they were drawn.
        costs: see `guidance`.
        period_s: between two actions.
        choice: how it is chosen: `drawn`, or `densest`.
    """
    rows = plans[..., codec.observation_width :].flatten(1)
    if not costs:
        return _CHOICES[choice](rows)
    actions = codec.decode_actions(plans).flatten(1, 2)
    cheaper = total(costs, actions, period_s).argsort()[: (len(rows) + 1) // 2]
    better = cheaper.sort().values
    return int(better[_CHOICES[choice](rows[better])])


def preference(codec: TokenCodec, costs: Sequence[Cost], period_s: float) -> Bend | None:
    """What bends tokens so that their actions cost less; nothing where nothing is asked for."""
    if not costs:
        return None

    def bend(tokens: Tensor) -> Tensor:
        actions = codec.decode_actions(tokens)
        better = bent(costs, actions.flatten(1, 2), period_s)
        return codec.with_actions(tokens, better.reshape(actions.shape))

    return bend
