"""Costs on a plan, as in model-predictive control: what it keeps out of, reaches, or keeps under.

A cost is a squared distance in SI units, scaled so that a few steps down its gradient undo what it
complains of. It bends the plan that each denoising step foresees, and of the plans that were drawn
the better half is kept. The network is not asked for a gradient, so a step costs little more.

Source: guidance, Chen et al. 2024, Diffusion Forcing (arXiv:2407.01392) section 3.4; the gradient
at the foreseen signal, Bansal et al. 2023 (arXiv:2302.07121) section 3.1.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Protocol, runtime_checkable

import torch
from jaxtyping import Float
from torch import Tensor

from df_policy.errors import DfPolicyError, nearest, need

Point = tuple[float, float, float]
_BETWEEN = 4
"""Points of the path from one action to the next, both of whose ends move for each of them."""
_DESCENTS = 4
_NEVER_ZERO_M = 1e-9
"""A length of zero has no gradient."""


@runtime_checkable
class Cost(Protocol):
    """Something that a plan is judged by."""

    def __call__(self, actions: Float[Tensor, "b n 10"], period_s: float) -> Float[Tensor, "b"]:
        """How bad each plan is, in m^2; differentiable.

        Args:
            actions: rows as `frames.Action` has them.
            period_s: between two of them.
        """
        ...


@dataclass(frozen=True)
class KeepOutBox:
    """The tool stays out of a box that is aligned with the robot's base frame."""

    center_m: Point
    half_m: Point
    """Half of its size along x, y and z."""
    margin_m: float = 0.04
    """Kept beside it: a fast arm cuts the corners of its plan."""

    def __call__(self, actions: Float[Tensor, "b n 10"], period_s: float) -> Float[Tensor, "b"]:
        """The squared way to the nearest face, along the part of the path that is inside."""
        del period_s
        center, half = actions.new_tensor(self.center_m), actions.new_tensor(self.half_m)
        way = _path(actions) - center
        aside = torch.where(way >= 0.0, way, -way)  # in the very middle, abs has no gradient
        return _squares((half + self.margin_m - aside).min(-1).values)


@dataclass(frozen=True)
class KeepOutCylinder:
    """The tool stays out of an upright cylinder that stands on the ground."""

    center_m: tuple[float, float]
    radius_m: float
    top_m: float
    margin_m: float = 0.04

    def __call__(self, actions: Float[Tensor, "b n 10"], period_s: float) -> Float[Tensor, "b"]:
        """The squared way to its wall or top, whichever is nearer, along the path inside."""
        del period_s
        path = _path(actions)
        way = path[..., :2] - path.new_tensor(self.center_m) + _NEVER_ZERO_M
        aside = self.radius_m + self.margin_m - way.norm(dim=-1)
        below = self.top_m + self.margin_m - path[..., 2]
        return _squares(torch.stack([aside, below], -1).min(-1).values)


@dataclass(frozen=True)
class SpeedLimit:
    """The tool moves no faster than this."""

    speed_m_s: float

    def __call__(self, actions: Float[Tensor, "b n 10"], period_s: float) -> Float[Tensor, "b"]:
        """The squared way that each step is too long, for both of its ends share it."""
        steps = actions[:, 1:, :3] - actions[:, :-1, :3]
        length = (steps + _NEVER_ZERO_M).norm(dim=-1)
        return _squares(length - self.speed_m_s * period_s)


@dataclass(frozen=True)
class Reach:
    """The tool comes as near to a point as the plan can; of several, those that go there first."""

    point_m: Point
    weight: float = 0.1
    """Share of the way that one step down the gradient goes."""

    def __call__(self, actions: Float[Tensor, "b n 10"], period_s: float) -> Float[Tensor, "b"]:
        """Half the squared way that is left at the nearest action."""
        del period_s
        far = (actions[..., :3] - actions.new_tensor(self.point_m)).square().sum(-1)
        return 0.5 * self.weight * far.amin(-1)


KINDS: dict[str, type[Any]] = {
    "keep_out_box": KeepOutBox,
    "keep_out_cylinder": KeepOutCylinder,
    "speed_limit": SpeedLimit,
    "reach": Reach,
}


def parse(text: str) -> tuple[Cost, ...]:
    """Costs from JSON: a list of objects, each with its kind and its values.

    For instance `[{"kind": "reach", "point_m": [0.5, 0.0, 0.2]}]`; none for nothing.

    Raises:
        DfPolicyError: if it is no such list, or a kind or value is unknown or missing.
    """
    try:
        listed = json.loads(text or "[]")
    except ValueError as error:
        raise DfPolicyError(f"expected costs as a JSON list, got {text!r}: {error}") from error
    need(isinstance(listed, list), "costs as a JSON list", text)
    return tuple(_one(values) for values in listed)


def _one(values: Any) -> Cost:
    need(isinstance(values, dict) and "kind" in values, 'a cost with a "kind"', values)
    given = dict(values)
    name = given.pop("kind")
    if name not in KINDS:
        hint = nearest(str(name), KINDS)
        raise DfPolicyError(f"expected a cost of {', '.join(KINDS)}, got {name!r}{hint}")
    sizes = {
        item.name: 3 if item.type == "Point" else 2 if "tuple" in str(item.type) else 1
        for item in dataclasses.fields(KINDS[name])
    }
    for key, value in given.items():
        need(key in sizes, f"values {', '.join(sizes)} of {name}", key)
        numbers = value if isinstance(value, list) else [value]
        fits = len(numbers) == sizes[key] and all(_is_number(number) for number in numbers)
        need(fits, f"{sizes[key]} finite number(s) for {name}.{key}", value)
    try:
        whole: Cost = KINDS[name](
            **{key: tuple(v) if isinstance(v, list) else float(v) for key, v in given.items()}
        )
    except TypeError as error:
        raise DfPolicyError(f"expected all values of {name}: {error}") from error
    return whole


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e6


def total(
    costs: Sequence[Cost], actions: Float[Tensor, "b n 10"], period_s: float
) -> Float[Tensor, "b"]:
    """The sum of all costs of each plan."""
    each = [cost(actions, period_s) for cost in costs]
    return torch.stack(each).sum(0) if each else actions.new_zeros(len(actions))


def bent(
    costs: Sequence[Cost], actions: Float[Tensor, "b n 10"], period_s: float
) -> Float[Tensor, "b n 10"]:
    """The actions after a few steps down the gradient of all costs."""
    with torch.inference_mode(False), torch.enable_grad():
        better = actions.clone()
        for _ in range(_DESCENTS):
            free = better.requires_grad_()
            (gradient,) = torch.autograd.grad(total(costs, free, period_s).sum(), free)
            better = (free - gradient).detach()
    return better


def _path(actions: Float[Tensor, "b n 10"]) -> Float[Tensor, "b m 3"]:
    """Where the tool is at the actions and on the straight ways between them."""
    at = actions[..., :3]
    share = torch.linspace(0.0, 1.0, _BETWEEN + 1, device=at.device, dtype=at.dtype)[:-1, None]
    ways = at[:, :-1, None] + share * (at[:, 1:, None] - at[:, :-1, None])
    return torch.cat([ways.flatten(1, 2), at[:, -1:]], dim=1)


def _squares(beyond: Float[Tensor, "b n"]) -> Float[Tensor, "b"]:
    """Scaled so that going down the gradient converges where many points share their ends."""
    return 0.25 * beyond.clamp_min(0.0).square().sum(-1)
