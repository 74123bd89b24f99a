"""What the nodes measure of themselves: rates, gaps and percentiles."""

from __future__ import annotations

import heapq
import os
from collections import deque
from pathlib import Path

import numpy as np

TOO_BUSY = "slower than asked: this machine is too busy"


class Pace:
    """Rate and gaps of something that should come regularly.

    Args:
        window: events that `rate_hz` looks back over.
    """

    def __init__(self, window: int = 100) -> None:
        self._stamps_ns: deque[int] = deque(maxlen=window)
        self.count = 0
        self.worst_gap_ns = 0

    def tick(self, stamp_ns: int) -> int:
        """Count an event; returns the time since the last one, 0 for the first."""
        gap_ns = stamp_ns - self._stamps_ns[-1] if self._stamps_ns else 0
        self._stamps_ns.append(stamp_ns)
        self.count += 1
        self.worst_gap_ns = max(self.worst_gap_ns, gap_ns)
        return gap_ns

    @property
    def full(self) -> bool:
        """Whether the window is filled, so that the rate means something."""
        return len(self._stamps_ns) == self._stamps_ns.maxlen

    @property
    def rate_hz(self) -> float:
        """Events per second over the window; 0 before the second event."""
        if len(self._stamps_ns) < 2 or self._stamps_ns[-1] <= self._stamps_ns[0]:
            return 0.0
        return (len(self._stamps_ns) - 1) * 1e9 / (self._stamps_ns[-1] - self._stamps_ns[0])


class Spread:
    """Percentiles of the latest values."""

    def __init__(self, window: int = 500) -> None:
        self._values: deque[float] = deque(maxlen=window)

    def add(self, value: float) -> None:
        """Take a value in."""
        self._values.append(value)

    def percentile(self, percent: float) -> float:
        """The value that `percent` of all stay under; NaN without values."""
        return float(np.percentile(self._values, percent)) if self._values else float("nan")


class Usual:
    """The most that something usually takes: the second largest of the latest values.

    A single value that is far larger is an accident and changes nothing. Two are how things are,
    until `window` others have come.

    Args:
        window: values that it looks back over.
    """

    def __init__(self, window: int = 20) -> None:
        self._values: deque[float] = deque(maxlen=window)

    def add(self, value: float) -> None:
        """Take a value in."""
        self._values.append(value)

    @property
    def most(self) -> float:
        """See the class; the value itself where there is but one, 0 where there is none."""
        return min(heapq.nlargest(2, self._values), default=0.0)


class Ticks:
    """How regularly something is done that is due every `period_ns`.

    Args:
        period_ns: between two times.
    """

    def __init__(self, period_ns: int) -> None:
        self._period_ns = period_ns
        self._last_ns: int | None = None
        self.jitter_ms = Spread(5000)
        """How much longer or shorter than it should the time since the last one was."""
        self.count = self.missed = 0

    def done(self, now_ns: int) -> None:
        """It was done once more."""
        self.count += 1
        if self._last_ns is not None:
            gap_ns = now_ns - self._last_ns
            self.missed += max(0, round(gap_ns / self._period_ns) - 1)
            self.jitter_ms.add(abs(gap_ns - self._period_ns) * 1e-6)
        self._last_ns = now_ns


def memory_mb(process: int) -> float:
    """What a process keeps in memory; NaN where the system does not tell."""
    try:
        pages = int(Path(f"/proc/{process}/statm").read_text().split()[1])
    except (OSError, IndexError, ValueError):
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
