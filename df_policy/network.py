"""The denoisers: z_t = f(z_{t-1}, x_t^k, k_t), and what is noise in x_t^k given z_{t-1}.

They see tokens and levels only; what a token holds is none of their business. Here is what all of
them share, and the recurrent one; the one that attends is in `attention`.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod

import torch
from jaxtyping import Bool, Float, Int
from torch import Tensor, nn

from df_policy.config import NetworkConfig
from df_policy.packed import packed

LEVEL_FEATURES = 64


def level_features(levels: int) -> Float[Tensor, "k 64"]:
    """For each level 0..K sines and cosines of k / K, from half a turn to 128 turns."""
    rates = torch.exp2(torch.linspace(-1.0, 7.0, LEVEL_FEATURES // 2))
    angle = (2.0 * math.pi / levels) * torch.arange(levels + 1).unsqueeze(-1) * rates
    return torch.cat([angle.sin(), angle.cos()], dim=-1)


class ModulatedBlock(nn.Module):
    """A residual MLP whose input is scaled and shifted, and whose output is gated, from outside.

    The three come from one projection of the condition that all blocks share, plus an offset of
    each block's own: weights that are read once a decision instead of once a block.

    Source: FiLM, Perez et al. 2018 (arXiv:1709.07871); the gate as in adaLN-Zero, Peebles & Xie
    2023 (arXiv:2212.09748) section 3.2; sharing as in adaLN-single, Chen et al. 2023, PixArt-alpha
    (arXiv:2310.00426) section 2.3.
    """

    def __init__(self, width: int) -> None:
        """A block that starts as the identity."""
        super().__init__()
        self.norm = nn.LayerNorm(width, elementwise_affine=False)
        self.offset = nn.Parameter(torch.zeros(3 * width))
        self.inner = nn.Linear(width, width)
        self.outer = nn.Linear(width, width)

    def forward(
        self, h: Float[Tensor, "*b w"], modulation: Float[Tensor, "*b w3"]
    ) -> Float[Tensor, "*b w"]:
        """`h`, changed as the modulation tells."""
        scale, shift, gate = (modulation + self.offset).chunk(3, dim=-1)
        inner: Tensor = self.inner(self.norm(h) * (1.0 + scale) + shift)
        change = gate * self.outer(nn.functional.silu(inner))
        result: Tensor = h + change
        return result


class Denoiser(nn.Module, ABC):
    """Predicts v of a noised token from a memory of the tokens before it.

    The memory z is one flat vector, whatever a kind of memory keeps in it. The first
    `memory_width + embedding_width` numbers are what a prediction reads: what the memory makes of
    all tokens, and the newest token's embedding, so that what was just seen need not pass through
    it. It starts at a learned value, the same in training and at run time.

    Source: Chen et al. 2024, Diffusion Forcing (arXiv:2407.01392), section 3.2.
    """

    causal = True
    """Whether a token's memory knows nothing of the token itself, nor of later ones."""
    _precision = torch.float32
    """In which `predict` computes."""

    def __init__(
        self,
        token_width: int,
        levels: int,
        config: NetworkConfig,
        remembered: Bool[Tensor, "d"] | None = None,
        predicted: Bool[Tensor, "d"] | None = None,
        parts: Int[Tensor, "d"] | None = None,
    ) -> None:
        """A network for tokens of `token_width` numbers and `levels` noise levels.

        Args:
            token_width: d.
            levels: K.
            config: sizes, and the kind of memory.
            remembered: the part of a token that a memoryless network may look at.
            predicted: the part that is predicted. The rest of a noised token is never read, for
                at run time nobody could say it: a token at level 0 was observed, any other not.
            parts: which part of a token each number belongs to, 0..p-1; the memory is told a level
                for each part. Only looked at where `config.levels_for` is `camera`.
        """
        super().__init__()
        self.register_buffer("level_features", level_features(levels), persistent=False)
        self.level_features: Tensor
        self.memoryless = config.memory == "last_observation"
        self.memory_width = config.memory_width
        everything = torch.ones(token_width, dtype=torch.bool)
        mask = everything if remembered is None else remembered
        self.register_buffer("remembered", mask.float(), persistent=False)
        self.remembered: Tensor
        mask = everything if predicted is None else predicted
        self.whole = bool(mask.all())
        self.register_buffer("predicted", mask.float(), persistent=False)
        self.predicted: Tensor
        if parts is None or config.levels_for == "token":
            parts = torch.zeros(token_width, dtype=torch.long)
        self.register_buffer("parts", parts, persistent=False)
        self.parts: Tensor
        self._part_count = int(parts.max()) + 1
        self.embed = nn.Sequential(
            nn.Linear(token_width + self._part_count * LEVEL_FEATURES, config.width),
            nn.SiLU(),
            nn.Linear(config.width, config.embedding_width),
        )
        self._make_memory(config)
        self.read_width = config.memory_width + config.embedding_width
        self.condition = nn.Sequential(
            nn.Linear(self.read_width + LEVEL_FEATURES, config.width),
            nn.SiLU(),
            nn.Linear(config.width, config.width),
            nn.SiLU(),
        )
        self.modulation = nn.Linear(config.width, 3 * config.width)
        nn.init.zeros_(self.modulation.weight)
        nn.init.zeros_(self.modulation.bias)
        self.enter = nn.Linear(2 * token_width, config.width)
        self.blocks = nn.ModuleList(ModulatedBlock(config.width) for _ in range(config.blocks))
        self.leave = nn.Sequential(
            nn.LayerNorm(config.width), nn.Linear(config.width, token_width)
        )

    @abstractmethod
    def _make_memory(self, config: NetworkConfig) -> None:
        """Add the layers that remember."""

    @abstractmethod
    def initial(self, batch: int) -> Float[Tensor, "b m"]:
        """The memory before the first token."""

    @abstractmethod
    def update(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b d"], level: Int[Tensor, "b *p"]
    ) -> Float[Tensor, "b m"]:
        """z_t: the memory after a token at its level; level 0 is the posterior update.

        Args:
            z: the memory before it.
            x: tokens.
            level: of each token, or of each part of each token.
        """

    @abstractmethod
    def scan(
        self, x: Float[Tensor, "b t d"], level: Int[Tensor, "b t *p"]
    ) -> Float[Tensor, "b t r"]:
        """For each token of a sequence what `predict` reads of the memory, all at once."""

    @abstractmethod
    def ahead(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b h d"], level: Int[Tensor, "b h"]
    ) -> Float[Tensor, "b h r"]:
        """The same for the tokens of a plan, which follows the memory `z`."""

    def _embed(self, x: Float[Tensor, "*b d"], level: Int[Tensor, "..."]) -> Float[Tensor, "..."]:
        """Tokens at their levels, (*b,), or at those of their parts, (*b, p)."""
        if level.dim() < x.dim():
            level = level.unsqueeze(-1).expand(*level.shape, self._part_count)
        if self.memoryless:
            x = x * self.remembered
        if not self.whole:
            x = torch.where(level[..., :1] > 0, x * self.predicted, x)
        features = self.level_features[level].flatten(-2)
        embedded: Tensor = self.embed(torch.cat([x, features], dim=-1))
        return embedded

    def _planned(self, level: Int[Tensor, "*b"]) -> Int[Tensor, "*b"]:
        """Levels of planned tokens; a finished one must not pass for an observed one."""
        return level if self.whole else level.clamp_min(1)

    def predict(
        self,
        z: Float[Tensor, "*b m"],
        x: Float[Tensor, "*b d"],
        level: Int[Tensor, "*b"],
        given: Bool[Tensor, "*b d"] | None = None,
    ) -> Float[Tensor, "*b d"]:
        """v of a token at its level, given the memory that `scan`, `ahead` or `update` made.

        Args:
            z: the memory.
            x: tokens.
            level: of each token.
            given: which numbers are not noised but known, and for which v means nothing.
        """
        kind = self._precision
        known = torch.cat([z[..., : self.read_width], self.level_features[level]], dim=-1)
        modulation = self.modulation(self.condition(known.to(kind)))
        noised = x if self.whole else x * self.predicted
        known_part = torch.zeros_like(x) if given is None else given.to(x.dtype)
        h = self.enter(torch.cat([noised, known_part], dim=-1).to(kind))
        for block in self.blocks:
            h = block(h, modulation)
        v: Tensor = self.leave(h)
        return v.to(x.dtype)

    def predict_in(self, kind: torch.dtype, rows: int = 1) -> None:
        """Keep the weights of `predict` in another precision, for running only.

        In bfloat16 a call for eight tokens costs no more than for one. The memory stays in
        float32: its rounding would add up over an episode.

        Args:
            kind: the precision.
            rows: tokens in a call, about.
        """
        self._precision = kind
        for name in ("condition", "modulation", "enter", "blocks", "leave"):
            setattr(self, name, packed(getattr(self, name).to(kind), rows))


