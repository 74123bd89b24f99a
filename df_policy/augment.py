"""Images as they might have been: in other light and colours, a little moved, partly covered."""

from __future__ import annotations

import torch
from jaxtyping import Bool, Float
from torch import Tensor, nn

_GAIN, _CHANNEL_GAIN, _OFFSET = 0.3, 0.15, 0.1
_NOISE = 0.05
_SHIFT = 2
"""Pixels."""
_COVER = (0.1, 0.4)
"""Side of the patch that hides something, as a share of the image's."""

Images = Float[Tensor, "b 3 height width"]


def augment(
    images: Images, share: float, generator: torch.Generator, relight: float = 1.0
) -> Images:
    """`share` of the images changed, by light and colour, place and a patch, each at random.

    Args:
        images: in [-0.5, 0.5].
        share: of images that are changed.
        generator: all randomness.
        relight: how much light and colours change.
    """
    if share == 0.0:
        return images
    changed = _cover(_shift(_relight(images, relight, generator), generator), generator)
    picked = _uniform(images, 1, generator) < share
    return torch.where(picked, changed, images)


def _uniform(images: Images, channels: int, generator: torch.Generator) -> Tensor:
    """From 0 to 1, for each image."""
    return torch.rand((len(images), channels, 1, 1), generator=generator, device=images.device)


def _relight(images: Images, much: float, generator: torch.Generator) -> Images:
    gain = 1.0 + much * _GAIN * (2.0 * _uniform(images, 1, generator) - 1.0)
    colour = 1.0 + much * _CHANNEL_GAIN * (2.0 * _uniform(images, 3, generator) - 1.0)
    offset = much * _OFFSET * (2.0 * _uniform(images, 1, generator) - 1.0)
    grain = torch.randn(images.shape, generator=generator, device=images.device)
    deviation = _NOISE * _uniform(images, 1, generator)
    lit = (images + 0.5) * gain * colour + offset + deviation * grain
    return lit.clamp(0.0, 1.0) - 0.5


def _shift(images: Images, generator: torch.Generator) -> Images:
    """By whole pixels; what comes in at the border repeats it."""
    height, width = images.shape[-2:]
    padded = nn.functional.pad(images, [_SHIFT] * 4, mode="replicate")
    moves = torch.randint(
        2 * _SHIFT + 1, (2, len(images)), generator=generator, device=images.device
    )
    rows = moves[0, :, None] + torch.arange(height, device=images.device)
    columns = moves[1, :, None] + torch.arange(width, device=images.device)
    index = torch.arange(len(images), device=images.device)[:, None, None]
    return padded[index, :, rows[:, :, None], columns[:, None, :]].permute(0, 3, 1, 2)


def _cover(images: Images, generator: torch.Generator) -> Images:
    """Half of the images lose a rectangle of one colour."""
    height, width = images.shape[-2:]

    def inside(size: int, axis: int) -> Bool[Tensor, "..."]:
        side = size * (_COVER[0] + (_COVER[1] - _COVER[0]) * _uniform(images, 1, generator))
        begin = (size + side) * _uniform(images, 1, generator) - side
        shape = (1, 1, size, 1) if axis == 0 else (1, 1, 1, size)
        place = torch.arange(size, device=images.device).reshape(shape)
        return (place >= begin) & (place < begin + side)

    colour = _uniform(images, 3, generator) - 0.5
    covered = inside(height, 0) & inside(width, 1) & (_uniform(images, 1, generator) < 0.5)
    return torch.where(covered, colour, images)
