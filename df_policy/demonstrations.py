"""What training reads: whole recorded episodes in flat arrays, and the rests in them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Bool, Float32, Float64, Int64, UInt8

from df_policy.errors import DfPolicyError
from df_policy.geometry import rotation_6d
from df_policy.robot import RobotSpec

Order = Int64[np.ndarray, "_"]
"""Numbers of an episode's frames, in the order in which they are read."""


@runtime_checkable
class Images(Protocol):
    """Many images, looked up by number: an array in memory or on disk, or several of them."""

    def __len__(self) -> int:
        """How many there are."""
        ...

    def __getitem__(self, rows: Int64[np.ndarray, "m"]) -> UInt8[np.ndarray, "m height width 3"]:
        """Those with these numbers."""
        ...


@dataclass(frozen=True)
class Demonstrations:
    """All frames one after another; episode i covers starts[i] .. ends[i] - 1."""

    spec: RobotSpec
    images: Mapping[str, Images]
    """Camera -> its images; those of several recordings stay where each has them."""
    tool_position: Float32[np.ndarray, "n 3"]
    tool_quat_xyzw: Float32[np.ndarray, "n 4"]
    gripper: Float32[np.ndarray, "n 1"]
    action: Float32[np.ndarray, "n 10"]
    """The action really sent at each frame."""
    starts: Int64[np.ndarray, "e"]
    ends: Int64[np.ndarray, "e"]
    weights: tuple[tuple[int, float], ...] = ()
    """Of recordings joined with weights: the frame at which each ends, and what share of all
    sequences is drawn from it. Without, frames are drawn alike."""

    def shares(self) -> Float64[np.ndarray, "e"]:
        """How often each episode is drawn: the longer the likelier; they sum to 1."""
        shares = (self.ends - self.starts).astype(np.float64)
        begin = 0
        for end, weight in self.weights:
            mine = (self.starts >= begin) & (self.starts < end)
            if mine.any():
                shares[mine] *= weight / shares[mine].sum()
            begin = end
        return np.asarray(shares / shares.sum())

    def proprioception(self) -> Float64[np.ndarray, "n 10"]:
        """Tool pose and gripper as an action row: the action that would stay there."""
        rotation = rotation_6d(self.tool_quat_xyzw.astype(np.float64))
        parts = [self.tool_position, rotation, self.gripper]
        return np.concatenate(parts, axis=1, dtype=np.float64)

    def episode(self, number: int) -> Order:
        """Row numbers of one episode's frames."""
        return np.arange(self.starts[number], self.ends[number])

    def frames(self) -> Int64[np.ndarray, "m"]:
        """Row numbers of all frames of these episodes."""
        return np.concatenate([self.episode(number) for number in range(len(self.ends))])

    def first(self, episodes: int) -> Demonstrations:
        """Only the first ones; 0 for all.

        Raises:
            DfPolicyError: if there are not so many.
        """
        if episodes == 0:
            return self
        if episodes > len(self.ends):
            raise DfPolicyError(
                f"expected a recording of at least {episodes} episodes (run.episodes), got "
                f"{len(self.ends)}; record more"
            )
        end = int(self.ends[episodes - 1])
        return replace(
            self,
            tool_position=self.tool_position[:end],
            tool_quat_xyzw=self.tool_quat_xyzw[:end],
            gripper=self.gripper[:end],
            action=self.action[:end],
            starts=self.starts[:episodes],
            ends=self.ends[:episodes],
            weights=tuple((min(until, end), weight) for until, weight in self.weights),
        )

    def split(self, held_out: float, seed: int) -> tuple[Demonstrations, Demonstrations]:
        """Training and held-out episodes, drawn by `seed`; the arrays are shared.

        Raises:
            DfPolicyError: if there are not enough episodes for both.
        """
        count = len(self.ends)
        out = max(1, round(held_out * count))
        if count - out < 1:
            raise DfPolicyError(
                f"expected at least 2 episodes to hold {out} out, got {count}; record more"
            )
        order = np.random.default_rng(seed).permutation(count)
        keep, hold = np.sort(order[out:]), np.sort(order[:out])
        return (
            replace(self, starts=self.starts[keep], ends=self.ends[keep]),
            replace(self, starts=self.starts[hold], ends=self.ends[hold]),
        )


class JoinedImages:
    """The images of several recordings one after another, without copying any."""

    def __init__(self, parts: Sequence[Images], counts: Sequence[int]) -> None:
        """Images of one size, in memory or on disk; of each part the first, so many."""
        self._parts = parts
        self._begins = np.cumsum([0, *counts])

    def __len__(self) -> int:
        """How many there are."""
        return int(self._begins[-1])

    def __getitem__(self, rows: Int64[np.ndarray, "m"]) -> UInt8[np.ndarray, "m height width 3"]:
        """The images with these numbers."""
        order = np.argsort(rows, kind="stable")
        cuts = np.searchsorted(rows[order], self._begins[1:-1])
        wanted = zip(np.split(rows[order], cuts), self._begins, strict=False)
        found = [part[mine - b] for part, (mine, b) in zip(self._parts, wanted, strict=True)]
        return np.concatenate(found)[np.argsort(order)]


