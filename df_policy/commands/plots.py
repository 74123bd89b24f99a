"""Plots of success rates with their 95 % Wilson intervals, as PNG."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np

mpl.use("Agg")
from matplotlib import pyplot as plt

from df_policy.files import write_atomically

_COLOUR, _CLEAN_COLOUR = "#3b6ea8", "#9aa5b1"
_ROW_INCH = 0.3


def _shares(figures: Sequence[Mapping[str, Any]]) -> tuple[np.ndarray, np.ndarray]:
    """Rates in per cent, and how far their intervals reach below and above, (2, n)."""
    rates = np.array([100.0 * one["successes"] / one["episodes"] for one in figures])
    low, high = 100.0 * np.array([one["wilson95"] for one in figures]).T
    # A rate of 0 or 1 may lie outside by a rounding error.
    return rates, np.maximum(0.0, np.stack([rates - low, high - rates]))


def rates(conditions: Mapping[str, Mapping[str, Any]], title: str, path: Path) -> None:
    """One bar for each condition, the first at the top.

    Args:
        conditions: name -> figures of `evaluate.summary`, at least one.
        title: above the plot.
        path: the PNG, replaced as a whole.
    """
    share, reach = _shares(list(conditions.values()))
    rows = np.arange(len(share))[::-1]
    sheet, axes = plt.subplots(figsize=(8, 1.1 + _ROW_INCH * len(rows)))
    colours = [_CLEAN_COLOUR if name == "clean" else _COLOUR for name in conditions]
    axes.barh(rows, share, xerr=reach, color=colours, ecolor="#20262e", capsize=3, height=0.7)
    axes.set_yticks(rows, list(conditions))
    axes.set_xlim(0, 100)
    axes.set_xlabel("solved [%], with 95 % Wilson intervals")
    axes.set_title(title)
    axes.grid(axis="x", alpha=0.3)
    _save(sheet, path)


def curve(
    points: Mapping[float, Mapping[str, Any]], axis: str, title: str, path: Path, log: bool = False
) -> None:
    """Success against a number.

    Args:
        points: number -> figures of `evaluate.summary`, at least one.
        axis: what the number is.
        title: above the plot.
        path: the PNG, replaced as a whole.
        log: whether the number grows by factors.
    """
    numbers = sorted(points)
    share, reach = _shares([points[number] for number in numbers])
    sheet, axes = plt.subplots(figsize=(7, 4))
    axes.errorbar(numbers, share, yerr=reach, color=_COLOUR, marker="o", capsize=3)
    if log:
        axes.set_xscale("log")
        axes.set_xticks(numbers, [f"{number:g}" for number in numbers])
        axes.minorticks_off()
    axes.set_ylim(0, 101)
    axes.set_xlabel(axis)
    axes.set_ylabel("solved [%], with 95 % Wilson intervals")
    axes.set_title(title)
    axes.grid(alpha=0.3)
    _save(sheet, path)


def _save(sheet: Any, path: Path) -> None:
    sheet.tight_layout()
    write_atomically(path, lambda partial: sheet.savefig(partial, dpi=110))
    plt.close(sheet)