class RecurrentDenoiser(Denoiser):
    """Remembers in a state that is as large after a thousand tokens as after one."""

    def _make_memory(self, config: NetworkConfig) -> None:
        self.recurrence = nn.GRU(config.embedding_width, config.memory_width, batch_first=True)
        self.start = nn.Parameter(torch.zeros(config.memory_width + config.embedding_width))

    def initial(self, batch: int) -> Float[Tensor, "b m"]:
        """The memory before the first token."""
        return self.start.expand(batch, -1)

    def update(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b d"], level: Int[Tensor, "b *p"]
    ) -> Float[Tensor, "b m"]:
        """z_t: the memory after a token at its level; level 0 is the posterior update."""
        embedded = self._embed(x, level)
        before = self.initial(len(x)) if self.memoryless else z
        state = before[:, : self.memory_width].unsqueeze(0).contiguous()
        after, _ = self.recurrence(embedded.unsqueeze(1), state)
        return torch.cat([after[:, 0], embedded], dim=-1)

    def scan(
        self, x: Float[Tensor, "b t d"], level: Int[Tensor, "b t *p"]
    ) -> Float[Tensor, "b t m"]:
        """The memory *before* each token, all at once: what `update` gives token by token."""
        batch, tokens, _ = x.shape
        embedded = self._embed(x, level)
        state = self.start[: self.memory_width].expand(1, batch, -1).contiguous()
        if self.memoryless:
            alone = embedded.reshape(batch * tokens, 1, -1)
            states, _ = self.recurrence(alone, state.repeat(1, tokens, 1))
            states = states.reshape(batch, tokens, -1)
        else:
            states, _ = self.recurrence(embedded, state)
        after = torch.cat([states, embedded], dim=-1)
        first = self.initial(batch).to(after.dtype).unsqueeze(1)
        return torch.cat([first, after[:, :-1]], dim=1)

    def ahead(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b h d"], level: Int[Tensor, "b h"]
    ) -> Float[Tensor, "b h m"]:
        """The memory before each token of a plan, carried through the tokens as they are."""
        level = self._planned(level)
        memories = [z]
        for t in range(x.shape[1] - 1):
            memories.append(self.update(memories[-1], x[:, t], level[:, t]))
        return torch.stack(memories, dim=1)