def join(parts: Sequence[Demonstrations], weights: Sequence[float] = ()) -> Demonstrations:
    """Several recordings as one; the limits are those of the robot of the first.

    Args:
        parts: the recordings.
        weights: what share of the sequences is drawn from each, in any unit; none: by length.

    Raises:
        DfPolicyError: if they are not of one robot, or the weights are not one for each.
    """
    usable = all(0.0 < weight < np.inf for weight in weights)
    if weights and (len(weights) != len(parts) or not usable):
        raise DfPolicyError(
            f"expected a weight above 0 for each of {len(parts)} recordings, got {list(weights)}"
        )
    first = parts[0]
    if len(parts) == 1:
        return first
    for other in parts[1:]:
        if not first.spec.agrees_with(other.spec):
            raise DfPolicyError(
                f"expected recordings of one robot, got {first.spec} and {other.spec}; "
                "train on those that agree"
            )
    begins = np.cumsum([0, *(len(part.action) for part in parts[:-1])])
    rows = {
        name: np.concatenate([getattr(part, name) for part in parts])
        for name in ("tool_position", "tool_quat_xyzw", "gripper", "action")
    }
    counts = [len(part.action) for part in parts]
    images = {
        name: JoinedImages([part.images[name] for part in parts], counts) for name in first.images
    }
    return Demonstrations(
        spec=first.spec,
        images=images,
        starts=np.concatenate([p.starts + b for p, b in zip(parts, begins, strict=True)]),
        ends=np.concatenate([p.ends + b for p, b in zip(parts, begins, strict=True)]),
        weights=tuple(
            (int(begin) + len(part.action), float(weight))
            for begin, part, weight in zip(begins, parts, weights, strict=False)
        ),
        **rows,
    )


_STILL_M, _STILL_ROTATION = 1e-4, 1e-3
"""Less than this the target does not move from one frame to the next."""
_ARRIVED_M = 2e-3
"""Less than this tool and fingers do not move from one frame to the next."""
_SHORTEST = 3
"""Frames; fewer may be a reversal of motion."""
_CHANGED, _CHANGED_SHARE = 30, 2e-3
"""So much brighter or darker, of 255, and so many pixels that are so, are no noise."""


class Rests:
    """Stretches of episodes in which nothing moves, and whose length therefore tells nothing.

    Reading each for as long as some other lasted gives new episodes of the same kind. Without
    this a network with memory learns by heart how long each demonstrator rested when, which
    cannot be foreseen, and is sure of it on new episodes too. A stretch in which something is seen
    to happen is none of them: what is seen must be remembered, and how long to wait for it tells.
    """

    def __init__(self, data: Demonstrations) -> None:
        """Finds the rests; the last of an episode, when all is done, is none."""
        moved = _moved(data)
        self._rests, last, longest = [], [], _SHORTEST
        for start, end in zip(data.starts, data.ends, strict=True):
            edges = np.flatnonzero(np.diff(np.r_[True, moved[start:end], True].astype(np.int8)))
            begins, ends = edges[::2], edges[1::2]
            long = (ends - begins >= _SHORTEST) & (ends < end - start)
            longest = int((ends - begins)[long].max(initial=longest))
            found = np.stack([begins[long], ends[long]], 1)
            eventful = [_something_happens(data, start + np.arange(*rest)) for rest in found]
            self._rests.append(found[~np.array(eventful, dtype=bool)])
            last.append(end - start - begins[-1] if len(ends) and ends[-1] == end - start else 0)
        self.lengths = np.concatenate([np.diff(rest, axis=1)[:, 0] for rest in self._rests])
        """Of all rests, in frames."""
        self.finished = np.array(last) > longest
        """For each episode whether it rests at its end longer than anyone rests before a move:
        then it would rest on, however long it lasted."""
        self._data = data

    def exchange(self, episode: int, rng: np.random.Generator) -> Order:
        """The frames of an episode in order, each rest as long as one drawn from all."""
        frames = self._data.episode(episode)
        parts, at = [], 0
        for begin, end in self._rests[episode]:
            wanted = int(rng.choice(self.lengths))
            # A rest's first frames may still swing out: frames are added or left out after them.
            index = np.minimum(np.arange(wanted), end - begin - 1)
            parts += [frames[at:begin], frames[begin:end][index]]
            at = end
        return np.concatenate([*parts, frames[at:]])


def _something_happens(data: Demonstrations, rows: Order) -> bool:
    """Whether part of an image is another one from one frame to the next."""
    for images in data.images.values():
        change = np.abs(np.diff(images[rows].astype(np.int16), axis=0)).max(-1, initial=0)
        if ((change > _CHANGED).mean((1, 2)) > _CHANGED_SHARE).any():
            return True
    return False


def _moved(data: Demonstrations) -> Bool[np.ndarray, "n"]:
    """Whether the target, the tool or the fingers were elsewhere one frame before."""
    target = np.abs(np.diff(data.action, axis=0, prepend=data.action[:1]))
    tool = np.abs(np.diff(data.tool_position, axis=0, prepend=data.tool_position[:1]))
    fingers = np.abs(np.diff(data.gripper, axis=0, prepend=data.gripper[:1]))
    aimed = (target[:, [0, 1, 2, 9]].max(1) > _STILL_M) | (target[:, 3:9].max(1) > _STILL_ROTATION)
    return np.asarray(aimed | (tool.max(1) > _ARRIVED_M) | (fingers.max(1) > _ARRIVED_M))
