"""Which camera a short text names."""

from __future__ import annotations

import re

from df_policy.errors import DfPolicyError, nearest
from df_policy.hardware.camera import CameraSource
from df_policy.hardware.opencv_camera import OpenCvCamera, OpenCvSettings
from df_policy.hardware.realsense import RealSense, RealSenseSettings

KINDS = ("realsense", "v4l", "file")


def camera_source(
    text: str,
    size: tuple[int, int],
    rate_hz: int,
    *,
    depth: bool = False,
    exposure_us: float = 0.0,
) -> CameraSource:
    """The camera, not yet open.

    Args:
        text: `realsense:SERIAL`, `v4l:DEVICE`, or `file:PATH`: a film, or a RealSense recording.
        size: (height, width) [px] that it shall take.
        rate_hz: pictures per second.
        depth: whether depth is wanted too.
        exposure_us: 0 for automatic exposure.

    Raises:
        DfPolicyError: if the text names none.
    """
    kind, _, rest = text.partition(":")
    if kind not in KINDS or not rest:
        hint = nearest(kind, KINDS)
        raise DfPolicyError(
            f"expected a camera as realsense:SERIAL, v4l:DEVICE or file:PATH, got {text!r}{hint}"
        )
    recording = kind == "file" and rest.endswith(".db3")
    if kind == "realsense" or recording:
        settings = RealSenseSettings(
            "" if recording else rest, size, rate_hz, depth, exposure_us, rest * recording
        )
        return RealSense(settings)
    if depth:
        raise DfPolicyError(f"expected depth of a RealSense camera, got {text}; leave it out")
    return OpenCvCamera(OpenCvSettings(rest, size, rate_hz, exposure_us, repeat=kind == "file"))


def named_cameras(text: str) -> dict[str, str]:
    """`front=realsense:1,wrist=v4l:/dev/x` as name -> source.

    Raises:
        DfPolicyError: if it is not so written.
    """
    pairs = [part.strip().partition("=") for part in text.split(",") if part.strip()]
    if any(not name or not source for name, _, source in pairs):
        raise DfPolicyError(f"expected cameras as name=source,name=source, got {text!r}")
    return {name: source for name, _, source in pairs}


def size_of(text: str) -> tuple[int, int]:
    """(height, width) of `HEIGHTxWIDTH`.

    Raises:
        ValueError: if it is none.
    """
    found = re.fullmatch(r"(\d{1,5})x(\d{1,5})", text)
    if found is None or "0" in found.groups():
        raise ValueError(f"expected a size as HEIGHTxWIDTH, for example 64x64, got {text!r}")
    return int(found[1]), int(found[2])
