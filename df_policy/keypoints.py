"""An encoder that tells where things are in an image, wherever they are and in whatever light."""

from __future__ import annotations

import torch
from jaxtyping import Float
from torch import Tensor, nn

from df_policy.config import EncoderConfig

_SHARPNESS = 2.0
_STRENGTH = 0.2
_FLAT = 0.05
"""Images that differ from their own median by less are not stretched to full contrast."""
_CHANNELS = (32, 48, 64)


class KeypointEncoder(nn.Module):
    """One camera's image to one latent vector, by way of places in the image.

    Each of some feature maps is summed up as its centre of mass and its strength (spatial softmax:
    Levine et al. 2016, arXiv:1504.00702, section 5.1). Nothing else passes, so that a network that
    saw few scenes cannot know them by their table's colour: what it learnt of a fruit in one
    place it knows in all.
    """

    def __init__(self, height: int, width: int, config: EncoderConfig) -> None:
        """An encoder for images of `height` x `width` pixels.

        Raises:
            ValueError: if 4 does not divide both.
        """
        super().__init__()
        if height % 4 or width % 4:
            raise ValueError(f"expected images divisible by 4, got {height} x {width}")
        near, middle, far = _CHANNELS
        self.maps = nn.Sequential(
            nn.PixelUnshuffle(2),
            nn.Conv2d(12, near, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(near, middle, 3, stride=2, padding=1),
            nn.SiLU(),
            nn.Conv2d(middle, far, 3, padding=1),
            nn.SiLU(),
            nn.Conv2d(far, config.keypoints, 1),
        )
        self.down: Tensor
        self.across: Tensor
        self.register_buffer("down", torch.linspace(-1.0, 1.0, height // 4), persistent=False)
        self.register_buffer("across", torch.linspace(-1.0, 1.0, width // 4), persistent=False)
        told = 3 * config.keypoints
        self.enter = nn.Sequential(nn.Linear(told, 128), nn.SiLU(), nn.Linear(128, config.latent))

    def forward(self, images: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b latent"]:
        """The latent of each image."""
        latent: Tensor = self.enter(self.places(images).flatten(1))
        return latent

    def places(self, images: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b k 3"]:
        """Of each feature how far down and across it is, from -1 to 1, and how strong."""
        maps = self.maps(by_itself(images)).float()
        share = (_SHARPNESS * maps).flatten(2).softmax(-1).unflatten(-1, maps.shape[2:])
        down, across = share.sum(3) @ self.down, share.sum(2) @ self.across
        return torch.stack([down, across, _STRENGTH * (share * maps).sum((2, 3))], dim=-1)


def by_itself(images: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b 3 height width"]:
    """Images as they differ from their own median colour, stretched to one contrast."""
    middle = images.flatten(2).median(-1).values[..., None, None]
    apart = images - middle
    return apart / (apart.abs().amax((1, 2, 3), keepdim=True) + _FLAT)
