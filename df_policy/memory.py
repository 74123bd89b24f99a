"""What a policy remembers of an episode: each token at the level at which it is believed."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from jaxtyping import Float, Int
from torch import Tensor

from df_policy.config import SamplerConfig
from df_policy.network import Denoiser
from df_policy.noise import NoiseSchedule
from df_policy.sampler import Composed, Recall, StepDenoiser, remember
from df_policy.tokens import TokenCodec
from df_policy.trust import level_of_imagined


@dataclass(frozen=True)
class Remembered:
    """A token as the memory read it."""

    x: Float[Tensor, "1 d"]
    level: Int[Tensor, "1 *p"]


class Memory:
    """The tokens of an episode so far, as one vector and, where the sampler asks, as they were."""

    def __init__(
        self,
        denoiser: Denoiser,
        schedule: NoiseSchedule,
        codec: TokenCodec,
        sampler: SamplerConfig,
        uncertainty: Mapping[str, float],
        generator: torch.Generator,
    ) -> None:
        """A memory before an episode.

        Args:
            denoiser: the network.
            schedule: the forward process.
            codec: what made the tokens.
            sampler: whom to trust, and which parts of the past to plan from.
            uncertainty: camera -> error of its latent imagined one token ahead; see `trust`.
            generator: all randomness.
        """
        self._denoiser, self._schedule, self._codec = denoiser, schedule, codec
        self._sampler, self._uncertainty = sampler, dict(uncertainty)
        self._generator = generator
        self._device = generator.device
        longest = max(sampler.histories, default=0)
        if sampler.past != "clean":
            longest = codec.window
        self._newest: deque[Remembered] = deque(maxlen=longest)
        self.reset()

    @torch.inference_mode()
    def reset(self) -> None:
        """Forget the episode."""
        self._newest.clear()
        self.newest: Remembered | None = None
        self._z = self._before = self._denoiser.initial(1)
        self._unseen = dict.fromkeys(self._codec.cameras, 0)
        """Camera -> tokens since it was believed; the levels of what is taken tell."""
        self.foreseen: Tensor | None = None
        """The next token as the plan in force has it; nothing before the first plan."""
        self.unfinished: Tensor | None = None
        """What the plans before left partly denoised, where plans are carried over."""

    def read(self, x: Float[Tensor, "1 d"], doubts: Mapping[str, int]) -> None:
        """Remember a token, each camera's part at the level at which it is believed.

        Where what was foreseen is surer than what was seen, it is remembered in its place.

        Args:
            x: the token.
            doubts: camera -> level at which its image is believed; 0 for those left out.
        """
        if any(doubts.values()):
            token = self._doubted(x, doubts)
        else:
            token = Remembered(x, torch.zeros(1, dtype=torch.long, device=self._device))
        self.take(token)

    def take(self, token: Remembered) -> None:
        """Remember a token as it was read once.

        While the robot is held and nothing happens, a token takes the place of the one before:
        how long a pause lasts tells nothing.
        """
        if self.newest is not None and self._codec.is_held_on(self.newest.x[0], token.x[0]):
            self._z = self._before
            if self._newest:
                self._newest.pop()
        self.newest = token
        self._newest.append(token)
        self._before = self._z
        if self._sampler.past == "clean":
            self._z = self._denoiser.update(self._z, token.x, token.level)
        # Of a token that was held too: what is imagined in a pause comes of what was before it.
        doubts = token.level.flatten()[1:].tolist() or [0] * len(self._unseen)
        for name, doubt in zip(self._unseen, doubts, strict=True):
            self._unseen[name] = self._unseen[name] + 1 if doubt else 0

    def known(self, samples: int) -> tuple[StepDenoiser, Tensor | Recall]:
        """With what to sample, and from which memory: one row for each plan to be drawn."""
        if self._sampler.past != "clean":
            return self._denoiser, self._as_noisy_as_the_plan(samples)
        if not self._sampler.histories:
            return self._denoiser, self._z.expand(samples, -1)
        parts = [self._z, *(self._only(tokens) for tokens in self._sampler.histories)]
        composed = Composed(self._denoiser, self._sampler.history_weights)
        return composed, torch.cat(parts, -1).expand(samples, -1)

    def _doubted(self, x: Float[Tensor, "1 d"], doubts: Mapping[str, int]) -> Remembered:
        """The token with each doubted part at its level: as seen, or as foreseen if surer."""
        believed, levels = x.clone(), [0]  # 0: the token's rest
        for name in self._codec.cameras:
            doubt, part = doubts.get(name, 0), self._codec.camera(name)
            if doubt and self.foreseen is not None:
                tokens = 1 + self._unseen[name]
                imagined = level_of_imagined(self._uncertainty[name], tokens, self._schedule)
                if imagined < doubt:
                    doubt, believed[:, part] = imagined, self.foreseen[:, part]
            levels.append(doubt)
        each = torch.tensor([levels], device=self._device)
        noisy = self._schedule.add_each(
            believed, self._noise(x.shape), each[:, self._denoiser.parts]
        )
        return Remembered(noisy, each)

    def _only(self, tokens: int) -> Float[Tensor, "1 m"]:
        """The memory of the newest tokens alone: what was before them is pure noise."""
        nothing = torch.full((1,), self._schedule.levels, device=self._device)
        z = self._denoiser.initial(1)
        z = self._denoiser.update(z, self._noise((1, self._codec.width)), nothing)
        for token in list(self._newest)[-tokens:]:
            z = self._denoiser.update(z, token.x, token.level)
        return z

    def _as_noisy_as_the_plan(self, samples: int) -> Recall:
        """The past at the plan's level.

        It gets its noise once a plan: then it is the path by which DDIM would have come to the
        past as it was.
        """
        past = torch.stack([token.x for token in self._newest], dim=1).expand(samples, -1, -1)
        noise = self._noise(past.shape)

        def recall(level: int) -> Tensor:
            levels = torch.full(past.shape[:2], level, device=self._device)
            return remember(self._denoiser, self._schedule.add(past, noise, levels), levels)[1]

        return recall

    def _noise(self, shape: tuple[int, ...]) -> Tensor:
        return torch.randn(shape, generator=self._generator, device=self._device)
