"""Observations and actions to tokens, and back: the only core file that knows what a token holds.

A token is [encoded observation | the actions executed since the token before], normalised. With
two frames an observation is [now | one action earlier]. The same pair of functions serves training
and the running robot.
"""

from __future__ import annotations

from collections.abc import Mapping

import torch
from jaxtyping import Bool, Float, Int, UInt8
from torch import Tensor, nn

from df_policy.config import Config
from df_policy.encoder import as_input, encoder_for
from df_policy.frames import ACTION_WIDTH
from df_policy.normalize import Normalizer
from df_policy.robot import RobotSpec

_UNCHANGED = 0.1
"""Where numbers vary by 1: what is seen is the same."""


class TokenCodec(nn.Module):
    """Encoders and normalisers between a robot's own units and tokens."""

    def __init__(
        self, spec: RobotSpec, config: Config, observation: Normalizer, action: Normalizer
    ) -> None:
        """A codec for a robot; its weights and statistics are loaded or trained elsewhere.

        Args:
            spec: cameras and their sizes.
            config: encoder and token settings.
            observation: statistics of [latents of all cameras by name | proprioception].
            action: statistics of one action row.
        """
        super().__init__()
        self.chunk, self.frames = config.token.chunk, config.token.frames
        self.window, self._latent = config.token.window, config.encoder.latent
        self.observation_weight = config.diffusion.observation_weight
        self.cameras = tuple(sorted(spec.cameras))
        self.encoders = nn.ModuleDict(
            {name: encoder_for(*spec.cameras[name], config.encoder) for name in self.cameras}
        )
        self.observation = observation
        self.action = action

    @property
    def width(self) -> int:
        """Numbers in a token."""
        return self.observation_width + self.chunk * self.action.width

    @property
    def observation_width(self) -> int:
        """Numbers of its observation, which come first."""
        return self.frames * self.observation.width

    def is_observation(self) -> Bool[Tensor, "d"]:
        """Which numbers of a token are the observation's."""
        return torch.arange(self.width) < self.observation_width

    def parts(self) -> Int[Tensor, "d"]:
        """Which part of a token each number belongs to: 1, 2, ... the cameras, 0 the rest."""
        part = torch.zeros(self.width, dtype=torch.long)
        for number, name in enumerate(self.cameras):
            part[self.camera(name)] = number + 1
        return part

    def camera(self, name: str) -> slice:
        """Where the latent of a camera's newest image is in a token."""
        begin = self.cameras.index(name) * self._latent
        return slice(begin, begin + self._latent)

    def weight(self) -> Float[Tensor, "d"]:
        """Weight of each number in the loss: actions share 1, the observation its own weight."""
        seen = self.is_observation()
        actions = (~seen).float() / (~seen).sum()
        return actions + self.observation_weight * seen.float() / seen.sum()

    def prefixes(self) -> Bool[Tensor, "chunk d"]:
        """The numbers of its first action, of its first two, and so on up to all."""
        number = torch.arange(self.width) - self.observation_width
        count = torch.arange(1, self.chunk + 1).unsqueeze(-1)
        return (number >= 0) & (number < count * self.action.width)

    def committed(
        self, actions: Float[Tensor, "m 10"], horizon: int
    ) -> tuple[Float[Tensor, "h d"], Bool[Tensor, "h d"]]:
        """Tokens of a plan of which the first actions are known, and which numbers those are."""
        device, count = actions.device, len(actions)
        rows = torch.zeros(horizon * self.chunk, self.action.width, device=device)
        decided = torch.zeros_like(rows, dtype=torch.bool)
        if count:  # a normaliser has nothing to say of none
            rows[:count], decided[:count] = self.action(actions), True
        unseen = torch.zeros(horizon, self.observation_width, device=device)
        x = torch.cat([unseen, rows.reshape(horizon, -1)], dim=-1)
        known = torch.cat([unseen.bool(), decided.reshape(horizon, -1)], dim=-1)
        return x, known

    def latents(
        self, images: Mapping[str, UInt8[Tensor, "b height width 3"]]
    ) -> Float[Tensor, "b l"]:
        """The cameras' latents side by side."""
        return torch.cat(list(self.by_camera(images).values()), dim=-1)

    def by_camera(
        self, images: Mapping[str, UInt8[Tensor, "b height width 3"]]
    ) -> dict[str, Float[Tensor, "b l"]]:
        """The latents of each camera's images."""
        return {name: self.encoders[name](as_input(images[name])) for name in self.cameras}

    def encode(
        self,
        latents: Float[Tensor, "*b l"],
        proprioception: Float[Tensor, "*b 10"],
        actions: Float[Tensor, "*b c 10"],
        earlier: tuple[Float[Tensor, "*b l"], Float[Tensor, "*b 10"]] | None = None,
    ) -> Float[Tensor, "*b d"]:
        """Tokens of encoded images, tool poses and the actions executed before them.

        Args:
            latents: of all cameras.
            proprioception: tool poses and gripper.
            actions: in the robot's units, oldest first.
            earlier: the first two, one action earlier; only where tokens have two frames.
        """
        frames = [(latents, proprioception), *([earlier] if earlier else [])]
        seen = [self.observation(torch.cat(frame, dim=-1)) for frame in frames]
        return torch.cat([*seen, self.action(actions).flatten(-2)], dim=-1)

    def is_held_on(self, x: Float[Tensor, "d"], after: Float[Tensor, "d"]) -> bool:
        """Whether all actions of two tokens are one target, and nothing new is seen: a pause.

        A policy that rests sends targets that differ, if only by less than a millimetre.
        """
        change = x[: self.observation_width] - after[: self.observation_width]
        if float(change.square().mean().sqrt()) > _UNCHANGED:
            return False
        rows = torch.cat([x[self.observation_width :], after[self.observation_width :]])
        rows = rows.reshape(2 * self.chunk, -1)
        return bool((rows == rows[0]).all())

    def decode_latents(self, x: Float[Tensor, "*b d"]) -> dict[str, Float[Tensor, "*b l"]]:
        """The latents of the newest images that tokens hold, by camera."""
        seen = self.observation.inverse(x[..., : self.observation.width])
        return {name: seen[..., self.camera(name)] for name in self.cameras}

    def decode_actions(self, x: Float[Tensor, "*b d"]) -> Float[Tensor, "*b c 10"]:
        """The actions that tokens hold, in the robot's units."""
        rows = x[..., self.observation_width :]
        return self.action.inverse(rows.reshape(*x.shape[:-1], self.chunk, -1))

    def with_actions(
        self, x: Float[Tensor, "*b d"], actions: Float[Tensor, "*b c 10"]
    ) -> Float[Tensor, "*b d"]:
        """The tokens with these actions in place of theirs."""
        rows = self.action(actions).flatten(-2)
        return torch.cat([x[..., : self.observation_width], rows], dim=-1)


ACTION_FLOOR = (*(1e-3,) * 3, *(1e-2,) * 6, 1e-3)
"""Deviations under which a column counts as constant: metres, rotation columns, metres."""
assert len(ACTION_FLOOR) == ACTION_WIDTH
