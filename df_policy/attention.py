"""The denoiser that attends: its memory is a window of tokens and not a state.

It stands beside `network.RecurrentDenoiser` behind the same contract, so that the two kinds of
memory can be compared with all else equal.
"""

from __future__ import annotations

import torch
from jaxtyping import Float, Int
from torch import Tensor, nn

from df_policy.config import NetworkConfig
from df_policy.network import Denoiser


class AttentionLayer(nn.Module):
    """Temporal attention over a window, then an MLP; each a residual behind a layer norm.

    How far back a token lies enters as a learned number a head, added to the attention's logits.
    So keys and values do not say when they were made, and can be kept while the window slides.

    Source: Vaswani et al. 2017 (arXiv:1706.03762); the order of norms, Xiong et al. 2020
    (arXiv:2002.04745); relative biases, Raffel et al. 2020, T5 (arXiv:1910.10683) section 2.1.
    """

    def __init__(self, width: int, heads: int, window: int, block: int) -> None:
        """Attention to `window` tokens, the token itself among them, and to later ones of a block.

        Args:
            width: of a token here.
            heads: parts of it that attend on their own.
            window: tokens.
            block: tokens that see one another, see `AttentionDenoiser`.
        """
        super().__init__()
        self.heads, self.window, self.block = heads, window, block
        self.norm = nn.LayerNorm(width)
        self.query = nn.Linear(width, width)
        self.key_value = nn.Linear(width, 2 * width)
        self.bias = nn.Parameter(torch.zeros(heads, window + block - 1))
        self.mix = nn.Linear(width, width)
        self.think = nn.Sequential(
            nn.LayerNorm(width), nn.Linear(width, width), nn.SiLU(), nn.Linear(width, width)
        )

    def forward(
        self,
        h: Float[Tensor, "b n w"],
        cache: Float[Tensor, "b c w2"] | None,
        last: Int[Tensor, "#b n"],
    ) -> tuple[Float[Tensor, "b n w"], Float[Tensor, "b c w2"]]:
        """The tokens after this layer, and the keys and values to keep.

        Args:
            h: tokens, oldest first.
            cache: keys and values of the `window - 1` tokens before them; none if all were like
                the one in `h`.
            last: for each token the last of them that it may see.
        """
        normed = self.norm(h)
        own: Tensor = self.key_value(normed)
        before = own.expand(-1, self.window - 1, -1) if cache is None else cache
        known = torch.cat([before, own], dim=1)
        query = self._split(self.query(normed))
        key, value = (self._split(part) for part in known.chunk(2, dim=-1))
        logits = query @ key.transpose(-1, -2) * query.shape[-1] ** -0.5
        weights = (logits + self._bias(last)).softmax(dim=-1)
        h = h + self.mix((weights @ value).transpose(1, 2).flatten(-2))
        return h + self.think(h), known[:, h.shape[1] :]

    def _split(self, x: Float[Tensor, "b n w"]) -> Float[Tensor, "b heads n part"]:
        return x.reshape(*x.shape[:2], self.heads, -1).transpose(1, 2)

    def _bias(self, last: Int[Tensor, "b n"]) -> Float[Tensor, "b heads n l"]:
        """What is added to each logit: minus infinity for what may not be seen."""
        place = torch.arange(last.shape[1], device=last.device)
        seen = torch.arange(1 - self.window, last.shape[1], device=last.device)
        age = place[:, None] - seen
        bias = self.bias[:, (age + self.block - 1).clamp(0, self.bias.shape[1] - 1)]
        visible = (age < self.window) & (seen <= last[..., None])
        return bias.masked_fill(~visible.unsqueeze(1), float("-inf"))


