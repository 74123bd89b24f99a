"""Where the gripper closes and opens next: what a demonstration tells of its own images.

Nobody labels anything: a demonstrator's own grasps and releases mark the places that mattered, and
each image before them shows these places. Several may come next, so what is foretold is a
distribution over a grid of places on the table. Source of the idea of such key frames: James and
Davison 2022, arXiv:2105.14829, section 3.2.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Float, Float32, Int64
from torch import Tensor

from df_policy.demonstrations import Demonstrations

CELLS = 24
"""Along each axis of the grid."""


@dataclass(frozen=True)
class NextGrips:
    """For each frame the places of the next changes of the gripper in its episode."""

    places: Float32[np.ndarray, "n k 2"]
    """From 0 to `CELLS` - 1 along the base's x and y; where none is left, that of the last."""
    known: Float32[np.ndarray, "n k"]
    """1 where there is one, else 0."""

    @classmethod
    def of(cls, data: Demonstrations, count: int) -> NextGrips:
        """Those of all episodes of `data`; a frame of no episode knows none.

        Args:
            data: episodes.
            count: how many are told of each frame.
        """
        opening = data.action[:, 9]
        opens = opening > (opening.min() + opening.max()) / 2
        rows, changes = len(opening), []
        places = np.zeros((rows, count, 2), dtype=np.float32)
        known = np.zeros((rows, count), dtype=np.float32)
        for start, end in zip(data.starts, data.ends, strict=True):
            here = start + 1 + np.flatnonzero(opens[start + 1 : end] != opens[start : end - 1])
            changes.append(here)
            if len(here):
                nth = np.searchsorted(here, np.arange(start, end))[:, None] + np.arange(count)
                known[start:end] = nth < len(here)
                places[start:end] = data.action[here[np.minimum(nth, len(here) - 1)], :2]
        found: Int64[np.ndarray, "c"] = np.concatenate(changes)
        if len(found):
            low, high = data.action[found, :2].min(0), data.action[found, :2].max(0)
            places = np.clip((places - low) / np.maximum(high - low, 1e-3), 0.0, 1.0)
        return cls((places * (CELLS - 1)).astype(np.float32), known)

    def on_grid(self, rows: Int64[np.ndarray, "b"]) -> Float[Tensor, "b k cells"]:
        """Each place as weights of the four cells around it, which sum to 1, or to 0 for none."""
        centres = np.arange(CELLS, dtype=np.float32)
        near = np.clip(1.0 - np.abs(self.places[rows][..., None] - centres), 0.0, None)
        along_x = near[:, :, 0] * self.known[rows][..., None]
        return torch.from_numpy(along_x[..., None] * near[:, :, 1, None, :]).flatten(2)
