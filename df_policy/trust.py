"""How far to believe a camera, as a noise level.

A token may enter the memory at any level: 0 says "this is what I saw", K "this tells nothing". An
image that is old, or far from what was foreseen, enters at a level in between, so that the memory
is changed by it as much as it can be trusted.

Source: Chen et al. 2024, Diffusion Forcing (arXiv:2407.01392), section 4.4, pass a level above 0
for a whole observation that is distrusted; here each camera has its own, and it is chosen from
the figures below.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from jaxtyping import Float
from torch import Tensor

from df_policy.noise import NoiseSchedule

OLDEST_NS = 250_000_000
"""An image older than this tells nothing of now: a driver that stalls repeats its last one."""
NOTHING = 3.0
"""Noise of so many times the signal is as good as pure noise."""


@dataclass(frozen=True)
class Surprise:
    """How far one camera's latent was from the one foreseen, and how old its image was."""

    distance: float
    """Root mean square over the latent, in standard deviations of the recordings."""
    age_ns: int


def distance(seen: Float[Tensor, "*b l"], foreseen: Float[Tensor, "*b l"]) -> Float[Tensor, "*b"]:
    """Root mean square difference of normalised latents."""
    return (seen - foreseen).square().mean(-1).sqrt()


def level(surprise: Surprise, usual: float, schedule: NoiseSchedule) -> int:
    """The noise level at which such an image is believed: 0 fully, K not at all.

    Up to `usual` it is believed fully. Beyond that the surprise is taken to be noise: by how many
    times `usual` is exceeded, so many times as large as the signal the noise is at that level.

    Args:
        surprise: of this image.
        usual: the largest distance met in held-out recordings.
        schedule: for its levels.
    """
    if surprise.age_ns > OLDEST_NS:
        return schedule.levels
    excess = surprise.distance / usual - 1.0
    return 0 if excess <= 0.0 else schedule.level_of(excess if excess < NOTHING else torch.inf)
