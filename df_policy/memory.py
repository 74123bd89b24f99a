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
from df_policy.trust import Surprise, distance, level


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
        usual: Mapping[str, float],
        generator: torch.Generator,
    ) -> None:
        """A memory before an episode.

        Args:
            denoiser: the network.
            schedule: the forward process.
            codec: what made the tokens.
            sampler: whom to trust, and which parts of the past to plan from.
            usual: camera -> the largest surprise in held-out recordings.
            generator: all randomness.
        """
        self._denoiser, self._schedule, self._codec = denoiser, schedule, codec
        self._sampler, self._usual, self._generator = sampler, dict(usual), generator
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
        self._z = self._denoiser.initial(1)
        self.foreseen: Tensor | None = None
        """The next token as the plan in force has it; nothing before the first plan."""
        self.unfinished: Tensor | None = None
        """What the plans before left partly denoised, a row each, where plans are carried over."""

    def read(self, x: Float[Tensor, "1 d"], age_ns: Mapping[str, int]) -> dict[str, float]:
        """Remember a token, each camera's part at the level at which it is believed.

        What is not believed is replaced by what was foreseen, with the noise of that level.

        Args:
            x: the token.
            age_ns: camera -> age of its image.

        Returns:
            Camera -> how far it was believed, from 0 to 1.
        """
        doubts = dict.fromkeys(self._codec.cameras, 0)
        if self._sampler.trust == "by_surprise":
            doubts = {name: self._doubt(name, x, age_ns[name]) for name in doubts}
        if any(doubts.values()):
            token = self._doubted(x, doubts)
        else:
            token = Remembered(x, torch.zeros(1, dtype=torch.long, device=self._device))
        self._newest.append(token)
        if self._sampler.past == "clean":
            self._z = self._denoiser.update(self._z, token.x, token.level)
        return {name: self._schedule.signal(doubt) for name, doubt in doubts.items()}

    def known(self) -> tuple[StepDenoiser, Tensor | Recall]:
        """With what to sample, and from which memory: one row for each plan to be drawn."""
        samples = self._sampler.samples
        if self._sampler.past != "clean":
            return self._denoiser, self._as_noisy_as_the_plan(samples)
        if not self._sampler.histories:
            return self._denoiser, self._z.expand(samples, -1)
        parts = [self._z, *(self._only(tokens) for tokens in self._sampler.histories)]
        composed = Composed(self._denoiser, self._sampler.history_weights)
        return composed, torch.cat(parts, -1).expand(samples, -1)

    def _doubt(self, camera: str, x: Float[Tensor, "1 d"], age_ns: int) -> int:
        part = self._codec.camera(camera)
        foreseen = x if self.foreseen is None else self.foreseen
        far = float(distance(x[0, part], foreseen[0, part]))
        return level(Surprise(far, age_ns), self._usual[camera], self._schedule)

    def _doubted(self, x: Float[Tensor, "1 d"], doubts: Mapping[str, int]) -> Remembered:
        each = torch.tensor([[0, *doubts.values()]], device=self._device)  # 0: the token's rest
        of_number = each[:, self._denoiser.parts]
        foreseen = x if self.foreseen is None else self.foreseen
        noisy = self._schedule.add_each(foreseen, self._noise(x.shape), of_number)
        return Remembered(torch.where(of_number > 0, noisy, x), each)

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
