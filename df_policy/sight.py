"""From what a robot says to what a network reads: tokens of observations and actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from jaxtyping import Float, Float64
from torch import Tensor

from df_policy.errors import DfPolicyError
from df_policy.frames import Observation
from df_policy.robot import RobotSpec
from df_policy.sampler import Given
from df_policy.tokens import TokenCodec

Rows = Sequence[Float64[np.ndarray, "10"]]
"""Actions, as `Action.row` has them."""


class Sight:
    """Makes tokens at run time as they were made for training."""

    def __init__(self, codec: TokenCodec, spec: RobotSpec, device: torch.device) -> None:
        """Tokens of this codec.

        Args:
            codec: on the device.
            spec: the robot that it was trained on.
            device: where tokens are made.
        """
        self._codec, self._spec, self._device = codec, spec, device

    def token(
        self, observation: Observation, before: Observation | None, actions: Rows
    ) -> Float[Tensor, "1 d"]:
        """The token of what is seen and the actions that led to it.

        Args:
            observation: what is seen.
            before: what was seen one action before, for a codec of two frames.
            actions: as many as a token holds, oldest first.

        Raises:
            DfPolicyError: if they are not what the codec was made for.
        """
        rows, earlier = self._rows(actions)[None], None
        if self._codec.frames == 2:
            if before is None:
                raise DfPolicyError(
                    "expected what was seen one action before, for a policy of two frames, "
                    "got nothing: it was lost, or whoever calls the policy does not keep it"
                )
            earlier = self._encoded(before)
        return self._codec.encode(*self._encoded(observation), rows, earlier)

    def given(self, committed: Rows, horizon: int) -> Given | None:
        """What is known of a plan that begins with these actions; nothing without any.

        Raises:
            DfPolicyError: if they are not finite.
        """
        if not committed:
            return None
        return Given(*self._codec.committed(self._rows(committed), horizon))

    def images(self, observation: Observation) -> dict[str, Tensor]:
        """Camera -> image (1, height, width, 3), uint8.

        Raises:
            DfPolicyError: if a camera is missing, or its image is of another size.
        """
        images = {}
        for name, (height, width) in self._spec.cameras.items():
            image = observation.images.get(name)
            if image is None:
                seen = ", ".join(sorted(observation.images)) or "none"
                raise DfPolicyError(f"camera {name!r} is missing; the observation has: {seen}")
            if image.shape != (height, width, 3):
                raise DfPolicyError(
                    f"camera {name!r}: expected an image of {(height, width, 3)}, "
                    f"got {image.shape}; set the camera, or train on its images"
                )
            images[name] = torch.from_numpy(image)[None].to(self._device)
        return images

    def _rows(self, actions: Rows) -> Float[Tensor, "n 10"]:
        rows = np.stack(actions)
        if not np.isfinite(rows).all():
            raise DfPolicyError("expected finite actions, got NaN or infinity")
        return torch.from_numpy(rows).float().to(self._device)

    def _encoded(self, observation: Observation) -> tuple[Tensor, Tensor]:
        """Latents and proprioception of one frame, each with an axis for the batch."""
        here = observation.hold().row()
        if not np.isfinite(here).all():
            raise DfPolicyError("expected finite poses, got NaN or infinity")
        proprioception = torch.from_numpy(here).float().to(self._device)[None]
        return self._codec.latents(self.images(observation)), proprioception


def ages_ns(observation: Observation) -> Mapping[str, int]:
    """Camera -> how old its image is."""
    stamps_ns = observation.image_stamps_ns
    return {name: observation.stamp_ns - at_ns for name, at_ns in stamps_ns.items()}
