"""Camera images to latents, and the two tasks that teach an encoder what to keep."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Float, UInt8
from torch import Tensor, nn

from df_policy.config import EncoderConfig
from df_policy.grips import missed
from df_policy.keypoints import KeypointEncoder


def as_input(
    images: UInt8[Tensor, "b height width 3"],
    out: Float[Tensor, "b height width 3"] | None = None,
) -> Float[Tensor, "b 3 height width"]:
    """8-bit RGB as the network's input, in [-0.5, 0.5].

    Args:
        images: as cameras give them.
        out: memory for the result, which is a view of it. On a CPU, memory that is used again and
            again is several times faster than new one.
    """
    # In place: what is allocated anew costs more than the arithmetic.
    if out is None:
        return images.permute(0, 3, 1, 2).float().div_(255.0).sub_(0.5)
    # One after the other: what is written stays in the processor's cache until it is done with.
    for image, place in zip(images, out, strict=True):
        place.copy_(image).div_(255.0).sub_(0.5)
    return out.permute(0, 3, 1, 2)


class InputMemory:
    """Inputs made in memory that the next ones are made in, too; each holds until then.

    Args:
        device: where they are wanted; only on a CPU is anything gained.
    """

    def __init__(self, device: torch.device) -> None:
        self._device = device
        self._places: dict[str, Tensor] = {}

    def __call__(
        self, camera: str, images: UInt8[Tensor, "b height width 3"]
    ) -> Float[Tensor, "b 3 height width"]:
        """The input, which overwrites the one before of this camera."""
        if self._device.type != "cpu":
            return as_input(images.to(self._device))
        place = self._places.get(camera)
        if place is None or len(place) < len(images) or place.shape[1:] != images.shape[1:]:
            place = self._places[camera] = torch.empty(images.shape, dtype=torch.float32)
        return as_input(images, place[: len(images)])


class CellEncoder(nn.Module):
    """One camera's image to one latent vector, which tells what is in each part of it."""

    def __init__(self, height: int, width: int, config: EncoderConfig) -> None:
        """An encoder for images of `height` x `width` pixels.

        Raises:
            ValueError: if the strides do not divide the image.
        """
        super().__init__()
        shrink = 2 ** (len(config.channels) + 1)
        if height % shrink or width % shrink:
            raise ValueError(f"expected images divisible by {shrink}, got {height} x {width}")
        layers: list[nn.Module] = [nn.PixelUnshuffle(2)]
        before = 12
        for channels in config.channels:
            layers += [nn.Conv2d(before, channels, 3, stride=2, padding=1), nn.SiLU()]
            before = channels
        cells = (height // shrink) * (width // shrink)
        layers += [nn.Flatten(), nn.Linear(before * cells, config.latent)]
        self.layers = nn.Sequential(*layers)

    def forward(self, images: Float[Tensor, "b 3 height width"]) -> Float[Tensor, "b latent"]:
        """The latent of each image."""
        latent: Tensor = self.layers(images)
        return latent


def encoder_for(height: int, width: int, config: EncoderConfig) -> nn.Module:
    """An untrained encoder for images of `height` x `width` pixels.

    Raises:
        ValueError: if it cannot read images of this size.
    """
    kinds = {"cells": CellEncoder, "keypoints": KeypointEncoder}
    return kinds[config.reads](height, width, config)


class ImageDecoder(nn.Module):
    """A latent back to the image at half its size: what teaches an encoder, and shows a plan."""

    def __init__(self, height: int, width: int, config: EncoderConfig) -> None:
        """The mirror of `CellEncoder`."""
        super().__init__()
        channels = config.channels[-1]
        self.shape = (channels, height // 8, width // 8)
        self.enter = nn.Linear(config.latent, channels * (height // 8) * (width // 8))
        self.layers = nn.Sequential(
            nn.SiLU(),
            nn.Conv2d(channels, 2 * channels, 3, padding=1),
            nn.PixelShuffle(2),
            nn.SiLU(),
            nn.Conv2d(channels // 2, 12, 3, padding=1),
            nn.PixelShuffle(2),
        )

    def forward(self, latent: Float[Tensor, "b latent"]) -> Float[Tensor, "b 3 half_h half_w"]:
        """The image that the latent describes."""
        image: Tensor = self.layers(self.enter(latent).reshape(-1, *self.shape))
        return image


def decoders_for(cameras: Mapping[str, tuple[int, int]], config: EncoderConfig) -> nn.ModuleDict:
    """Untrained decoders for cameras of these sizes."""
    sizes = sorted(cameras.items())
    return nn.ModuleDict({name: ImageDecoder(*size, config) for name, size in sizes})


class EncoderTask(nn.Module):
    """All cameras' encoders with the heads that train them: reconstruct, imitate, locate.

    Reconstruction alone spends the latent on the big robot and forgets the small fruit; pixels
    that differ from the camera's mean image therefore weigh more, and the latents must also tell
    the demonstrator's next actions, and where the things lie that it moves.
    """

    def __init__(
        self,
        cameras: Mapping[str, tuple[int, int]],
        proprioception: int,
        action_numbers: int,
        things: int,
        config: EncoderConfig,
    ) -> None:
        """Encoders, and heads for `action_numbers` numbers of next actions and `things` places."""
        super().__init__()
        sizes = dict(sorted(cameras.items()))
        self.encoders = nn.ModuleDict(
            {name: encoder_for(h, w, config) for name, (h, w) in sizes.items()}
        )
        self.decoders = decoders_for(sizes, config)
        known = len(sizes) * config.latent + proprioception
        self.imitate = _head(known, action_numbers)
        self.locate = _head(known, 3 * things) if things else None

    def loss(
        self,
        images: Mapping[str, Float[Tensor, "b 3 height width"]],
        recorded: Mapping[str, Float[Tensor, "b 3 height width"]],
        mean_images: Mapping[str, Float[Tensor, "1 3 half_h half_w"]],
        proprioception: Float[Tensor, "b p"],
        actions: Float[Tensor, "b n"],
        lying: tuple[Float[Tensor, "b k 3"], Float[Tensor, "b k"]],
        salience: float,
    ) -> dict[str, Float[Tensor, ""]]:
        """Mean squares of errors of reconstruction (weighted by salience), imitation and location.

        Args:
            images: what the encoders see.
            recorded: what the decoders must tell; other than `images` if those were changed.
            mean_images: of each camera, at half size.
            proprioception: normalised.
            actions: the next ones, normalised.
            lying: where things lie, normalised, and which of these are known; see `grips.Lying`.
            salience: extra weight of pixels unlike the mean image.
        """
        latents, errors = [], []
        for name, encoder in self.encoders.items():
            latent = encoder(images[name])
            target = nn.functional.avg_pool2d(recorded[name], 2)
            unusual = (target - mean_images[name]).abs().amax(1, keepdim=True)
            weight = 1.0 + salience * (unusual / 0.2).clamp(max=1.0)
            errors.append((weight * (self.decoders[name](latent).float() - target) ** 2).mean())
            latents.append(latent)
        known = torch.cat([*latents, proprioception], dim=-1)
        imitation = nn.functional.mse_loss(self.imitate(known).float(), actions)
        rebuilt = torch.stack(errors).mean()
        losses = {"reconstruction": rebuilt, "imitation": imitation}
        if self.locate is not None:
            losses["location"] = missed(self.locate(known).float().unflatten(-1, (-1, 3)), *lying)
        return losses


def _head(known: int, told: int) -> nn.Sequential:
    layers = nn.Linear(known, 256), nn.SiLU(), nn.Linear(256, 256), nn.SiLU()
    return nn.Sequential(*layers, nn.Linear(256, told))
