"""RealSense cameras through pyrealsense2, found by their serial numbers."""

from __future__ import annotations

import ctypes
from dataclasses import dataclass
from typing import Any

import numpy as np

from df_policy.errors import DfPolicyError
from df_policy.hardware import missing
from df_policy.hardware.camera import CameraFrame, Intrinsics, LostCameraError

_WAIT_MS = 1000
_FILE_WAITS = 10
"""A recording is never unplugged: on a busy machine it may take longer."""
_OWN_CLOCKS = ("hardware_clock",)
"""Domains of stamps that are not this machine's; `global_time` and `system_time` are."""


@dataclass(frozen=True)
class RealSenseSettings:
    """What is wanted of a camera."""

    serial: str
    """Never the order of enumeration, which changes with every plug."""
    size: tuple[int, int] = (480, 640)
    """(height, width) [px]."""
    rate_hz: int = 30
    depth: bool = False
    exposure_us: float = 0.0
    """0: the camera chooses, and images grow brighter and darker."""
    playback: str = ""
    """A recording (.db3) in place of a camera."""


class RealSense:
    """See `df_policy.hardware.camera.CameraSource`.

    Args:
        settings: what is wanted.
    """

    def __init__(self, settings: RealSenseSettings) -> None:
        self._settings = settings
        self._pipeline: Any = None
        self._playback: Any = None
        self._align: Any = None
        self._unit_m = 0.001

    def open(self) -> Intrinsics:
        """Start the camera; see the protocol."""
        rs, wanted = load(), self._settings
        config = rs.config()
        if wanted.playback:
            try:
                config.enable_device_from_file(wanted.playback, repeat_playback=False)
            except RuntimeError as error:
                raise DfPolicyError(
                    f"expected a recording .db3, got {wanted.playback}: {error}"
                ) from error
        else:
            _check_present(wanted.serial)
            config.enable_device(wanted.serial)
            height, width = wanted.size
            config.enable_stream(rs.stream.color, width, height, rs.format.rgb8, wanted.rate_hz)
            if wanted.depth:
                config.enable_stream(rs.stream.depth, width, height, rs.format.z16, wanted.rate_hz)
        self._pipeline = rs.pipeline()
        # Asked first: without a camera `start` would block for 15 s.
        if not config.can_resolve(self._pipeline):
            self._pipeline = None
            if wanted.playback:
                raise DfPolicyError(f"expected a recording .db3, got {wanted.playback}")
            raise DfPolicyError(
                f"expected camera {wanted.serial} to do {wanted.size[1]}x{wanted.size[0]} at "
                f"{wanted.rate_hz} Hz, got none that can; is it plugged into USB 3?"
            )
        return self._start(rs, self._pipeline.start(config))

    def _start(self, rs: Any, profile: Any) -> Intrinsics:
        wanted, device = self._settings, profile.get_device()
        if wanted.playback:
            self._playback = device.as_playback()
            self._playback.set_real_time(False)
        elif wanted.exposure_us > 0.0:
            sensor = device.first_color_sensor()
            sensor.set_option(rs.option.enable_auto_exposure, 0)
            sensor.set_option(rs.option.exposure, wanted.exposure_us)
        if wanted.depth:
            self._align = rs.align(rs.stream.color)
            self._unit_m = float(device.first_depth_sensor().get_depth_scale())
        seen = profile.get_stream(rs.stream.color).as_video_stream_profile().get_intrinsics()
        return Intrinsics(
            (int(seen.height), int(seen.width)),
            (float(seen.fx), float(seen.fy)),
            (float(seen.ppx), float(seen.ppy)),
            tuple(float(value) for value in seen.coeffs),
        )

    def read(self) -> CameraFrame | None:
        """The next picture; see the protocol."""
        if self._pipeline is None:
            raise LostCameraError("expected an open camera, got a closed one")
        rs = load()
        frames = self._next(rs)
        if frames is None:
            return None
        if self._align is not None:
            frames = self._align.process(frames)
        colour = frames.get_color_frame()
        depth = frames.get_depth_frame() if self._align is not None else None
        return CameraFrame(
            stamp_ns=round(colour.get_timestamp() * 1e6),
            own_clock=colour.get_frame_timestamp_domain().name in _OWN_CLOCKS,
            rgb=np.asarray(colour.get_data(), dtype=np.uint8).copy(),
            depth=np.asarray(depth.get_data(), dtype=np.uint16).copy() if depth else None,
            depth_unit_m=self._unit_m,
        )

    def _next(self, rs: Any) -> Any:
        """The next set of frames that holds a picture; None at the end of a recording."""
        waits = _FILE_WAITS if self._playback else 1
        while True:
            try:
                frames = self._pipeline.wait_for_frames(_WAIT_MS)
            except RuntimeError as error:
                # At the end of a recording, too, nothing comes any more.
                ended = rs.playback_status.stopped
                if self._playback and self._playback.current_status() == ended:
                    return None
                waits -= 1
                if waits:
                    continue
                raise LostCameraError(
                    f"expected a picture of camera {self._settings.serial} within "
                    f"{_WAIT_MS / 1e3:g} s, got: {error}"
                ) from error
            complete = frames.get_color_frame() and (
                self._align is None or frames.get_depth_frame()
            )
            if complete:
                return frames

    def close(self) -> None:
        """Stop the camera; see the protocol."""
        pipeline, self._pipeline, self._playback = self._pipeline, None, None
        if pipeline is not None:
            try:
                pipeline.stop()
            except RuntimeError:
                return  # gone already


def serials() -> list[str]:
    """Of all cameras that are plugged in.

    Raises:
        DfPolicyError: if pyrealsense2 is not installed.
    """
    rs = load()
    return sorted(
        str(device.get_info(rs.camera_info.serial_number))
        for device in rs.context().query_devices()
    )


def load() -> Any:
    """The library.

    Raises:
        DfPolicyError: if it is not installed.
    """
    try:
        # Its wheel lacks libusb, which not every system has; once loaded, it is found by name.
        import libusb_package

        ctypes.CDLL(str(libusb_package.get_library_path()), mode=ctypes.RTLD_GLOBAL)
        import pyrealsense2
    except ImportError as error:
        what = "pyrealsense2 for a RealSense camera"
        raise DfPolicyError(missing(what, "realsense", error)) from error
    return pyrealsense2


def _check_present(serial: str) -> None:
    found = serials()
    if serial not in found:
        raise LostCameraError(
            f"expected the RealSense camera with the serial number {serial or '...'}, got "
            f"{', '.join(found) or 'none'}; `rs-enumerate-devices -s` tells the numbers"
        )
