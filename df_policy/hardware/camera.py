"""What a driver of a camera does, and how its images become those that a policy sees."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64, UInt8, UInt16

from df_policy.errors import DfPolicyError
from df_policy.frames import Image

_JPEG_QUALITY = 90
Depth = UInt16[np.ndarray, "h w"]


class LostCameraError(DfPolicyError):
    """The camera is not there, or not any more; it may come back."""


@dataclass(frozen=True)
class Intrinsics:
    """A pinhole with five coefficients of distortion (k1, k2, p1, p2, k3), as OpenCV has them."""

    size: tuple[int, int]
    """(height, width) [px]."""
    focal_px: tuple[float, float]
    """Along columns and rows; zeros where nobody calibrated the camera."""
    centre_px: tuple[float, float]
    """Column and row; the middle of the first pixel is (0, 0)."""
    distortion: tuple[float, ...] = (0.0,) * 5

    @property
    def matrix(self) -> Float64[np.ndarray, "3 3"]:
        """As OpenCV has it."""
        (fx, fy), (cx, cy) = self.focal_px, self.centre_px
        return np.array([[fx, 0.0, cx], [0.0, fy, cy], [0.0, 0.0, 1.0]])


@dataclass(frozen=True)
class CameraFrame:
    """One picture."""

    stamp_ns: int
    """When it was taken, by this machine's clock or by the device's own."""
    own_clock: bool
    """Whether the stamp is by the device's clock, which must be turned into this machine's."""
    rgb: Image
    depth: Depth | None = None
    """Aligned to the picture, in units of `depth_unit_m`; 0: not seen."""
    depth_unit_m: float = 0.001


@runtime_checkable
class CameraSource(Protocol):
    """A camera, or a file that stands for one."""

    def open(self) -> Intrinsics:
        """Start it.

        Raises:
            LostCameraError: if it is not there.
            DfPolicyError: if it cannot do what was asked.
        """
        ...

    def read(self) -> CameraFrame | None:
        """The next picture; None at the end of a file.

        Raises:
            LostCameraError: if none comes for a second.
        """
        ...

    def close(self) -> None:
        """Stop it; it may be opened again."""
        ...


class View:
    """The part of each picture that is shown, at the size that is wanted.

    The largest part of the wanted shape about the middle is kept: a policy that was trained on
    square images sees no squeezed ones.

    Args:
        given: of the camera.
        size: wanted (height, width) [px]; None: as it is.
    """

    def __init__(self, given: Intrinsics, size: tuple[int, int] | None) -> None:
        height, width = given.size
        self._size = size or given.size
        scale = min(height / self._size[0], width / self._size[1])
        self._height, self._width = round(scale * self._size[0]), round(scale * self._size[1])
        self._top, self._left = (height - self._height) // 2, (width - self._width) // 2
        self._whole = self._size == given.size
        self.intrinsics = self._of(given)

    def show(self, image: Image) -> UInt8[np.ndarray, "shown_height shown_width 3"]:
        """The part of a picture, smoothly made smaller."""
        if self._whole:
            return image
        import cv2

        part = image[self._top : self._top + self._height, self._left : self._left + self._width]
        shown = cv2.resize(part, self._size[::-1], interpolation=cv2.INTER_AREA)
        return np.asarray(shown, dtype=np.uint8)

    def _of(self, given: Intrinsics) -> Intrinsics:
        across, down = self._size[1] / self._width, self._size[0] / self._height
        (fx, fy), (cx, cy) = given.focal_px, given.centre_px
        # Pixel centres have whole numbers: a half is added before scaling, and taken off after.
        centre = (
            (cx - self._left + 0.5) * across - 0.5,
            (cy - self._top + 0.5) * down - 0.5,
        )
        return replace(given, size=self._size, focal_px=(fx * across, fy * down), centre_px=centre)


def jpeg(image: Image) -> bytes:
    """A picture, made small."""
    import cv2

    bgr = cv2.cvtColor(image, cv2.COLOR_RGB2BGR)
    _, coded = cv2.imencode(".jpg", bgr, [cv2.IMWRITE_JPEG_QUALITY, _JPEG_QUALITY])
    return bytes(coded)
