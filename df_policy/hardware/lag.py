"""By how much one signal comes after another that it follows."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from df_policy.errors import DfPolicyError, need
from df_policy.hardware.result_file import write_result

_STEP_S = 0.0005
_EARLIEST_S, _LATEST_S = -0.1, 0.5
_LIKE = 0.95
"""The least correlation: with less, the one does not follow the other."""

Signal = Float64[np.ndarray, "_ 2"]
"""Seconds, and a value at each."""


@dataclass(frozen=True)
class Lag:
    """What was measured again and again."""

    each_s: tuple[float, ...]

    def __post_init__(self) -> None:
        """Raises DfPolicyError if nothing was."""
        need(len(self.each_s) > 0, "at least one measurement", "none")

    @property
    def median_s(self) -> float:
        """Of all."""
        return float(np.median(self.each_s))

    @property
    def spread_s(self) -> float:
        """From the least to the largest."""
        return max(self.each_s) - min(self.each_s)

    def __str__(self) -> str:
        """In milliseconds."""
        return (
            f"{1e3 * self.median_s:.1f} ms (median of {len(self.each_s)}, spread "
            f"{1e3 * self.spread_s:.1f} ms)"
        )


def lag_s(leading: Signal, following: Signal) -> float:
    """By how much later the one that follows is most like the other, whatever its scale [s].

    Args:
        leading: a motion that begins and ends at rest.
        following: sampled over the same time.

    Raises:
        DfPolicyError: if at no lag it is like it.
    """
    times_s, values = following.T
    lags_s = np.arange(_EARLIEST_S, _LATEST_S, _STEP_S)
    then = np.interp((times_s - lags_s[:, None]).ravel(), *leading.T).reshape(len(lags_s), -1)
    then, values = then - then.mean(axis=1, keepdims=True), values - values.mean()
    sizes = np.linalg.norm(then, axis=1) * np.linalg.norm(values)
    correlations = then @ values / np.maximum(sizes, 1e-12)
    best = int(correlations.argmax())
    alike, best_s = float(correlations[best]), float(lags_s[best])
    if alike < _LIKE:
        raise DfPolicyError(
            f"expected what follows to be like what it follows, correlated by {_LIKE:g} or more, "
            f"got {alike:.2f}; does anything hold it?"
        )
    return round(best_s, 4)


def write(path: Path, lags: dict[str, Lag]) -> None:
    """As JSON, by name.

    Raises:
        DfPolicyError: if the disk refuses.
    """
    about = {
        name: {"median_s": lag.median_s, "spread_s": lag.spread_s, "each_s": list(lag.each_s)}
        for name, lag in lags.items()
    }
    write_result(path, about)


def of_parts(leading: Signal, following: Signal, ends_s: Sequence[float]) -> Lag:
    """The lag in each stretch of time between two ends."""
    parts = []
    for begin_s, end_s in pairwise(ends_s):
        cut = [one[(one[:, 0] >= begin_s) & (one[:, 0] < end_s)] for one in (leading, following)]
        parts.append(lag_s(*cut))
    return Lag(tuple(parts))
