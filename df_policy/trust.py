"""How far to believe a camera, as a noise level.

A token may enter the memory at any level: 0 says "this is what I saw", K "this tells nothing". An
image that is old, or not one of those that the encoder knows, enters at a level in between, so
that the memory is changed by it as much as it can be trusted; or what was imagined in its place
enters, where that tells more.

Whether an encoder knows an image shows in what its decoder makes of it. How far a latent is from
the one foreseen does not tell: a black image is as far off as the moment a fruit is grasped.

Source: Chen et al. 2024, Diffusion Forcing (arXiv:2407.01392), section 4.4, pass a level above 0
for a whole observation that is distrusted; here each camera has its own, and it is chosen from
the figures below.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

from jaxtyping import Float, UInt8
from torch import Tensor

from df_policy.checkpoint import Checkpoint
from df_policy.errors import DfPolicyError
from df_policy.noise import NoiseSchedule

OLDEST_NS = 250_000_000
"""An image older than this tells nothing of now: a driver that stalls repeats its last one."""


def belief(strange: float, usual: float, age_ns: int) -> float:
    """How far to believe an image: 1 fully, 0 not at all.

    Up to `usual` it is believed fully; beyond, as far as its correlation with what its latent
    tells reaches towards the least usual one.

    Args:
        strange: how much of it is unexplained; see `imagination.unexplained`.
        usual: of all but one in a thousand held-out images less is unexplained.
        age_ns: how old it is.
    """
    if age_ns > OLDEST_NS:
        return 0.0
    if strange <= usual:
        return 1.0
    return max(0.0, 1.0 - strange) / max(1e-6, 1.0 - usual)


def level_of_belief(share: float, schedule: NoiseSchedule) -> int:
    """The level at which a token's signal is that share: 0 for 1, K for 0."""
    if share <= 0.0:
        return schedule.levels
    return schedule.level_of(math.sqrt(1.0 - share**2) / share)


def level_of_imagined(uncertainty: float, tokens: int, schedule: NoiseSchedule) -> int:
    """The level of what was imagined in an image's place: its error is the noise.

    It is never 0: what was imagined was not seen.

    Args:
        uncertainty: root mean square error of a latent imagined one token ahead, in standard
            deviations of the recordings.
        tokens: since the camera was believed last; errors add up as variances.
        schedule: for its levels.
    """
    return max(1, schedule.level_of(uncertainty * math.sqrt(tokens)))


class Trust:
    """Judges each camera's image by its age, and by what the camera's decoder makes of it."""

    def __init__(self, trained: Checkpoint) -> None:
        """Judges as the checkpoint's encoder sees.

        Raises:
            DfPolicyError: if it has no decoders, or its memory has never met a doubted camera.
        """
        usual, cameras = trained.about.get("unexplained", {}), set(trained.spec.cameras)
        known = cameras == set(usual) == set(trained.about.get("uncertainty", {}))
        imagination = trained.imagination
        if imagination is None or not known or trained.config.diffusion.doubt == 0.0:
            raise DfPolicyError(
                "expected a checkpoint with decoders that was trained with --diffusion.doubt to "
                "distrust images that are not plausible, got another: set sampler.trust to always"
            )
        self._imagination = imagination
        self._usual: Mapping[str, float] = usual

    def beliefs(
        self,
        images: Mapping[str, UInt8[Tensor, "1 h w 3"]],
        latents: Mapping[str, Float[Tensor, "1 l"]],
        age_ns: Mapping[str, int],
    ) -> dict[str, float]:
        """How far to believe each camera's image.

        Args:
            images: of all cameras.
            latents: what the encoder made of them.
            age_ns: how old each is.
        """
        strange = self._imagination.unexplained(images, latents)
        return {
            name: belief(float(strange[name]), usual, age_ns[name])
            for name, usual in self._usual.items()
        }
