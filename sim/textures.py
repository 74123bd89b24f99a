"""What a table's top may look like, beside plain: grey patterns that are tinted when worn."""

from __future__ import annotations

import zlib
from collections.abc import Callable

import mujoco
import numpy as np
from jaxtyping import Float64

SIZE = 64
"""Pixels along each side; a pattern goes on at its edges as it begins at the other ones."""
_DARKEST = 0.55
"""Of a pattern, as a share of its brightest: stronger ones hide small fruit."""

Pattern = Float64[np.ndarray, "size size"]


def _waves(rng: np.random.Generator, most: int, count: int) -> Pattern:
    """A sum of waves with up to `most` periods along each side."""
    at = 2.0 * np.pi * np.arange(SIZE) / SIZE
    total = np.zeros((SIZE, SIZE))
    for _ in range(count):
        along, across = rng.integers(-most, most + 1, 2)
        phase = rng.uniform(0.0, 2.0 * np.pi)
        total += np.sin(along * at[:, None] + across * at[None, :] + phase)
    return total


def _grain(rng: np.random.Generator) -> Pattern:
    """Planks of wood: streaks along one side, bent a little."""
    rows = np.arange(SIZE)[:, None]
    bent = 3.0 * np.sin(2.0 * np.pi * np.arange(SIZE) / SIZE)[None, :]
    streaks = rng.normal(size=SIZE)
    return np.asarray(streaks[(rows + bent).astype(int) % SIZE])


def _stripes(rng: np.random.Generator) -> Pattern:
    widths = np.repeat(rng.uniform(size=16), SIZE // 16)
    return np.asarray(np.broadcast_to(widths, (SIZE, SIZE)).copy())


def _checks(_rng: np.random.Generator) -> Pattern:
    cell = np.arange(SIZE) // (SIZE // 8)
    return np.asarray(((cell[:, None] + cell[None, :]) % 2).astype(float))


def _blotches(rng: np.random.Generator) -> Pattern:
    return _waves(rng, 5, 24)


def _speckle(rng: np.random.Generator) -> Pattern:
    """Like granite."""
    return np.asarray((rng.uniform(size=(SIZE, SIZE)) < 0.8).astype(float))


def _weave(_rng: np.random.Generator) -> Pattern:
    """A cloth of crossing threads."""
    at = np.sin(2.0 * np.pi * 8.0 * np.arange(SIZE) / SIZE)
    return np.asarray(np.maximum(at[:, None], at[None, :]))


def _marble(rng: np.random.Generator) -> Pattern:
    """Thin dark veins."""
    return np.asarray(np.abs(_waves(rng, 4, 16)) ** 0.3)


PATTERNS: dict[str, Callable[[np.random.Generator], Pattern]] = {
    "grain": _grain,
    "stripes": _stripes,
    "checks": _checks,
    "blotches": _blotches,
    "speckle": _speckle,
    "weave": _weave,
    "marble": _marble,
}


def material_name(texture: str) -> str:
    """Of the material that carries a texture."""
    return f"top_{texture}"


def add_textures(spec: mujoco.MjSpec) -> None:
    """Put all of them into a model, worn by nothing."""
    for name, draw in PATTERNS.items():
        drawn = draw(np.random.default_rng(zlib.crc32(name.encode())))
        low, high = drawn.min(), drawn.max()
        grey = 255.0 * (_DARKEST + (1.0 - _DARKEST) * (drawn - low) / (high - low))
        kind = mujoco.mjtTexture.mjTEXTURE_2D
        texture = spec.add_texture(name=name, type=kind, width=SIZE, height=SIZE, nchannel=3)
        texture.data = np.repeat(grey.astype(np.uint8)[..., None], 3, axis=2).tobytes()
        material = spec.add_material(name=material_name(name), specular=0.15, shininess=0.3)
        material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = name
