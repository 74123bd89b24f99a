"""How wrong an imagination is, the further the more: figures and a plot."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib as mpl
import numpy as np
import torch
from jaxtyping import Float

mpl.use("Agg")
from matplotlib import pyplot as plt

from df_policy.checkpoint import Checkpoint
from df_policy.commands.imagining import Watched
from df_policy.encoder import as_input
from df_policy.files import write_atomically
from df_policy.imagination import Latents

Curve = Float[np.ndarray, "t"]
_MARGIN = 0.1
"""Of its range by which a number of a latent may lie outside without being counted."""
_STYLES = {"drawn": ("#9aa5b1", ":"), "kept": ("#9aa5b1", "--"), "other": ("#c9a227", "-.")}


class Ruler:
    """Measures what was imagined against what was seen."""

    def __init__(self, trained: Checkpoint, episodes: Sequence[Watched]) -> None:
        """Encodes what was seen in all episodes.

        Args:
            trained: with decoders.
            episodes: all with the same roll-outs.
        """
        self._imagination, self._codec = trained.need_imagination(), trained.codec
        codec = trained.codec
        self._episodes = episodes
        width = len(codec.cameras) * trained.config.encoder.latent
        mean, scale = codec.observation.mean[:width], codec.observation.scale[:width]
        each = (values.cpu().numpy().reshape(len(codec.cameras), -1) for values in (mean, scale))
        self._mean, self._scale = (dict(zip(codec.cameras, rows, strict=True)) for rows in each)
        self._real, self._kept = [], []
        together: dict[str, list[Latents]] = {name: [] for name in codec.cameras}
        for one in episodes:
            latents = {n: self._encode(n, rows[:: one.every]) for n, rows in one.images.items()}
            at = one.at // one.every
            begin = np.full(len(at), at[0] - trained.config.token.chunk // one.every)
            self._real.append({n: rows[at] for n, rows in latents.items()})
            self._kept.append({n: rows[begin] for n, rows in latents.items()})
            for name, rows in latents.items():
                together[name].append(rows)
        self._low = {n: np.concatenate(rows).min(0) for n, rows in together.items()}
        self._high = {n: np.concatenate(rows).max(0) for n, rows in together.items()}

    @torch.inference_mode()
    def _encode(self, camera: str, images: np.ndarray) -> Latents:
        encoder, device = self._codec.encoders[camera], self._codec.observation.mean.device
        parts = (images[first : first + 256] for first in range(0, len(images), 256))
        inputs = (as_input(torch.from_numpy(part).to(device)) for part in parts)
        return np.concatenate([encoder(some).cpu().numpy() for some in inputs])

    def figures(self) -> dict[str, dict[str, list[float]]]:
        """Name -> kind of error -> its mean over episodes, token by token.

        A name is the level at which imagined tokens were remembered, or one of what to compare
        with: `drawn`, the real latents; `kept`, the image from before goes on; `other`, what was
        seen at the same time in the next episode.
        """
        told: dict[str, list[dict[str, Latents]]] = {
            str(level): [one.ahead[level] for one in self._episodes]
            for level in self._episodes[0].ahead
        }
        told |= {"drawn": self._real, "kept": self._kept}
        if len(self._real) > 1:
            told["other"] = [*self._real[1:], self._real[0]]
        return {name: self._mean_of(rows) for name, rows in told.items()}

    def _mean_of(self, told: Sequence[Mapping[str, Latents]]) -> dict[str, list[float]]:
        each = [self._errors(latents, index) for index, latents in enumerate(told)]
        return {
            kind: np.mean([one[kind] for one in each], axis=0).round(5).tolist()
            for kind in each[0]
        }

    def _errors(self, latents: Mapping[str, Latents], index: int) -> dict[str, Curve]:
        """Of one episode; cameras count alike."""
        one, real = self._episodes[index], self._real[index]
        drawn = self._imagination.images(latents)
        each: dict[str, list[Curve]] = {"image": [], "latent": [], "size": [], "outside": []}
        for name, rows in latents.items():
            shown = _halved(one.images[name][one.at])
            off = (drawn[name] - shown) / 255.0
            each["image"].append(_rms(off, (1, 2, 3)))
            each["latent"].append(_rms((rows - real[name]) / self._scale[name], 1))
            each["size"].append(_rms((rows - self._mean[name]) / self._scale[name], 1))
            margin = _MARGIN * (self._high[name] - self._low[name])
            beyond = (rows < self._low[name] - margin) | (rows > self._high[name] + margin)
            each["outside"].append(beyond.mean(1))
        return {kind: np.mean(curves, axis=0) for kind, curves in each.items()}


def plot(
    figures: Mapping[str, Mapping[str, Sequence[float]]],
    seconds: float,
    trained_s: float,
    title: str,
    path: Path,
) -> None:
    """Four panels of curves over how far ahead.

    Args:
        figures: of `Ruler.figures`.
        seconds: a token lasts.
        trained_s: the length of training sequences.
        title: above all.
        path: the PNG, replaced as a whole.
    """
    kinds = {
        "image": "image error (RMS, of 1)",
        "latent": "latent error (RMS, deviations)",
        "size": "size of latents (RMS, deviations)",
        "outside": "share of latents out of the real range",
    }
    sheet, panels = plt.subplots(2, 2, figsize=(11, 6.5), sharex=True)
    for panel, (kind, label) in zip(panels.flat, kinds.items(), strict=True):
        for name, curves in figures.items():
            ahead_s = seconds * np.arange(1, len(curves[kind]) + 1)
            colour, style = _STYLES.get(name, (None, "-"))
            label_of = name if name in _STYLES else f"remembered at level {name}"
            panel.plot(ahead_s, curves[kind], style, color=colour, label=label_of, linewidth=1.2)
        panel.axvline(trained_s, color="#20262e", linewidth=0.6)
        panel.set_ylabel(label)
        panel.set_ylim(bottom=0.0)
        panel.grid(alpha=0.3)
    panels[0, 0].legend(fontsize=8)
    for panel in panels[1]:
        panel.set_xlabel("ahead [s]; the line: length of training sequences")
    sheet.suptitle(title)
    sheet.tight_layout()
    write_atomically(path, lambda partial: sheet.savefig(partial, dpi=110))
    plt.close(sheet)


def summary(figures: Mapping[str, Mapping[str, Sequence[float]]], window: int) -> dict[str, Any]:
    """Means over the first and the last `window` tokens of each curve, and the worst of each."""
    return {
        name: {
            kind: {
                "first": round(float(np.mean(curve[:window])), 4),
                "last": round(float(np.mean(curve[-window:])), 4),
                "worst": round(float(np.max(curve)), 4),
            }
            for kind, curve in curves.items()
        }
        for name, curves in figures.items()
    }


def _rms(values: np.ndarray, axes: int | tuple[int, ...]) -> Curve:
    return np.asarray(np.sqrt(np.square(values.astype(np.float64)).mean(axes)))


def _halved(images: np.ndarray) -> np.ndarray:
    count, height, width, colours = images.shape
    blocks = images.reshape(count, height // 2, 2, width // 2, 2, colours)
    return np.asarray(blocks.mean((2, 4)))
