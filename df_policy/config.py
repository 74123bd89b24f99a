"""Every setting of the policy and its training, as frozen dataclasses.

The resolved configuration is stored in each checkpoint; `python -m df_policy train --help` lists
every value, and any of them can be given on the command line.
"""

from __future__ import annotations

import dataclasses
import json
from dataclasses import dataclass, field
from typing import Any, Literal, get_args

from df_policy.errors import DfPolicyError, nearest, need
from df_policy.fit_config import EncoderFitConfig, PolicyFitConfig, RunConfig

Choice = Literal["drawn", "densest"]
"""How one of several plans is chosen; see `choice`."""


@dataclass(frozen=True)
class EncoderConfig:
    """Images to a latent vector, one convolutional encoder a camera."""

    reads: Literal["cells", "keypoints"] = "cells"
    """`cells`: what is in each part of the image, for cameras, places and light that stay as they
    are. `keypoints`: where features are, for things that may be anywhere; see `keypoints`."""
    latent: int = 32
    """Width of one camera's latent."""
    channels: tuple[int, ...] = (32, 64, 64)
    """Channels of the stride-2 convolutions of `cells`."""
    keypoints: int = 32
    """Features that `keypoints` looks for in a camera's image."""

    def __post_init__(self) -> None:
        """Raises DfPolicyError for a value out of its range."""
        need(self.latent > 0, "encoder.latent above 0", self.latent)
        fits = bool(self.channels) and min(self.channels) > 0
        need(fits, "encoder.channels above 0", self.channels)
        need(self.keypoints > 0, "encoder.keypoints above 0", self.keypoints)


@dataclass(frozen=True)
class TokenConfig:
    """What one token holds: an observation and the actions that led to it."""

    chunk: int = 8
    """Actions in a token; memory advances once a chunk."""
    window: int = 28
    """Tokens in a training sequence; as long as an episode, or memory drifts."""
    frames: Literal[1, 2] = 1
    """Frames in an observation: the newest, and with 2 the one an action earlier too."""

    def __post_init__(self) -> None:
        """Raises DfPolicyError for a value out of its range."""
        need(self.chunk > 0, "token.chunk above 0", self.chunk)
        need(self.window > 1, "token.window above 1", self.window)


@dataclass(frozen=True)
class DiffusionConfig:
    """The forward process and how levels are drawn in training."""

    levels: int = 1000
    """K: level 0 is exactly clean, level K exactly pure noise."""
    schedule: Literal["cosine", "linear", "sigmoid"] = "cosine"
    clean_history: float = 0.5
    """Share of sequences whose memory reads clean tokens only, as when nothing is planned ahead.
    In the rest it reads clean tokens up to a random one and noised tokens from there on, as when
    a plan is sampled; a prefix of no clean token at all is the paper's case."""
    history_noise: float = 0.1
    """Standard deviation added to clean histories, in units of the normalised token."""
    observation_weight: float = 0.25
    """Weight of the predicted observation beside the predicted actions (weight 1). At 0 none is
    predicted, and of tokens that are planned the memory reads their actions alone."""
    doubt: float = 0.3
    """Share of sequences whose memory reads a camera noised for a while, for each camera."""
    forget: float = 0.15
    """Share of sequences whose memory reads pure noise up to a random token."""
    commit: float = 0.5
    """Share of tokens whose first actions are given, as they are when they are carried out while
    the plan is made."""
    shared_level: bool = False
    """One level for all tokens of a sequence, in the memory too, in place of one for each."""

    def __post_init__(self) -> None:
        """Raises DfPolicyError for a value out of its range."""
        need(self.levels > 1, "diffusion.levels above 1", self.levels)
        for name in ("clean_history", "doubt", "forget", "commit"):
            share = getattr(self, name)
            need(0.0 <= share <= 1.0, f"diffusion.{name} from 0 to 1", share)
        need(self.history_noise >= 0.0, "diffusion.history_noise from 0", self.history_noise)
        weight = self.observation_weight
        need(weight >= 0.0, "diffusion.observation_weight from 0", weight)


