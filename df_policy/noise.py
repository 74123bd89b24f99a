"""The forward process: how much signal each noise level keeps.

Level 0 is exactly clean and level K exactly pure noise: both labels mean what they say.
"""

from __future__ import annotations

import math

import torch
from jaxtyping import Float, Int
from torch import Tensor


def signal_table(levels: int, schedule: str) -> Float[Tensor, "levels_and_clean"]:
    """abar_k for k = 0..K: the share of variance that is signal, 1 at level 0 and 0 at level K.

    Args:
        levels: K.
        schedule: `cosine`, `linear` or `sigmoid`.

    Raises:
        ValueError: if the schedule is unknown or K < 1.

    Source: cosine, Nichol & Dhariwal 2021 (arXiv:2102.09672) eq. 17; sigmoid, Jabri et al. 2022
    (arXiv:2212.11972); linear, Ho et al. 2020 (arXiv:2006.11239). Each is rescaled to end at 0.
    """
    if levels < 1:
        raise ValueError(f"expected at least one noise level, got {levels}")
    u = torch.linspace(0.0, 1.0, levels + 1, dtype=torch.float64)
    if schedule == "cosine":
        signal = torch.cos((u + 0.008) / 1.008 * math.pi / 2) ** 2
    elif schedule == "linear":
        signal = torch.exp(-(0.1 * u + 9.95 * u**2))
    elif schedule == "sigmoid":
        signal = torch.sigmoid(3.0 - 6.0 * u)
    else:
        raise ValueError(f"expected a schedule of cosine, linear, sigmoid, got {schedule!r}")
    signal = (signal - signal[-1]) / (signal[0] - signal[-1])
    return signal.float()


class NoiseSchedule:
    """Adds noise at a level, and turns predictions of v back into signal and noise.

    Source: v = sqrt(abar) eps - sqrt(1 - abar) x, Salimans & Ho 2022 (arXiv:2202.00512).
    """

    def __init__(self, levels: int, schedule: str, device: torch.device | str = "cpu") -> None:
        """K levels of the named schedule, on `device`."""
        signal = signal_table(levels, schedule).to(device)
        self.levels = levels
        self._signal_scale = signal.sqrt()
        self._noise_scale = (1.0 - signal).sqrt()

    def scales(self, level: Int[Tensor, "*b"]) -> tuple[Tensor, Tensor]:
        """sqrt(abar) and sqrt(1 - abar) at each level, with an axis to broadcast over a token."""
        return self._signal_scale[level].unsqueeze(-1), self._noise_scale[level].unsqueeze(-1)

    def signal(self, level: int) -> float:
        """sqrt(abar): the share of a token at this level that is signal."""
        return float(self._signal_scale[level])

    def level_of(self, ratio: float) -> int:
        """The first level whose noise is at least `ratio` times its signal; K for infinity."""
        ratios = self._noise_scale / self._signal_scale
        return int(torch.searchsorted(ratios, ratio).clamp(max=self.levels))

    def add(
        self, x: Float[Tensor, "*b d"], noise: Float[Tensor, "*b d"], level: Int[Tensor, "*b"]
    ) -> Float[Tensor, "*b d"]:
        """x^k: tokens at their levels."""
        signal_scale, noise_scale = self.scales(level)
        return signal_scale * x + noise_scale * noise

    def add_each(
        self, x: Float[Tensor, "*b d"], noise: Float[Tensor, "*b d"], level: Int[Tensor, "*b d"]
    ) -> Float[Tensor, "*b d"]:
        """The same where each number of a token has a level of its own."""
        return self.add(x.unsqueeze(-1), noise.unsqueeze(-1), level).squeeze(-1)

    def raised(
        self,
        x: Float[Tensor, "*b d"],
        noise: Float[Tensor, "*b d"],
        level: Int[Tensor, "*b"],
        to: Int[Tensor, "*b"],
    ) -> Float[Tensor, "*b d"]:
        """Tokens at a level below K, with so much more noise that they are at `to`."""
        (signal_scale, noise_scale), (signal_to, noise_to) = self.scales(level), self.scales(to)
        kept = signal_to / signal_scale
        more = (noise_to**2 - (kept * noise_scale) ** 2).clamp_min(0.0).sqrt()
        return kept * x + more * noise

    def velocity(
        self, x: Float[Tensor, "*b d"], noise: Float[Tensor, "*b d"], level: Int[Tensor, "*b"]
    ) -> Float[Tensor, "*b d"]:
        """The training target v."""
        signal_scale, noise_scale = self.scales(level)
        return signal_scale * noise - noise_scale * x

    def split(
        self, x_k: Float[Tensor, "*b d"], v: Float[Tensor, "*b d"], level: Int[Tensor, "*b"]
    ) -> tuple[Float[Tensor, "*b d"], Float[Tensor, "*b d"]]:
        """The signal and the noise that `v` says x^k is made of."""
        signal_scale, noise_scale = self.scales(level)
        return signal_scale * x_k - noise_scale * v, noise_scale * x_k + signal_scale * v

    def towards(
        self, x_k: Float[Tensor, "*b d"], signal: Float[Tensor, "*b d"], level: Int[Tensor, "*b"]
    ) -> Float[Tensor, "*b d"]:
        """The v that says that x^k, which is not clean, is made of this signal."""
        signal_scale, noise_scale = self.scales(level)
        noise = (x_k - signal_scale * signal) / noise_scale
        return self.velocity(signal, noise, level)

    def step(
        self,
        x_k: Float[Tensor, "*b d"],
        v: Float[Tensor, "*b d"],
        level: Int[Tensor, "*b"],
        to: Int[Tensor, "*b"],
        eta: float = 0.0,
        generator: torch.Generator | None = None,
    ) -> Float[Tensor, "*b d"]:
        """One DDIM step from `level` down to `to`.

        Source: Song et al. 2021, DDIM (arXiv:2010.02502) eq. 12 and 16.
        """
        signal, noise = self.split(x_k, v, level)
        signal_to, noise_to = self.scales(to)
        if eta == 0.0:
            return signal_to * signal + noise_to * noise
        signal_from, noise_from = self.scales(level)
        ratio = (noise_to / noise_from.clamp_min(1e-12)) ** 2
        variance = ratio * (1.0 - (signal_from / signal_to.clamp_min(1e-12)) ** 2)
        sigma = eta * variance.clamp_min(0.0).sqrt()
        kept = (noise_to**2 - sigma**2).clamp_min(0.0).sqrt()
        fresh = torch.randn(x_k.shape, generator=generator, device=x_k.device, dtype=x_k.dtype)
        return signal_to * signal + kept * noise + sigma * fresh
