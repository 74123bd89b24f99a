"""Films of episodes, whoever drove them: each moment with its plan and a caption."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

STRIDE = 2
"""Every second moment is drawn: the film runs at double speed and is made in half the time."""


@dataclass(frozen=True)
class Take:
    """One filmed episode."""

    seed: int
    ends: str
    """The verdict's reason."""
    seconds: Sequence[float]
    """When each moment was, from the episode's start."""
    snapshots: Sequence[np.ndarray]
    """The positions of each moment."""
    ways: Sequence[np.ndarray]
    """The planned tool positions at each moment, (h, 3) [m]; NaN where a plan is shorter."""
    since_s: Mapping[str, float] = field(default_factory=dict)
    """Disturbance -> when it acted first."""

    def caption(self, moment: int) -> str:
        """The line under the picture of a moment, with what had gone wrong by then."""
        now_s = self.seconds[moment]
        wrong = [name for name, since_s in self.since_s.items() if since_s <= now_s]
        return "   ".join([f"seed {self.seed}", f"{now_s:4.1f} s", f"ends: {self.ends}", *wrong])


def film(takes: Sequence[Take], path: Path, task: str) -> None:
    """Write one MP4 of all episodes of a task, one after the other.

    Raises:
        DfPolicyError: if there is nothing to show.
    """
    from df_policy.sim.film import render_film

    snapshots, ways, captions = [], [], []
    for take in takes:
        for moment in range(0, len(take.snapshots), STRIDE):
            way = take.ways[moment]
            way = way[np.isfinite(way).all(-1)]
            snapshots.append(take.snapshots[moment])
            ways.append(way if len(way) > 1 else None)
            captions.append(take.caption(moment))
    render_film(snapshots, ways, path, captions=captions, task=task)