@dataclass(frozen=True)
class NetworkConfig:
    """The denoiser: what it remembers with, and its sizes."""

    memory: Literal["recurrent", "last_observation", "attention"] = "recurrent"
    """`recurrent`: in a state. `attention`: in a window of tokens. `last_observation` forgets all
    but the newest observation: the memoryless baseline."""
    levels_for: Literal["token", "camera"] = "camera"
    """Whether the memory is told one level of a token, or one of each camera and of the rest."""
    memory_width: int = 256
    embedding_width: int = 256
    width: int = 384
    blocks: int = 3
    window: int = 28
    """Attention only: tokens that it sees, the present one among them."""
    layers: int = 2
    """Attention only."""
    heads: int = 4
    """Attention only; they share out the embedding."""
    block: int = 1
    """Attention only: noisy tokens that see one another. 1 is causal; as many as are planned ahead
    makes a plan's tokens see its later ones too."""

    def __post_init__(self) -> None:
        """Raises DfPolicyError for a value out of its range."""
        sizes = ("memory_width", "embedding_width", "width", "blocks")
        for name in (*sizes, "window", "layers", "heads", "block"):
            need(getattr(self, name) > 0, f"network.{name} above 0", getattr(self, name))
        if self.memory == "attention":
            shared = f"network.embedding_width divisible by network.heads = {self.heads}"
            need(self.embedding_width % self.heads == 0, shared, self.embedding_width)
        else:
            only = "network.block of 1, or network.memory attention"
            need(self.block == 1, only, f"{self.block} and {self.memory}")


@dataclass(frozen=True)
class SamplerConfig:
    """How a plan is sampled at run time."""

    horizon: int = 2
    """Tokens planned ahead."""
    every: int = 2
    """Actions between two plans; divides the chunk. A memory advances by a chunk, so there are as
    many memories, one for each place in it at which a plan can begin, and each reads every so many
    observations."""
    commit: int = 1
    """Actions of the plan in force that a new one takes over as they are, from its observation on:
    they are under way while it is made."""
    steps: int = 4
    """DDIM steps a token."""
    matrix: Literal["pyramid", "autoregressive", "full_sequence", "rolling", "warm"] = "pyramid"
    """`rolling` carries each plan over, partly denoised, to the plan that begins a token later;
    `warm` does, and noises it anew."""
    lag: float = 1.0
    """Pyramid only: denoising steps that each later token lags behind."""
    samples: int = 8
    """Plans drawn at once, of which one is carried out."""
    choice: Choice = "drawn"
    """The first, or rather the middle one of those nearest to it; or the one with most others near
    it, which never makes the rarer choice, and rests where a demonstrator might rest; see
    `choice`."""
    eta: float = 0.0
    """DDIM's share of fresh noise: 0 deterministic, 1 ancestral."""
    past: Literal["clean", "same_level"] = "clean"
    """How a plan reads what was observed: as it is, or noised to the level that the plan is at."""
    trust: Literal["always", "by_plausibility"] = "always"
    """Whether the memory takes each image as it comes, or no farther than it can; see `trust`."""
    histories: tuple[int, ...] = ()
    """Beside the whole past, plan from only so many of its newest tokens, each."""
    history_weights: tuple[float, ...] = ()
    """Of the whole past and of each of `histories` in the sum of their predictions."""

    def __post_init__(self) -> None:
        """Raises DfPolicyError for a value out of its range."""
        need(self.horizon > 0, "sampler.horizon above 0", self.horizon)
        need(self.steps > 0, "sampler.steps above 0", self.steps)
        need(self.samples > 0, "sampler.samples above 0", self.samples)
        known = get_args(Choice)
        need(self.choice in known, f"sampler.choice {' or '.join(known)}", self.choice)
        need(self.every > 0, "sampler.every above 0", self.every)
        need(self.commit >= 0, "sampler.commit from 0", self.commit)
        need(self.lag >= 0.0, "sampler.lag from 0", self.lag)
        need(0.0 <= self.eta <= 1.0, "sampler.eta from 0 to 1", self.eta)
        if self.past == "same_level":
            level = "sampler.matrix full_sequence where sampler.past is same_level"
            need(self.matrix == "full_sequence", level, self.matrix)
        need(min(self.histories, default=1) > 0, "sampler.histories above 0", self.histories)
        count = len(self.histories) + 1 if self.histories else 0
        fits = len(self.history_weights) == count
        need(fits, f"{count} sampler.history_weights", self.history_weights)
        plain = self.past == "clean" or not (self.histories or self.trust != "always")
        need(plain, "sampler.past clean with histories or trust by_plausibility", self.past)


