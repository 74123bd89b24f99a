"""Lossless image compression for zarr: WebP, one image a chunk.

Measured on frames of the fruit swap simulation, 64x64x3 (12,288 bytes), both cameras, one thread:
bytes, and microseconds of processor time to encode and decode a frame, mean of n = 400 frames.

| codec           | bytes | encode | decode |
|-----------------|------:|-------:|-------:|
| WebP, method 0  |  1654 |    190 |     40 |
| WebP, method 4  |  1187 |    969 |     40 |
| JPEG XL, 1      |  1882 |    796 |    160 |
| JPEG XL, 7      |  1803 |   4164 |    670 |
| JPEG-LS         |  2546 |     74 |     62 |
| PNG, level 6    |  1833 |    216 |     45 |
| QOI             |  1893 |     13 |     11 |
| zstd, level 3   |  1787 |     37 |     22 |

WebP is the smallest; its fastest method leaves time for larger cameras while recording.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import imagecodecs
import numpy as np
from numpy.typing import NDArray
from zarr.abc.codec import ArrayBytesCodec
from zarr.registry import register_codec

from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from zarr.core.array_spec import ArraySpec
    from zarr.core.buffer import Buffer, NDBuffer

CODEC_NAME = "df_policy.webp"

LARGEST_SIDE = 16383
"""Pixels; the format cannot hold more."""

_METHOD = 0
"""The encoder's effort, 0 to 6: all of them are lossless."""


def encode(image: NDArray[np.uint8]) -> bytes:
    """One RGB image (H, W, 3) as a lossless WebP file."""
    return bytes(imagecodecs.webp_encode(image, lossless=True, method=_METHOD))


@dataclass(frozen=True)
class WebpCodec(ArrayBytesCodec):
    """One RGB image (1, H, W, 3) uint8 <-> one lossless WebP file."""

    is_fixed_size = False

    @classmethod
    def from_dict(cls, data: dict[str, Any]) -> WebpCodec:
        """The codec; it has no settings that a reader must know."""
        return cls()

    def to_dict(self) -> dict[str, Any]:
        """What the array's metadata say of this codec."""
        return {"name": CODEC_NAME}

    def compute_encoded_size(self, input_byte_length: int, chunk_spec: ArraySpec) -> int:
        """Unknown before encoding.

        Raises:
            NotImplementedError: always.
        """
        raise NotImplementedError

    def validate(self, *, shape: tuple[int, ...], dtype: Any, chunk_grid: Any) -> None:
        """Refuse an array that does not hold RGB images.

        Raises:
            DfPolicyError: if it is no (N, H, W, 3) uint8, or too large for the format.
        """
        native = dtype.to_native_dtype()
        if len(shape) != 4 or shape[3] != 3 or native != np.uint8:
            raise DfPolicyError(
                f"expected images (N, H, W, 3) uint8 for {CODEC_NAME}, got {shape} {native}"
            )
        if max(shape[1:3]) > LARGEST_SIDE:
            raise DfPolicyError(
                f"expected images of at most {LARGEST_SIDE} pixels a side, got {shape[1:3]}; "
                "scale the camera down"
            )

    async def _decode_single(self, chunk_data: Buffer, chunk_spec: ArraySpec) -> NDBuffer:
        # A given place makes the codec refuse other sizes before it takes memory for them.
        pixels: Any = np.empty(chunk_spec.shape, np.uint8)
        encoded = chunk_data.to_bytes()
        await asyncio.to_thread(imagecodecs.webp_decode, encoded, out=pixels[0])
        return chunk_spec.prototype.nd_buffer.from_ndarray_like(pixels)

    async def _encode_single(self, chunk_data: NDBuffer, chunk_spec: ArraySpec) -> Buffer:
        chunk = np.asarray(chunk_data.as_numpy_array())
        image = np.ascontiguousarray(chunk.reshape(chunk_spec.shape[-3:]))
        encoded = await asyncio.to_thread(encode, image)
        return chunk_spec.prototype.buffer.from_bytes(encoded)


register_codec(CODEC_NAME, WebpCodec)
