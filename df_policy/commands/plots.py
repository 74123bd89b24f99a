"""Plots as PNG: success rates with their 95 % Wilson intervals, and what a recording holds."""

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


def recording(figures: Mapping[str, Any], path: Path) -> None:
    """A recording at a glance: lengths, rates, ranges of the actions, losses.

    Args:
        figures: of `df_policy.data.summary.summarize`.
        path: the PNG, replaced as a whole.
    """
    each = figures["per_episode"]
    sheet, ((lengths, rates), (ranges, losses)) = plt.subplots(2, 2, figsize=(11, 7))
    for won, colour in ((True, _COLOUR), (False, "#c4573a")):
        chosen = [one["frames"] for one in each if one["success"] is won]
        if chosen:
            lengths.hist(chosen, bins=20, color=colour, label="success" if won else "failure")
    lengths.set_xlabel("frames in an episode")
    lengths.set_ylabel("episodes")
    lengths.legend()
    numbers = [one["episode"] for one in each]
    rates.plot(numbers, [one["rate_hz"] or np.nan for one in each], ".", color=_COLOUR)
    rates.set_xlabel("episode")
    rates.set_ylabel("frames per second, by the robot's clock")
    names = list(figures["action"])
    low, high = np.array(list(figures["action"].values())).T
    ranges.bar(names, high - low, bottom=low, color=_COLOUR)
    ranges.set_ylabel("range of the action [m, -]")
    _losses(losses, figures)
    for axes in (lengths, rates, ranges, losses):
        axes.grid(alpha=0.3)
    sheet.suptitle(f"{figures['path']}: {figures['episodes']} episodes of {figures['task']}")
    _save(sheet, path)


def _losses(axes: Any, figures: Mapping[str, Any]) -> None:
    """Samples dropped and ticks late, for each stream; what nobody told has no bar."""
    kinds = (("dropped", _COLOUR), ("late", _CLEAN_COLOUR))
    names = list(figures["late"])
    for number, (kind, colour) in enumerate(kinds):
        values = [figures[kind].get(name) or 0 for name in names]
        axes.barh(np.arange(len(names)) + 0.4 * number, values, 0.4, color=colour, label=kind)
    axes.set_yticks(np.arange(len(names)) + 0.2, names)
    axes.set_xlabel("samples dropped, ticks late")
    axes.legend()


def _save(sheet: Any, path: Path) -> None:
    sheet.tight_layout()
    write_atomically(path, lambda partial: sheet.savefig(partial, dpi=110))
    plt.close(sheet)