@dataclass(frozen=True)
class Config:
    """All settings of one run."""

    encoder: EncoderConfig = field(default_factory=EncoderConfig)
    token: TokenConfig = field(default_factory=TokenConfig)
    diffusion: DiffusionConfig = field(default_factory=DiffusionConfig)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    sampler: SamplerConfig = field(default_factory=SamplerConfig)
    encoder_fit: EncoderFitConfig = field(default_factory=EncoderFitConfig)
    policy_fit: PolicyFitConfig = field(default_factory=PolicyFitConfig)
    run: RunConfig = field(default_factory=RunConfig)

    def __post_init__(self) -> None:
        """Raises DfPolicyError for a value out of its range."""
        every, chunk = self.sampler.every, self.token.chunk
        need(chunk % every == 0, f"sampler.every that divides token.chunk = {chunk}", every)
        steps, levels = self.sampler.steps, self.diffusion.levels
        need(steps <= levels, f"sampler.steps of at most diffusion.levels = {levels}", steps)
        doubts, apart = self.diffusion.doubt > 0.0, self.network.levels_for == "camera"
        doubts |= self.sampler.trust != "always"
        need(apart or not doubts, "network.levels_for camera to doubt a camera", "token")


def resampled(sampler: SamplerConfig, changes: str) -> SamplerConfig:
    """The sampler with other values.

    Args:
        sampler: what is kept of it is what `changes` does not name.
        changes: a JSON object such as `{"horizon": 1}`; nothing for none.

    Raises:
        DfPolicyError: if it is none, or a name, type or value is not one of a sampler's.
    """
    what = 'sampler settings as a JSON object such as {"horizon": 1}'
    try:
        given = json.loads(changes or "{}")
    except ValueError as error:
        raise DfPolicyError(f"expected {what}, got {changes[:200]!r}: {error}") from error
    need(isinstance(given, dict), what, repr(changes[:200]))
    known = dataclasses.asdict(sampler)
    for name, value in given.items():
        if name not in known:
            hint = nearest(name, known)
            raise DfPolicyError(
                f"expected sampler settings {', '.join(known)}, got {name!r}{hint}"
            )
        given[name] = tuple(value) if isinstance(value, list) else value
        kinds = (int, float) if isinstance(known[name], float) else type(known[name])
        fits = isinstance(given[name], kinds) and not isinstance(value, bool)
        need(fits, f"sampler.{name} as {known[name]!r} is", value)
    return dataclasses.replace(sampler, **given)


def to_json(config: Config) -> dict[str, Any]:
    """The configuration as plain values."""
    return dataclasses.asdict(config)


def from_json(values: dict[str, Any]) -> Config:
    """The configuration that `to_json` wrote.

    Raises:
        DfPolicyError: if a section or value is unknown, so that no setting is silently lost.
    """
    sections = {section.name: section.default_factory for section in dataclasses.fields(Config)}
    built: dict[str, Any] = {}
    for name, section in values.items():
        kind: Any = sections.get(name)
        known = {item.name for item in dataclasses.fields(kind)} if kind else set()
        if kind is None or not set(section) <= known:
            extra = sorted(set(section) - known) if kind else [name]
            raise DfPolicyError(
                f"the checkpoint's configuration has unknown values {extra} in {name!r}; "
                "another version of df_policy wrote it: train again or install that version"
            )
        fields = {key: tuple(v) if isinstance(v, list) else v for key, v in section.items()}
        built[name] = kind(**fields)
    return Config(**built)
