"""Settings of the two optimisations and of the run around them; see `config`."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from df_policy.errors import need


@dataclass(frozen=True)
class FitConfig:
    """One optimisation: AdamW, warm-up, cosine decay, clipped gradients, averaged weights."""

    steps: int
    batch: int
    learning_rate: float = 1e-3
    weight_decay: float = 1e-3
    warmup: int = 200
    clip: float = 1.0
    ema: float = 0.998

    def __post_init__(self) -> None:
        """Raises DfPolicyError for a value out of its range."""
        for name in ("steps", "batch", "learning_rate", "clip"):
            need(getattr(self, name) > 0, f"{name} above 0", getattr(self, name))
        for name in ("weight_decay", "warmup"):
            need(getattr(self, name) >= 0, f"{name} from 0", getattr(self, name))
        need(0.0 <= self.ema < 1.0, "ema from 0 to below 1", self.ema)


@dataclass(frozen=True)
class EncoderFitConfig(FitConfig):
    """The encoder learns to reconstruct, to imitate and to locate; it is frozen afterwards."""

    steps: int = 4000
    batch: int = 96
    reconstruction_weight: float = 10.0
    salience: float = 6.0
    """Extra weight of pixels that differ from the camera's mean image."""
    imitate: int = 10
    """Next actions that the latent must tell."""
    location_weight: float = 0.0
    """Of where things lie that the demonstrator moves, which the latent must tell; see `grips`."""
    augment: float = 0.6
    """Share of images changed in light, colour and place, or partly covered; see `augment`."""
    relight: float = 1.0
    """How much light and colours change in these."""

    def __post_init__(self) -> None:
        """Raises DfPolicyError for a value out of its range."""
        super().__post_init__()
        need(self.imitate > 0, "encoder_fit.imitate above 0", self.imitate)
        need(self.location_weight >= 0.0, "location_weight from 0", self.location_weight)
        need(0.0 <= self.augment <= 1.0, "encoder_fit.augment from 0 to 1", self.augment)
        need(0.0 <= self.relight <= 3.0, "encoder_fit.relight from 0 to 3", self.relight)


@dataclass(frozen=True)
class PolicyFitConfig(FitConfig):
    """The denoiser learns on the frozen encoder's latents."""

    steps: int = 20000
    batch: int = 16
    weight_decay: float = 3e-2
    exchange_rests: bool = True
    """Read each rest for as long as another one lasted; see `demonstrations.Rests`."""
    pauses: float = 0.5
    """Share of sequences with pauses put in; see `reading`."""

    def __post_init__(self) -> None:
        """Raises DfPolicyError for a value out of its range."""
        super().__post_init__()
        need(0.0 <= self.pauses <= 1.0, "policy_fit.pauses from 0 to 1", self.pauses)


@dataclass(frozen=True)
class RunConfig:
    """The run around both optimisations."""

    seed: int = 0
    episodes: int = 0
    """Use only so many demonstrations, the first ones; 0 for all."""
    validation: float = 0.05
    """Share of the episodes held out."""
    mirror: bool = False
    """Learn from each episode as a mirror shows it too; see `mirror` for when that is true."""
    device: str = "auto"
    """`cpu`, `cuda`, or `auto` for the GPU where there is one."""
    precision: Literal["auto", "fp32", "bf16"] = "auto"
    """`auto`: bf16 where the device has instructions for it."""
    threads: int = 1
    """CPU threads of the optimiser; the closed-loop evaluation has a process of its own."""
    save_every: int = 1000
    """Steps between saved states."""
    keep_every: int = 0
    """Policy steps between checkpoints that are kept, in checkpoints/; 0 for the newest alone."""
    evaluate_every: int = 4000
    """Policy steps between closed-loop evaluations; 0 for none."""
    evaluate_episodes: int = 20

    def __post_init__(self) -> None:
        """Raises DfPolicyError for a value out of its range."""
        need(0.0 < self.validation < 1.0, "run.validation between 0 and 1", self.validation)
        for name in ("threads", "save_every", "evaluate_episodes"):
            need(getattr(self, name) > 0, f"run.{name} above 0", getattr(self, name))
        for name in ("seed", "episodes", "keep_every", "evaluate_every"):
            need(getattr(self, name) >= 0, f"run.{name} from 0", getattr(self, name))
        expected = f"run.keep_every a multiple of run.save_every = {self.save_every}"
        need(self.keep_every % self.save_every == 0, expected, self.keep_every)
