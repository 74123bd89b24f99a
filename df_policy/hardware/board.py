"""A ChArUco board: what it looks like, and where a camera that sees it is."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import cv2
import numpy as np
from jaxtyping import Float64

from df_policy.errors import DfPolicyError
from df_policy.frames import Image
from df_policy.hardware.camera import Intrinsics

Transform = Float64[np.ndarray, "4 4"]
_LEAST_CORNERS = 6
_DPI_MM = 0.1
"""Millimetres of paper for a dot when a board is printed: 254 dots an inch."""


@dataclass(frozen=True)
class Board:
    """A chessboard with markers in its white squares."""

    columns: int = 7
    rows: int = 5
    square_m: float = 0.030
    """Measured on the print, with a ruler over all columns: printers scale."""
    marker_share: float = 0.73
    """Of a square."""

    @property
    def model(self) -> Any:
        """As OpenCV has it."""
        markers = cv2.aruco.getPredefinedDictionary(cv2.aruco.DICT_5X5_100)
        marker_m = self.square_m * self.marker_share
        size = (self.columns, self.rows)
        return cv2.aruco.CharucoBoard(size, self.square_m, marker_m, markers)

    @property
    def size_m(self) -> tuple[float, float]:
        """Width and height."""
        return self.columns * self.square_m, self.rows * self.square_m

    def picture(self, dots_per_square: int = 0) -> Image:
        """For the printer, or for a rendered scene.

        Args:
            dots_per_square: 0 for as many as print the board in its size.
        """
        dots = dots_per_square or round(1e3 * self.square_m / _DPI_MM)
        grey = self.model.generateImage((self.columns * dots, self.rows * dots))
        return np.repeat(np.asarray(grey, dtype=np.uint8)[:, :, None], 3, axis=2)

    def write(self, path: Path) -> None:
        """The picture for the printer.

        Raises:
            DfPolicyError: if the name is none of a picture.
        """
        if path.suffix != ".png" or not cv2.imwrite(str(path), self.picture()):
            raise DfPolicyError(f"expected a name that ends with .png, got {path}")

    def corners(self, image: Image) -> tuple[np.ndarray, np.ndarray]:
        """Which of the board's corners are seen, and where: (n, 3) in metres and (n, 2) in pixels.

        Raises:
            DfPolicyError: if too few are seen to say where the board is.
        """
        model = self.model
        grey = cv2.cvtColor(image, cv2.COLOR_RGB2GRAY)
        detector = cv2.aruco.CharucoDetector(model)
        where, which, _, _ = detector.detectBoard(grey)
        count = 0 if which is None else len(which)
        if count < _LEAST_CORNERS:
            raise DfPolicyError(
                f"expected at least {_LEAST_CORNERS} corners of the board, got {count}; more "
                "light, the whole board in view, and no blur help"
            )
        points, pixels = model.matchImagePoints(where, which)
        return np.asarray(points).reshape(-1, 3), np.asarray(pixels).reshape(-1, 2)

    def pose(self, image: Image, seen: Intrinsics) -> tuple[Transform, float]:
        """Where the board is in the camera's frame, and the error of its corners [px, rms].

        Raises:
            DfPolicyError: if it is not seen well.
        """
        points, pixels = self.corners(image)
        lens = np.array(seen.distortion)
        done, turn, shift = cv2.solvePnP(
            points, pixels, seen.matrix, lens, flags=cv2.SOLVEPNP_IPPE
        )
        if not done:
            raise DfPolicyError("expected to find where the board is, got no solution")
        turn, shift = cv2.solvePnPRefineLM(points, pixels, seen.matrix, lens, turn, shift)
        again, _ = cv2.projectPoints(points, turn, shift, seen.matrix, lens)
        error_px = float(np.sqrt(np.mean(np.sum((again.reshape(-1, 2) - pixels) ** 2, axis=1))))
        return transform(cv2.Rodrigues(turn)[0], shift), error_px


def transform(rotation: Any, position_m: Any) -> Transform:
    """Both in one matrix."""
    matrix = np.eye(4)
    matrix[:3, :3] = rotation
    matrix[:3, 3] = np.asarray(position_m, dtype=np.float64).ravel()
    return matrix
