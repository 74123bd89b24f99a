"""Images as MP4 files, one frame a row, and back without a frame taken for another."""

from __future__ import annotations

from fractions import Fraction
from pathlib import Path
from typing import Any

import av
import numpy as np
from numpy.typing import NDArray

from df_policy.data.formats.source import damaged
from df_policy.errors import DfPolicyError

CODEC = "libsvtav1"
PIXELS = "yuv420p"
OPTIONS = {"crf": "30", "g": "2", "preset": "10"}
"""Quality and keyframe distance are LeRobot's, whose loader decodes single frames."""

_SMALLEST_SIDE = 64
_TOLERANCE_S = 1e-3


class VideoWriter:
    """One growing MP4 file at a constant rate."""

    def __init__(self, path: Path, rate: Fraction, size: tuple[int, int]) -> None:
        """An empty one.

        Args:
            path: the file.
            rate: frames a second.
            size: (height, width) of all frames.

        Raises:
            DfPolicyError: if the codec does not take this size.
        """
        height, width = size
        if height % 2 or width % 2 or min(size) < _SMALLEST_SIDE:
            raise DfPolicyError(
                f"expected images of even sides of at least {_SMALLEST_SIDE} pixels for a video, "
                f"got {height}x{width}; say --images png"
            )
        self._path, self.frames = path, 0
        self._rate = rate
        path.parent.mkdir(parents=True, exist_ok=True)
        self._container = av.open(str(path), "w")
        stream: Any = self._container.add_stream(CODEC, rate=rate, options=dict(OPTIONS))
        stream.width, stream.height, stream.pix_fmt = width, height, PIXELS
        stream.codec_context.time_base = 1 / rate
        self._stream = stream

    @property
    def size(self) -> int:
        """Bytes written so far; the encoder keeps the first frames for a while."""
        return self._path.stat().st_size if self._path.exists() else 0

    def append(self, images: NDArray[np.uint8]) -> None:
        """Add frames."""
        for image in images:
            frame = av.VideoFrame.from_ndarray(np.ascontiguousarray(image), format="rgb24")
            frame.pts, frame.time_base = self.frames, 1 / self._rate
            self._container.mux(self._stream.encode(frame))
            self.frames += 1

    def close(self) -> None:
        """Write what is left."""
        self._container.mux(self._stream.encode(None))
        self._container.close()


def read_frames(
    path: Path, times_s: NDArray[np.float64], size: tuple[int, int]
) -> NDArray[np.uint8]:
    """The frames that are shown at these times, growing, one each.

    Args:
        path: the file.
        times_s: in the file's own time.
        size: expected (height, width).

    Raises:
        DfPolicyError: if one is missing, is shown at another time, or has another size.
    """
    images = np.empty((len(times_s), *size, 3), np.uint8)
    found = 0
    with damaged(path), av.open(str(path)) as container:
        stream = container.streams.video[0]
        shape = (stream.codec_context.height, stream.codec_context.width)
        if shape != size:
            raise DfPolicyError(f"expected {size} pixels in {path}, got {shape}; use a copy")
        if stream.time_base is not None:
            container.seek(int(times_s[0] / stream.time_base), stream=stream)
        for frame in container.decode(stream):
            if found == len(times_s):
                break
            if frame.time is None or frame.time < times_s[found] - _TOLERANCE_S:
                continue
            if frame.time > times_s[found] + _TOLERANCE_S:
                break
            if (frame.height, frame.width) != size:
                raise DfPolicyError(f"expected {size} pixels in {path}, got others; use a copy")
            images[found] = frame.to_ndarray(format="rgb24")
            found += 1
    if found < len(times_s):
        raise DfPolicyError(
            f"expected a frame of {path} at {times_s[found]:.4f} s for row {found}, got none; "
            "rows and frames do not fit, leave this episode out"
        )
    return images
