"""Batches of token sequences, drawn from demonstrations whose images are encoded already."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import torch
from jaxtyping import Bool, Float, Int64
from torch import Tensor

from df_policy.config import Config
from df_policy.demonstrations import Demonstrations, Rests
from df_policy.reading import Reading, Rows, windows
from df_policy.tokens import TokenCodec


@dataclass(frozen=True)
class Batch:
    """Tokens of some episodes; see `reading.Windows`."""

    read: Float[Tensor, "b t d"]
    """As the memory reads them."""
    free: Float[Tensor, "b t d"]
    """As they are to be predicted: each without a pause in it."""
    real: Bool[Tensor, "b t"]
    """False where there is nothing to learn."""


class Batches:
    """Draws batches as the settings of the denoiser's training say."""

    def __init__(
        self,
        data: Demonstrations,
        codec: TokenCodec,
        latents: Float[Tensor, "n l"],
        config: Config,
        device: torch.device,
    ) -> None:
        """Touches no image.

        Args:
            data: episodes.
            codec: what makes tokens.
            latents: of all frames, on the device.
            config: all settings.
            device: where the batches are made.
        """
        self._data, self._codec, self._latents = data, codec, latents
        self._fit, self._token, self._device = config.policy_fit, config.token, device
        rows = data.proprioception().astype(np.float32)
        self._proprioception = torch.from_numpy(rows).to(device)
        self._actions = torch.from_numpy(data.action).to(device)
        self._rests = Rests(data)
        self._share = data.shares()

    def draw(self, generator: torch.Generator) -> Batch:
        """Whole episodes, the longer the likelier; some with pauses, which cut off their end."""
        fit, token = self._fit, self._token
        seed = torch.randint(2**31, (1,), generator=generator, device=generator.device)
        rng = np.random.default_rng(int(seed))
        steps = token.window * token.chunk
        readings = []
        for episode in rng.choice(len(self._share), fit.batch, p=self._share).tolist():
            order, finished = self._data.episode(episode), bool(self._rests.finished[episode])
            if fit.exchange_rests:
                order = self._rests.exchange(episode, rng)
            if rng.uniform() < fit.pauses:
                readings.append(Reading.with_pauses(order, self._data, finished, steps, rng))
            else:
                readings.append(Reading.of(order, finished, steps))
        return self.tokens(readings, rng.integers(0, token.chunk, fit.batch))

    def whole(self) -> Batch:
        """Every episode as it is, from its start."""
        count = len(self._data.ends)
        readings = [Reading.of(self._data.episode(number)) for number in range(count)]
        return self.tokens(readings, np.zeros(count, dtype=np.int64))

    def tokens(self, readings: Sequence[Reading], offsets: Int64[np.ndarray, "b"]) -> Batch:
        """A window of tokens of each episode, read from a step on."""
        cut = windows(readings, offsets, self._token.window, self._token.chunk)
        first = torch.tensor([reading.order[0] for reading in readings])
        still = self._proprioception[first]
        read = self._encode(cut.read, still)
        free = read if cut.free is cut.read else self._encode(cut.free, still)
        return Batch(read, free, torch.from_numpy(cut.real).to(self._device))

    def _encode(self, rows: Rows, still: Float[Tensor, "b 10"]) -> Float[Tensor, "b t d"]:
        """Tokens; `still` are the actions that hold where each episode begins."""
        actions = self._actions[torch.from_numpy(rows.action)]
        before = torch.from_numpy(rows.before).to(self._device)
        actions = torch.where(before[..., None], still[:, None, None], actions)
        earlier = self._seen(rows.earlier) if self._token.frames == 2 else None
        return self._codec.encode(*self._seen(rows.observation), actions, earlier)

    def _seen(self, frames: Int64[np.ndarray, "b t"]) -> tuple[Tensor, Tensor]:
        rows = torch.from_numpy(frames)
        return self._latents[rows], self._proprioception[rows]
