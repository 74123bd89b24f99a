"""What costs mean to a plan, as in model-predictive control: how bad it is, and what bends it.

A cost is a squared distance in SI units, scaled so that a few steps down its gradient undo what it
complains of; a turn counts as far as it moves a fingertip. It bends the plan that each denoising
step foresees, and of the plans that were drawn the better half is kept. The network is not asked
for a gradient, so a step costs little more.

Source: guidance, Chen et al. 2024, Diffusion Forcing (arXiv:2407.01392) section 3.4; the gradient
at the foreseen signal, Bansal et al. 2023 (arXiv:2302.07121) section 3.1.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import singledispatch

import numpy as np
import torch
from jaxtyping import Float
from torch import Tensor

from df_policy.costs import (
    ApproachFirst,
    Cost,
    KeepOutBox,
    KeepOutCylinder,
    Reach,
    ReachPose,
    SpeedLimit,
)
from df_policy.geometry import rotation_6d

_BETWEEN = 4
"""Points of the path from one action to the next, both of whose ends move for each of them."""
_DESCENTS = 4
_NEVER_ZERO_M = 1e-9
"""A length of zero has no gradient."""
_FINGER_M = 0.1
"""From the axis of a turn to a fingertip."""
_STEEP = (1.0,) * 3 + (_FINGER_M**-2,) * 6 + (1.0,)
"""Steps by the columns of an action: those of a rotation are radians, and priced as metres."""


@singledispatch
def price(cost: object, actions: Float[Tensor, "b n 10"], period_s: float) -> Float[Tensor, "b"]:
    """How bad each plan is, in m^2; differentiable.

    Args:
        cost: what it is judged by.
        actions: rows as `frames.Action` has them.
        period_s: between two of them.

    Raises:
        TypeError: if nobody has said what such a cost means.
    """
    raise TypeError(f"expected a cost, got {type(cost).__name__}")


@price.register(KeepOutBox)
def _box(
    cost: KeepOutBox, actions: Float[Tensor, "b n 10"], period_s: float
) -> Float[Tensor, "b"]:
    """The squared way to the nearest face, along the part of the path that is inside."""
    del period_s
    center, half = actions.new_tensor(cost.center_m), actions.new_tensor(cost.half_m)
    way = _path(actions) - center
    aside = torch.where(way >= 0.0, way, -way)  # in the very middle, abs has no gradient
    return _squares((half + cost.margin_m - aside).min(-1).values)


@price.register(KeepOutCylinder)
def _cylinder(
    cost: KeepOutCylinder, actions: Float[Tensor, "b n 10"], period_s: float
) -> Float[Tensor, "b"]:
    """The squared way to its wall or top, whichever is nearer, along the path inside."""
    del period_s
    path = _path(actions)
    way = path[..., :2] - path.new_tensor(cost.center_m) + _NEVER_ZERO_M
    aside = cost.radius_m + cost.margin_m - way.norm(dim=-1)
    below = cost.top_m + cost.margin_m - path[..., 2]
    return _squares(torch.stack([aside, below], -1).min(-1).values)


@price.register(SpeedLimit)
def _speed(
    cost: SpeedLimit, actions: Float[Tensor, "b n 10"], period_s: float
) -> Float[Tensor, "b"]:
    """The squared way that each step is too long, for both of its ends share it."""
    steps = actions[:, 1:, :3] - actions[:, :-1, :3]
    length = (steps + _NEVER_ZERO_M).norm(dim=-1)
    return _squares(length - cost.speed_m_s * period_s)


@price.register(Reach)
def _reach(cost: Reach, actions: Float[Tensor, "b n 10"], period_s: float) -> Float[Tensor, "b"]:
    """Half the squared way that is left at the nearest action."""
    del period_s
    far = (actions[..., :3] - actions.new_tensor(cost.point_m)).square().sum(-1)
    return 0.5 * cost.weight * far.amin(-1)


@price.register(ApproachFirst)
def _approach_first(
    cost: ApproachFirst, actions: Float[Tensor, "b n 10"], period_s: float
) -> Float[Tensor, "b"]:
    """As to reach it; whoever asks for plans knows when it is over, see `costs.Pending`."""
    return _reach(Reach(cost.point_m, cost.weight), actions, period_s)


@price.register(ReachPose)
def _reach_pose(
    cost: ReachPose, actions: Float[Tensor, "b n 10"], period_s: float
) -> Float[Tensor, "b"]:
    """The same, of both the way and the angle that are left."""
    del period_s
    far = (actions[..., :3] - actions.new_tensor(cost.point_m)).square().sum(-1)
    turned = _angle_to(cost.quat_xyzw, actions[..., 3:9])
    return 0.5 * cost.weight * (far + (_FINGER_M * turned).square()).amin(-1)


def total(
    costs: Sequence[Cost], actions: Float[Tensor, "b n 10"], period_s: float
) -> Float[Tensor, "b"]:
    """The sum of all costs of each plan."""
    each = [price(cost, actions, period_s) for cost in costs]
    return torch.stack(each).sum(0) if each else actions.new_zeros(len(actions))


def bent(
    costs: Sequence[Cost], actions: Float[Tensor, "b n 10"], period_s: float
) -> Float[Tensor, "b n 10"]:
    """The actions after a few steps down the gradient of all costs."""
    with torch.inference_mode(False), torch.enable_grad():
        better, steep = actions.clone(), actions.new_tensor(_STEEP)
        for _ in range(_DESCENTS):
            free = better.requires_grad_()
            (gradient,) = torch.autograd.grad(total(costs, free, period_s).sum(), free)
            better = (free - steep * gradient).detach()
    return better


def _angle_to(quat_xyzw: Sequence[float], columns: Float[Tensor, "b n 6"]) -> Float[Tensor, "b n"]:
    """The smallest angle [rad] from rotations, as actions have them, to another.

    By sine and cosine of it: the cosine alone tells small angles badly, and has no gradient there.
    """
    first, second = columns[..., :3], columns[..., 3:]
    first = first / first.norm(dim=-1, keepdim=True).clamp_min(_NEVER_ZERO_M)
    second = second - (first * second).sum(-1, keepdim=True) * first
    second = second / second.norm(dim=-1, keepdim=True).clamp_min(_NEVER_ZERO_M)
    here = torch.stack([first, second, torch.linalg.cross(first, second)], -1)
    goal = columns.new_tensor(rotation_6d(np.array(quat_xyzw)))
    one, two = goal[:3], goal[3:]
    left = here.mT @ torch.stack([one, two, torch.linalg.cross(one, two)], -1)
    cosine = 0.5 * (left.diagonal(dim1=-2, dim2=-1).sum(-1) - 1.0)
    skew = 0.5 * (left - left.mT)
    axis = torch.stack([skew[..., 2, 1], skew[..., 0, 2], skew[..., 1, 0]], -1)
    return torch.atan2((axis + _NEVER_ZERO_M).norm(dim=-1), cosine)


def _path(actions: Float[Tensor, "b n 10"]) -> Float[Tensor, "b m 3"]:
    """Where the tool is at the actions and on the straight ways between them."""
    at = actions[..., :3]
    share = torch.linspace(0.0, 1.0, _BETWEEN + 1, device=at.device, dtype=at.dtype)[:-1, None]
    ways = at[:, :-1, None] + share * (at[:, 1:, None] - at[:, :-1, None])
    return torch.cat([ways.flatten(1, 2), at[:, -1:]], dim=1)


def _squares(beyond: Float[Tensor, "b n"]) -> Float[Tensor, "b"]:
    """Scaled so that going down the gradient converges where many points share their ends."""
    return 0.25 * beyond.clamp_min(0.0).square().sum(-1)
