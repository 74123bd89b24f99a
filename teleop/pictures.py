"""Camera images as people see them: JPEG for a page, letters for a terminal."""

from __future__ import annotations

import cv2
import numpy as np
from jaxtyping import UInt8
from rich.style import Style
from rich.text import Text

from df_policy.frames import Image

# Small images are shown large: blurred colours would show too.
_ENCODING = (
    cv2.IMWRITE_JPEG_QUALITY,
    85,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR,
    cv2.IMWRITE_JPEG_SAMPLING_FACTOR_444,
)
_LARGEST_SIDE = 480
"""Pixels; larger ones cost time and say no more."""


def shrunk(image: Image, largest: int) -> UInt8[np.ndarray, "rows columns 3"]:
    """The picture with no side longer than `largest`; a small one stays as it is."""
    height, width = image.shape[:2]
    scale = largest / max(height, width)
    if scale >= 1.0:
        return image
    size = (max(1, round(width * scale)), max(1, round(height * scale)))
    return np.asarray(cv2.resize(image, size, interpolation=cv2.INTER_AREA), dtype=np.uint8)


def jpeg(image: Image) -> bytes:
    """A JPEG file of it."""
    small = shrunk(image, _LARGEST_SIDE)
    _, encoded = cv2.imencode(".jpg", cv2.cvtColor(small, cv2.COLOR_RGB2BGR), _ENCODING)
    return encoded.tobytes()


def letters(image: Image, columns: int) -> Text:
    """The picture in a terminal, two pixels a letter: one above the other.

    Args:
        image: RGB.
        columns: its width in letters.
    """
    height = max(1, round(columns * image.shape[0] / image.shape[1] / 2)) * 2
    small = cv2.resize(image, (columns, height), interpolation=cv2.INTER_AREA)
    text = Text(no_wrap=True)
    for upper, lower in zip(small[::2], small[1::2], strict=True):
        for above, below in zip(upper.tolist(), lower.tolist(), strict=True):
            text.append("▀", _style(tuple(above), tuple(below)))
        text.append("\n")
    return text


def _style(above: tuple[int, ...], below: tuple[int, ...]) -> Style:
    return Style(color="#" + bytes(above).hex(), bgcolor="#" + bytes(below).hex())
