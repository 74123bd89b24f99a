"""Where things lie: what a demonstration tells of its own images, by what its gripper did.

Nobody labels anything. Where the demonstrator grasped, a thing had lain; where it let go, a thing
lay from then on. So afterwards it is known of each image at which places it shows something that
mattered, and an encoder can be taught to say so. Of a thing that somebody else moves meanwhile
this tells wrong places until it is grasped again: right for the most part, if few are moved.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Float32
from scipy.optimize import linear_sum_assignment
from torch import Tensor

from df_policy.demonstrations import Demonstrations
from df_policy.errors import DfPolicyError

_STOPPED_M = 5e-3
"""Fingers that stand still so far from where they were sent hold something."""
_STILL_M, _CLOSED_M = 1e-3, 2e-3
"""Fingers that move less in a frame stand still; that went so far, they are on their way."""
_SAME_M = 0.03
"""What is grasped so near to a release is what was released."""
_NEAR_M = 0.1
"""What is grasped so near to where something was grasped or let go, and lost, is what was lost."""

Place = Float32[np.ndarray, "3"]


@dataclass(frozen=True)
class _Grasp:
    """One closing of the gripper on something."""

    row: int
    until: int
    """Where it opened again, or the episode ended."""
    kept: bool
    """Whether it held the thing to the end."""


@dataclass
class _Stay:
    """A thing that lay at one place from one frame up to another."""

    place: Place
    begin: int
    end: int
    released: bool


@dataclass(frozen=True)
class Lying:
    """For each frame where things lie that its demonstrator moved, in no order."""

    places: Float32[np.ndarray, "n k 3"]
    """In the base's frame, metres."""
    known: Float32[np.ndarray, "n k"]
    """1 where there is one, else 0."""

    @classmethod
    def of(cls, data: Demonstrations) -> Lying:
        """In all episodes of `data`; of a frame of no episode nothing is known.

        Raises:
            DfPolicyError: if nothing was grasped in any of them.
        """
        sent = data.action[:, 9]
        opens = sent > (sent.min() + sent.max()) / 2
        spans = [(int(a), int(b)) for a, b in zip(data.starts, data.ends, strict=True)]
        grasps = [list(_grasps(data, opens, *span)) for span in spans]
        heights = [data.action[grasp.row, 2] for episode in grasps for grasp in episode]
        if not heights:
            raise DfPolicyError(
                "expected grasps in the recording, to tell where things lie, got none: no finger "
                f"stood still {1e3 * _STOPPED_M:g} mm or more from where it was sent; set "
                "encoder_fit.location_weight to 0"
            )
        highest = float(max(heights)) + _SAME_M
        stays = [
            stay
            for episode, span in zip(grasps, spans, strict=True)
            for stay in _stays(data, episode, highest, *span)
        ]
        rows = len(data.action)
        count = np.zeros(rows, dtype=np.int64)
        for stay in stays:
            count[stay.begin : stay.end] += 1
        most = int(count.max())
        places = np.zeros((rows, most, 3), dtype=np.float32)
        known = np.zeros((rows, most), dtype=np.float32)
        for stay in stays:
            here = np.arange(stay.begin, stay.end)
            column = known[here].sum(1).astype(np.int64)
            places[here, column], known[here, column] = stay.place, 1.0
        return cls(places, known)

    @classmethod
    def nowhere(cls, data: Demonstrations) -> Lying:
        """Nothing is known of any frame."""
        rows = len(data.action)
        return cls(np.zeros((rows, 0, 3), np.float32), np.zeros((rows, 0), np.float32))

    @property
    def most(self) -> int:
        """How many things lie somewhere at a time, at most."""
        return int(self.known.shape[1])

    def normalised(self) -> tuple[Float[Tensor, "n k 3"], Float[Tensor, "n k"]]:
        """The places about their mean, on one scale along all axes, and which are known."""
        some = self.places[self.known > 0.0]
        if not len(some):
            return torch.from_numpy(self.places), torch.from_numpy(self.known)
        scale = max(float(some.std(0).max()), 1e-3)
        places = (self.places - some.mean(0)) / scale
        return torch.from_numpy(places), torch.from_numpy(self.known)


def _grasps(
    data: Demonstrations, opens: Bool[np.ndarray, "n"], start: int, end: int
) -> Iterator[_Grasp]:
    """Where the gripper closed on something in one episode."""
    sent, fingers = data.action[:, 9], data.gripper[:, 0]
    edges = start + 1 + np.flatnonzero(opens[start + 1 : end] != opens[start : end - 1])
    for row, until in zip(edges, [*edges[1:], end], strict=False):
        if opens[row]:
            continue
        stopped = fingers[row:until] - sent[row:until] > _STOPPED_M
        still = np.abs(np.diff(fingers[row - 1 : until])) < _STILL_M
        closing = fingers[row:until] < fingers[row - 1] - _CLOSED_M
        if (stopped & still & closing).any():
            yield _Grasp(int(row), int(until), kept=bool(stopped[-1]))


def _stays(
    data: Demonstrations, grasps: list[_Grasp], highest: float, start: int, end: int
) -> list[_Stay]:
    """Where things lay in one episode, by the grasps and releases in it.

    What slips out of the gripper, or is let go above the `highest` place at which anything was
    grasped, lies nobody knows where until it is grasped again. Until something is grasped so near
    that it must be what was lost, whatever is grasped where nothing was known to lie may be.
    """
    stays: list[_Stay] = []
    since = start
    lost: list[Place] = []
    for grasp in grasps:
        grasped = data.action[grasp.row, :3]
        near = [
            s for s in stays if s.released and s.end == end and _apart(s.place, grasped) < _SAME_M
        ]
        if near:
            near[-1].end = grasp.row
        else:
            stays.append(_Stay(grasped, since, grasp.row, released=False))
            if any(_apart(place, grasped) < _NEAR_M for place in lost):
                since, lost = start, []
        let_go = data.action[min(grasp.until, end - 1), :3]
        if not grasp.kept or let_go[2] > highest:
            since, lost = grasp.until, [grasped, let_go]
        elif grasp.until < end:
            stays.append(_Stay(let_go, grasp.until, end, released=True))
    return [stay for stay in stays if stay.end > stay.begin]


def _apart(one: Place, other: Place) -> float:
    """Along the table."""
    return float(np.linalg.norm(one[:2] - other[:2]))


def missed(
    told: Float[Tensor, "b k 3"], places: Float[Tensor, "b k 3"], known: Float[Tensor, "b k"]
) -> Float[Tensor, ""]:
    """Mean square of the distances between places and what was told of them, in whatever order.

    Each place is compared with one of those told, none twice, so that the sum is least.

    Source: bipartite matching, Carion et al. 2020, arXiv:2005.12872, section 3.1.
    """
    square = (told[:, None] - places[:, :, None]).square().mean(-1) * known[:, :, None]
    costs = np.nan_to_num(square.detach().cpu().numpy())
    pick = np.stack([linear_sum_assignment(cost)[1] for cost in costs])
    matched = square.gather(2, torch.from_numpy(pick).to(square.device)[..., None])
    return matched.sum() / known.sum().clamp_min(1.0)
