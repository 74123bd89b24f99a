"""How recorded episodes are read in training: frame by frame, with pauses, cut into windows.

A pause is not recorded but put in: the last target is held, and nothing of the task goes on. So a
token that was carried out may be another one than a robot would choose that is free to go on from
where the last token ended. The memory reads the first, and the second is what is learnt: to go on,
and never to pause by oneself.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from jaxtyping import Bool, Int64

from df_policy.demonstrations import Demonstrations, Order

_MOST_PAUSES = 6
"""In one sequence, which has at least one."""
_LONGEST_FRAMES = 24
"""To the memory no pause is longer; see `memory.Memory.read`."""
_SETTLED_FRAMES = 6
"""Within so many the hand has come to where it was sent."""


@dataclass(frozen=True)
class Reading:
    """One episode as it is read, step by step; places are those in `order`."""

    order: Order
    """The episode's frames in the order in which they are read."""
    at: Int64[np.ndarray, "n"]
    """The place that is reached, from which the task goes on."""
    seen: Int64[np.ndarray, "n"]
    """The place that is seen."""
    done: Int64[np.ndarray, "n"]
    """The place whose action is carried out."""
    finished: bool
    """Whether nothing is left to do at the end, so that it could last longer."""

    @property
    def pauses(self) -> bool:
        """Whether there are any."""
        return bool((self.done < self.at).any())

    @classmethod
    def of(cls, order: Order, finished: bool = False, steps: int = 0) -> Reading:
        """Straight through; for at least `steps` steps where the episode is finished."""
        places = np.arange(len(order))
        return cls(order, places, places, places, finished)._lasting(steps)

    @classmethod
    def with_pauses(
        cls,
        order: Order,
        data: Demonstrations,
        finished: bool,
        steps: int,
        rng: np.random.Generator,
    ) -> Reading:
        """With a few pauses at random places."""
        places = np.arange(len(order))
        count = int(rng.integers(1, _MOST_PAUSES + 1)) if len(order) > 1 else 0
        begins = np.sort(rng.integers(1, max(2, len(order)), count))
        held = np.repeat(begins, rng.integers(1, _LONGEST_FRAMES + 1, count))
        at, done = np.insert(places, held, held), np.insert(places, held, held - 1)
        seen = at.copy()
        for place in np.unique(held).tolist():
            inside = np.flatnonzero(at == place)
            seen[inside] = np.minimum(place + np.arange(len(inside)), _settled(order, place, data))
        # A hand that was let go begins where it stood.
        seen = np.maximum.accumulate(seen)
        return cls(order, at, seen, done, finished)._lasting(steps)

    def _lasting(self, steps: int) -> Reading:
        more = max(0, steps - len(self.at)) if self.finished else 0
        if not more:
            return self
        at, seen, done = (np.pad(p, (0, more), "edge") for p in (self.at, self.seen, self.done))
        return Reading(self.order, at, seen, done, self.finished)


def _settled(order: Order, place: int, data: Demonstrations) -> int:
    """The place of the frame that shows the hand where it was last sent: it lags behind."""
    coming = order[place : place + _SETTLED_FRAMES]
    sent = data.action[order[place - 1]]
    far = np.abs(data.tool_position[coming] - sent[:3]).sum(1)
    far += np.abs(data.gripper[coming, 0] - sent[9])
    return place + int(far.argmin())


@dataclass(frozen=True)
class Rows:
    """Which frames make up each token of a batch of sequences."""

    observation: Int64[np.ndarray, "b t"]
    """Frame that the token observes."""
    earlier: Int64[np.ndarray, "b t"]
    """Frame seen one action before."""
    action: Int64[np.ndarray, "b t c"]
    """Frames whose actions led to it."""
    before: Bool[np.ndarray, "b t c"]
    """True where there was no action yet: the robot held still."""


@dataclass(frozen=True)
class Windows:
    """A batch of sequences, and what each of their tokens would be without a pause in it."""

    read: Rows
    free: Rows
    """From where the token before ended straight on; the first token is as it is read."""
    real: Bool[np.ndarray, "b t"]
    """False where the free token ran past the episode: the last frame is repeated."""


def windows(
    readings: Sequence[Reading],
    offsets: Int64[np.ndarray, "b"],
    tokens: int,
    chunk: int,
) -> Windows:
    """Contiguous sequences of tokens: each observes what is seen `chunk` steps after the last.

    Args:
        readings: how the episode of each sequence is read.
        offsets: steps skipped at its beginning, less than its length.
        tokens: length of the sequences.
        chunk: actions in a token.
    """
    step = offsets[:, None] + chunk * np.arange(tokens)[None, :]  # (b, t)
    executed = step[:, :, None] + np.arange(-chunk, 0)  # (b, t, c)
    order, at = _Table([r.order for r in readings]), _Table([r.at for r in readings])
    seen, done = _Table([r.seen for r in readings]), _Table([r.done for r in readings])
    read = Rows(order[seen[step]], order[seen[step - 1]], order[done[executed]], executed < 0)
    begin = at[step[:, :-1]]  # (b, t - 1)
    finished = np.array([r.finished for r in readings])[:, None]
    arrives = np.c_[step[:, :1], begin + chunk]
    real = (step < at.lengths) & (finished | (arrives < order.lengths))
    if not any(r.pauses for r in readings):
        return Windows(read, read, real)
    ahead = begin[:, :, None] + np.arange(chunk)
    free = Rows(
        np.c_[read.observation[:, :1], order[begin + chunk]],
        np.c_[read.earlier[:, :1], order[begin + chunk - 1]],
        np.concatenate([read.action[:, :1], order[ahead]], axis=1),
        np.concatenate([read.before[:, :1], np.zeros_like(read.before[:, 1:])], axis=1),
    )
    return Windows(read, free, real)


class _Table:
    """Rows of numbers of different lengths, looked up by place; beyond an end, what is there."""

    def __init__(self, rows: Sequence[Order]) -> None:
        self.lengths = np.array([len(row) for row in rows])[:, None]
        longest = int(self.lengths.max())
        self._rows = np.stack([np.pad(row, (0, longest - len(row)), "edge") for row in rows])

    def __getitem__(self, places: Int64[np.ndarray, "b *s"]) -> Int64[np.ndarray, "b *s"]:
        flat = np.clip(places.reshape(len(places), -1), 0, self.lengths - 1)
        return np.take_along_axis(self._rows, flat, 1).reshape(places.shape)
