"""Statistics as LeRobot's training expects them: of each episode, and of all."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

Stats = dict[str, NDArray[np.float64]]

_QUANTILES = {"q01": 0.01, "q10": 0.10, "q50": 0.50, "q90": 0.90, "q99": 0.99}
_IMAGES = 64
"""Images looked at of an episode."""


def of_numbers(rows: NDArray[Any]) -> Stats:
    """Of (frames, width)."""
    return _stats(rows.astype(np.float64), len(rows))


def of_images(images: NDArray[np.uint8]) -> Stats:
    """Of each colour in 0 to 1, as (3, 1, 1), from some of the images."""
    chosen = images[np.unique(np.linspace(0, len(images) - 1, _IMAGES).round().astype(int))]
    side = max(1, min(chosen.shape[1:3]) // 150)
    pixels = chosen[:, ::side, ::side].reshape(-1, 3).astype(np.float64) / 255.0
    stats = _stats(pixels, len(chosen))
    return {k: v if k == "count" else v.reshape(3, 1, 1) for k, v in stats.items()}


def _stats(rows: NDArray[np.float64], count: int) -> Stats:
    stats = {
        "min": rows.min(0),
        "max": rows.max(0),
        "mean": rows.mean(0),
        "std": rows.std(0),
        "count": np.array([float(count)]),
    }
    quantiles = np.quantile(rows, list(_QUANTILES.values()), axis=0)
    return stats | dict(zip(_QUANTILES, quantiles, strict=True))


class Total:
    """The statistics of all episodes, gathered one by one."""

    def __init__(self) -> None:
        self._sums: dict[str, Stats] = {}

    def add(self, episode: Mapping[str, Stats]) -> None:
        """One more episode."""
        for key, stats in episode.items():
            self._sums[key] = _joined(self._sums[key], stats) if key in self._sums else stats

    def values(self) -> dict[str, dict[str, Any]]:
        """As JSON values."""
        return {key: as_lists(stats) for key, stats in self._sums.items()}


def as_lists(stats: Stats) -> dict[str, Any]:
    """As JSON values; the count is a whole number."""
    return {k: [int(v[0])] if k == "count" else v.tolist() for k, v in stats.items()}


def _joined(one: Stats, other: Stats) -> Stats:
    """Of both; quantiles are means weighted by frames, as LeRobot joins them too."""
    n, m = float(one["count"][0]), float(other["count"][0])
    share = m / (n + m)
    mean = one["mean"] * (1 - share) + other["mean"] * share
    spread = (one["std"] ** 2 + (one["mean"] - mean) ** 2) * (1 - share)
    spread = spread + (other["std"] ** 2 + (other["mean"] - mean) ** 2) * share
    return {
        "min": np.minimum(one["min"], other["min"]),
        "max": np.maximum(one["max"], other["max"]),
        "mean": mean,
        "std": np.sqrt(spread),
        "count": np.array([n + m]),
    } | {q: one[q] * (1 - share) + other[q] * share for q in _QUANTILES}
