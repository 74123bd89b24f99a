"""What every format's module offers, and the limits that hold for all of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass, field
from math import prod
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from df_policy.data.episode import Episode
from df_policy.data.formats.conventions import Conventions
from df_policy.data.header import Header
from df_policy.data.image_codec import LARGEST_SIDE
from df_policy.data.writer import LONGEST_EPISODE_FRAMES
from df_policy.errors import DfPolicyError

LARGEST_EPISODE_BYTES = 8 * 2**30
"""Decoded, one episode stands in memory."""
LARGEST_PIECE_BYTES = 2**29
"""One chunk, file in an archive, or message."""
MOST_EPISODES = 1_000_000
MOST_KEYS = 10_000
LARGEST_TEXT_BYTES = 2**26
"""Metadata that are read as a whole."""

Tick = Callable[[], None]
"""Called after each episode."""


@dataclass(frozen=True)
class Kind:
    """What one row of an array in the file is."""

    shape: tuple[int, ...]
    dtype: str
    names: tuple[str, ...] = ()
    """Of the numbers, where the file has some."""

    def __str__(self) -> str:
        called = f" ({', '.join(self.names)})" if self.names else ""
        return f"{self.dtype}{list(self.shape)}{called}" if self.shape else self.dtype

    @property
    def row_bytes(self) -> int:
        """Size of a row."""
        return prod(self.shape) * np.dtype(self.dtype).itemsize


@dataclass(frozen=True)
class Contents:
    """What a file says of itself."""

    episodes: int
    keys: Mapping[str, Kind]
    """All that can be asked for."""
    conventions: Conventions = field(default_factory=Conventions)
    header: Header | None = None
    """Where it was exported by this package."""
    rate_hz: float | None = None
    task: str | None = None


@dataclass(frozen=True)
class Wanted:
    """What is asked of one episode."""

    keys: frozenset[str]
    commands: frozenset[str] = frozenset()
    """Those among the keys that tell what was commanded, not what was seen."""
    rate_hz: float = 0.0
    """Frames a second, for sources that are no table of frames."""


@dataclass(frozen=True)
class Raw:
    """One episode as the file holds it."""

    arrays: Mapping[str, NDArray[Any]]
    success: bool | None = None
    seed: int | None = None
    note: str = ""


@runtime_checkable
class Source(Protocol):
    """An open file or folder of another format."""

    @property
    def contents(self) -> Contents:
        """What it holds."""
        ...

    def read(self, index: int, wanted: Wanted) -> Raw:
        """One episode."""
        ...


@runtime_checkable
class Recording(Protocol):
    """The type in between: a robot, a task, and episodes as arrays of the schema."""

    @property
    def header(self) -> Header:
        """Robot, task and operators."""
        ...

    def __len__(self) -> int:
        """Episodes."""
        ...

    @property
    def frames(self) -> int:
        """Of all episodes."""
        ...

    def episode(self, index: int) -> Episode:
        """One episode, decoded."""
        ...


@runtime_checkable
class Format(Protocol):
    """A module of this folder, as the registry hands it out."""

    LOST: tuple[str, ...]
    """What its files have no place for."""

    def recognises(self, path: Path) -> bool:
        """Whether that looks like one of its own."""
        ...

    def open_source(self, path: Path) -> AbstractContextManager[Source]:
        """Look at a file or folder; nothing is written."""
        ...

    def write(self, recording: Recording, target: Path, tick: Tick) -> None:
        """Make `target`, which does not exist yet."""
        ...


@contextmanager
def damaged(where: object) -> Iterator[None]:
    """Within, what a library says of a broken file becomes one line for the user."""
    try:
        yield
    except (DfPolicyError, MemoryError):
        raise
    except Exception as error:
        said = " ".join(f"{type(error).__name__}: {error}".split())[:300]
        raise DfPolicyError(
            f"expected to read {where}, got {said}; the file is damaged or of another kind, "
            "use a copy"
        ) from error


def check_image(kind: Kind, key: str) -> tuple[int, int]:
    """Height and width of an image column.

    Raises:
        DfPolicyError: if it holds no RGB images of 8 bits, or too large ones.
    """
    shape = kind.shape
    if len(shape) != 3 or shape[2] != 3 or kind.dtype != "uint8":
        raise DfPolicyError(f"expected images (H, W, 3) uint8 in {key}, got {kind}; name another")
    if min(shape[:2]) < 1 or max(shape[:2]) > LARGEST_SIDE:
        raise DfPolicyError(f"expected images of 1 to {LARGEST_SIDE} pixels a side, got {kind}")
    return shape[0], shape[1]


def check_size(kinds: Mapping[str, Kind], frames: int, where: str) -> None:
    """Refuse an episode that would not fit into memory before any of it is read.

    Raises:
        DfPolicyError: if it has too many frames or bytes, or none.
    """
    if not 1 <= frames <= LONGEST_EPISODE_FRAMES:
        raise DfPolicyError(
            f"expected 1 to {LONGEST_EPISODE_FRAMES} frames in {where}, got {frames}; "
            "split or leave out the episode"
        )
    size = frames * sum(kind.row_bytes for kind in kinds.values())
    if size > LARGEST_EPISODE_BYTES:
        raise DfPolicyError(
            f"expected at most {LARGEST_EPISODE_BYTES / 1e9:.1f} GB decoded in {where}, "
            f"got {size / 1e9:.1f} GB; the file is damaged, or the episode must be split"
        )


def check_ends(ends: NDArray[Any], where: str) -> NDArray[np.int64]:
    """Cumulative ends of episodes.

    Raises:
        DfPolicyError: if they are none.
    """
    if ends.ndim != 1 or ends.dtype.kind not in "iu" or not 1 <= len(ends) <= MOST_EPISODES:
        raise DfPolicyError(
            f"expected ends of 1 to {MOST_EPISODES} episodes in {where}, got {ends.dtype} "
            f"{ends.shape}; the file is damaged or empty"
        )
    whole = ends.astype(np.int64)
    if np.any(np.diff(whole, prepend=0) <= 0):
        raise DfPolicyError(
            f"expected growing ends of episodes in {where}, got others; use a copy"
        )
    return whole
