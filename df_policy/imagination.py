"""What the cameras would see: latents made into images again, and tokens that nobody has seen.

The encoder learns as half of an autoencoder; its other half draws what the denoiser foresees. The
same half tells which images are none that the encoder knows: those it cannot draw again.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from jaxtyping import Float, Float32, UInt8
from torch import Tensor, nn

from df_policy.encoder import as_input
from df_policy.noise import NoiseSchedule
from df_policy.sampler import StepDenoiser, sample
from df_policy.schedule import full_sequence

Latents = Float32[np.ndarray, "*n l"]
Pictures = UInt8[np.ndarray, "*n half_h half_w 3"]
"""8-bit RGB, at half the camera's size."""
_FAINT = 1e-3
"""Contrast under which an image shows nothing, as a variance of pixels from 0 to 1."""


class Imagination(nn.Module):
    """One decoder a camera: images from latents, at half the camera's size."""

    def __init__(self, decoders: nn.ModuleDict) -> None:
        """Draws with the decoders of `encoder.EncoderTask`, or such as were loaded."""
        super().__init__()
        self.decoders = decoders

    @torch.inference_mode()
    def images(self, latents: Mapping[str, Latents]) -> dict[str, Pictures]:
        """For each camera the images that its latents describe."""
        drawn = {}
        for camera, rows in latents.items():
            decoder = self.decoders[camera]
            flat = torch.from_numpy(rows.reshape(-1, rows.shape[-1]))
            images = as_images(decoder(flat.to(next(decoder.parameters()).device)))
            drawn[camera] = images.reshape(*rows.shape[:-1], *images.shape[1:])
        return drawn

    @torch.inference_mode()
    def unexplained(
        self,
        images: Mapping[str, UInt8[Tensor, "n h w 3"]],
        latents: Mapping[str, Float[Tensor, "n l"]],
    ) -> dict[str, Float[Tensor, "n"]]:
        """For each camera how much of each image its own latent does not tell."""
        told = {camera: self.decoders[camera](z) for camera, z in latents.items()}
        return {c: unexplained(halved(images[c]), told[c]) for c in latents}


def unexplained(
    images: Float[Tensor, "n 3 h w"], told: Float[Tensor, "n 3 h w"]
) -> Float[Tensor, "n"]:
    """1 - the correlation of each image with what its latent tells of it; 1 if it shows nothing.

    Each colour is compared about its own mean, so that light and colour, to which an encoder was
    made indifferent, count for little.
    """
    seen, drawn = images.flatten(2), told.flatten(2)
    seen, drawn = (one - one.mean(-1, keepdim=True) for one in (seen, drawn))
    both = (seen * drawn).sum((-1, -2))
    each = seen.square().sum((-1, -2)) * drawn.square().sum((-1, -2))
    return 1.0 - both / (each.sqrt() + _FAINT * seen[0].numel())


def halved(images: UInt8[Tensor, "n h w 3"]) -> Float[Tensor, "n 3 half_h half_w"]:
    """Images at half size, as a decoder draws them, in [-0.5, 0.5]."""
    return nn.functional.avg_pool2d(as_input(images), 2)


def as_images(values: Float[Tensor, "n 3 h w"]) -> UInt8[np.ndarray, "n h w 3"]:
    """8-bit RGB of values in [-0.5, 0.5]; what lies beyond is cut off."""
    rgb = ((values + 0.5) * 255.0).round().clamp(0.0, 255.0).to(torch.uint8)
    return rgb.permute(0, 2, 3, 1).contiguous().cpu().numpy()


@torch.inference_mode()
def roll_out(
    denoiser: StepDenoiser,
    schedule: NoiseSchedule,
    z: Float[Tensor, "b m"],
    tokens: int,
    width: int,
    steps: int,
    generator: torch.Generator,
    level: int = 0,
) -> Float[Tensor, "b t d"]:
    """Tokens that follow the memory `z`, each from those imagined before it.

    An imagined token is a little wrong. Remembered as if it had been seen, it is believed, and the
    next is wrong by more; remembered at a small level, with that level's noise, the memory takes
    it for what it is.

    Args:
        denoiser: the network.
        schedule: the forward process.
        z: the memory of what was seen.
        tokens: how many to imagine.
        width: d, numbers in a token.
        steps: denoising steps a token.
        generator: all randomness.
        level: at which imagined tokens are remembered; 0 as if they were seen.

    Source: stabilisation, Chen et al. 2024 (arXiv:2407.01392), section 3.3 and appendix B.4.
    """
    matrix = full_sequence(1, steps, schedule.levels)
    levels = torch.full((len(z),), level, device=z.device)
    imagined = []
    for _ in range(tokens):
        x = sample(denoiser, schedule, z, matrix, width, generator)[:, 0]
        noise = torch.randn(x.shape, generator=generator, device=x.device)
        z = denoiser.update(z, schedule.add(x, noise, levels), levels)
        imagined.append(x)
    return torch.stack(imagined, dim=1)