class AttentionDenoiser(Denoiser):
    """Remembers the keys and values of the newest `window - 1` tokens, in each layer.

    Before an episode the window is full of one learned token. Attending to many copies of one
    token is attending to it alone, so nothing has to be masked at an episode's start.

    With `block` above 1 it is not causal: tokens that are noisy see one another within blocks of
    so many tokens, counted from the last clean one. What is clean, that is all that was observed,
    still sees the past alone; so it can be kept, and a decision costs the same at any time.

    Source: the switch, as in the attention network that followed Chen et al. 2024
    (arXiv:2407.01392); clean past and noisy block, Arriola et al. 2025 (arXiv:2503.09573).
    """

    def _make_memory(self, config: NetworkConfig) -> None:
        width, window, self.block = config.embedding_width, config.window, config.block
        self.causal = self.block == 1
        self.start = nn.Parameter(torch.randn(width))  # not 0, where a layer norm is steepest
        self.layers = nn.ModuleList(
            AttentionLayer(width, config.heads, window, self.block) for _ in range(config.layers)
        )
        self.read = nn.Sequential(nn.LayerNorm(width), nn.Linear(width, config.memory_width))
        self.cache_shape = (config.layers, window - 1, 2 * width)

    def initial(self, batch: int) -> Float[Tensor, "b m"]:
        """The memory before the first token."""
        start = self.start.expand(1, 1, -1)
        alone = torch.zeros(1, 1, dtype=torch.long, device=start.device)
        h, caches = start, []
        for layer in self.layers:
            h, cache = layer(h, None, alone)
            caches.append(cache)
        kept = torch.stack(caches, dim=1).flatten(1)
        return torch.cat([self._readable(h, start)[:, 0], kept], dim=-1).expand(batch, -1)

    def update(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b d"], level: Int[Tensor, "b *p"]
    ) -> Float[Tensor, "b m"]:
        """z_t: the memory after a token at its level; level 0 is the posterior update."""
        embedded = self._embed(x, level).unsqueeze(1)
        alone = torch.zeros(1, 1, dtype=torch.long, device=x.device)
        h, caches = self._attend(z, embedded, alone)
        kept = torch.stack(caches, dim=1).flatten(1)
        return torch.cat([self._readable(h, embedded)[:, 0], kept], dim=-1)

    def scan(
        self, x: Float[Tensor, "b t d"], level: Int[Tensor, "b t *p"]
    ) -> Float[Tensor, "b t r"]:
        """For each token of a sequence what `predict` reads of the memory, all at once."""
        return self._through(self.initial(len(x)), x, level)

    def ahead(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b h d"], level: Int[Tensor, "b h"]
    ) -> Float[Tensor, "b h r"]:
        """The same for the tokens of a plan, which follows the memory `z`."""
        return self._through(z, x, self._planned(level))

    def _through(
        self, z: Float[Tensor, "b m"], x: Float[Tensor, "b t d"], level: Int[Tensor, "b t *p"]
    ) -> Float[Tensor, "b t r"]:
        embedded = self._embed(x, level)
        whole = level if level.dim() == 2 else level[..., 0]  # its cameras may be noisier
        h, _ = self._attend(z, embedded, self._last_seen(whole))
        after = self._readable(h, embedded)
        first = z[:, None, : self.read_width].to(after.dtype)
        before = torch.cat([first, after[:, :-1]], dim=1)
        if self.causal:
            return before
        # Its own embedding would tell nothing new; the newest before it need not pass through.
        return torch.cat([after[..., : self.memory_width], before[..., self.memory_width :]], -1)

    def _attend(
        self, z: Float[Tensor, "b m"], h: Float[Tensor, "b t e"], last: Int[Tensor, "#b t"]
    ) -> tuple[Float[Tensor, "b t e"], list[Tensor]]:
        """Tokens after all layers, and what each layer keeps."""
        caches = z[:, self.read_width :].reshape(len(z), *self.cache_shape).unbind(1)
        kept = []
        for layer, cache in zip(self.layers, caches, strict=True):
            h, keep = layer(h, cache, last)
            kept.append(keep)
        return h, kept

    def _readable(
        self, h: Float[Tensor, "b t e"], embedded: Float[Tensor, "b t e"]
    ) -> Float[Tensor, "b t r"]:
        return torch.cat([self.read(h), embedded], dim=-1)

    def _last_seen(self, level: Int[Tensor, "b t"]) -> Int[Tensor, "bb t"]:
        """The last token that each token sees: itself, or where noisy the last of its block."""
        place = torch.arange(level.shape[1], device=level.device)[None]
        if self.causal:
            return place
        clean = (level == 0).long().cumprod(1).sum(1, keepdim=True)
        end = clean + ((place - clean) // self.block + 1) * self.block - 1
        return torch.where(place < clean, place, end)
