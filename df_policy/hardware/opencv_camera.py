"""Cameras that the system knows (V4L2, UVC), and files of pictures, through OpenCV."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from df_policy.errors import DfPolicyError
from df_policy.hardware.camera import CameraFrame, Intrinsics, LostCameraError


@dataclass(frozen=True)
class OpenCvSettings:
    """What is wanted of a camera."""

    device: str
    """`/dev/v4l/by-id/...`, which stays the same at every plug, or a file."""
    size: tuple[int, int] = (480, 640)
    """(height, width) [px]; a file has its own."""
    rate_hz: int = 30
    exposure_us: float = 0.0
    """0: the camera chooses."""
    repeat: bool = False
    """Begin a file again at its end."""


class OpenCvCamera:
    """See `df_policy.hardware.camera.CameraSource`; a file plays at its own rate.

    Args:
        settings: what is wanted.
    """

    def __init__(self, settings: OpenCvSettings) -> None:
        self._settings = settings
        self._capture: Any = None
        self._due_s = 0.0
        self._is_file = False

    def open(self) -> Intrinsics:
        """Start the camera; see the protocol."""
        import cv2

        wanted = self._settings
        self._is_file = Path(wanted.device).is_file()
        if not self._is_file and not Path(wanted.device).exists():
            known = sorted(str(path) for path in Path("/dev/v4l/by-id").glob("*"))
            raise LostCameraError(
                f"expected the camera {wanted.device}, got {', '.join(known) or 'none at all'}"
            )
        if self._is_file:
            capture = cv2.VideoCapture(wanted.device)
        else:
            capture = cv2.VideoCapture(_number(wanted.device), cv2.CAP_V4L2)
        if not capture.isOpened():
            raise LostCameraError(
                f"expected {wanted.device} to be a camera or a film, got another thing, or it is "
                "in use"
            )
        if not self._is_file:
            self._set_up(cv2, capture)
        height = int(capture.get(cv2.CAP_PROP_FRAME_HEIGHT))
        width = int(capture.get(cv2.CAP_PROP_FRAME_WIDTH))
        if not self._is_file and (height, width) != wanted.size:
            capture.release()
            raise DfPolicyError(
                f"expected {wanted.device} to give {wanted.size[1]}x{wanted.size[0]} px, got "
                f"{width}x{height}"
            )
        self._capture, self._due_s = capture, time.monotonic()
        return Intrinsics((height, width), (0.0, 0.0), (0.0, 0.0))

    def _set_up(self, cv2: Any, capture: Any) -> None:
        wanted = self._settings
        capture.set(cv2.CAP_PROP_FOURCC, cv2.VideoWriter.fourcc(*"MJPG"))
        capture.set(cv2.CAP_PROP_FRAME_HEIGHT, wanted.size[0])
        capture.set(cv2.CAP_PROP_FRAME_WIDTH, wanted.size[1])
        capture.set(cv2.CAP_PROP_FPS, wanted.rate_hz)
        capture.set(cv2.CAP_PROP_BUFFERSIZE, 1)  # never an old picture
        if wanted.exposure_us > 0.0:
            capture.set(cv2.CAP_PROP_AUTO_EXPOSURE, 1)  # V4L2's number for manual
            capture.set(cv2.CAP_PROP_EXPOSURE, wanted.exposure_us / 100.0)  # in 0.1 ms

    def read(self) -> CameraFrame | None:
        """The next picture; see the protocol."""
        if self._capture is None:
            raise LostCameraError("expected an open camera, got a closed one")
        import cv2

        got, bgr = self._capture.read()
        if not got and self._is_file and self._settings.repeat:
            self._capture.set(cv2.CAP_PROP_POS_FRAMES, 0)
            got, bgr = self._capture.read()
        if not got:
            if self._is_file:
                return None
            raise LostCameraError(f"expected a picture of {self._settings.device}, got none")
        if self._is_file:
            self._wait(float(self._capture.get(cv2.CAP_PROP_FPS)) or 30.0)
        rgb = np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)
        return CameraFrame(time.time_ns(), own_clock=False, rgb=rgb)

    def _wait(self, rate_hz: float) -> None:
        self._due_s = max(self._due_s + 1.0 / rate_hz, time.monotonic() - 1.0 / rate_hz)
        time.sleep(max(0.0, self._due_s - time.monotonic()))

    def close(self) -> None:
        """Stop the camera; see the protocol."""
        if self._capture is not None:
            self._capture.release()
            self._capture = None


def _number(device: str) -> int:
    """Of a video device, by which alone OpenCV's wheels open one; names lead to it by links.

    Raises:
        LostCameraError: if it is no video device.
    """
    found = re.fullmatch(r"/dev/video(\d+)", str(Path(device).resolve()))
    if found is None:
        raise LostCameraError(f"expected a video device or a film, got {device}")
    return int(found[1])
