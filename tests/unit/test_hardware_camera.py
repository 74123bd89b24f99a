"""Cameras: what is shown of a picture, files that play, recordings of a RealSense."""

import time

import cv2
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from df_policy.errors import DfPolicyError
from df_policy.hardware import realsense
from df_policy.hardware.camera import CameraSource, Intrinsics, LostCameraError, View
from df_policy.hardware.camera_sources import camera_source, size_of
from df_policy.hardware.opencv_camera import OpenCvCamera, OpenCvSettings
from df_policy.hardware.realsense import RealSense, RealSenseSettings

SIZE = (48, 64)
SEEN = Intrinsics((480, 640), (600.0, 610.0), (315.0, 245.0), (0.1, 0.0, 0.0, 0.0, 0.0))
sizes = st.tuples(st.integers(16, 480), st.integers(16, 640))


@settings(deadline=None)
@given(sizes, st.tuples(*[st.floats(-0.15, 0.15)] * 2))
def test_a_point_appears_where_the_new_intrinsics_say(size, ray):
    view = View(SEEN, size)
    assert view.show(np.zeros((480, 640, 3), np.uint8)).shape == (*size, 3)
    before = np.array([600.0 * ray[0] + 315.0, 610.0 * ray[1] + 245.0])
    (fx, fy), (cx, cy) = view.intrinsics.focal_px, view.intrinsics.centre_px
    after = np.array([fx * ray[0] + cx, fy * ray[1] + cy])
    # By way of the picture: the same edges of pixels, cut and scaled.
    scale = min(480 / size[0], 640 / size[1])
    part = np.array([round(scale * size[1]), round(scale * size[0])])
    start = (np.array([640, 480]) - part) // 2
    expected = (before + 0.5 - start) * np.array(size[::-1]) / part - 0.5
    assert np.allclose(after, expected, atol=1e-6)


def test_a_bright_point_is_where_the_geometry_has_it():
    image = np.zeros((480, 640, 3), np.uint8)
    image[236:244, 396:404] = 255  # its middle: column 399.5, row 239.5
    shown = View(SEEN, (120, 120)).show(image)[:, :, 0].astype(float)
    rows, columns = np.indices(shown.shape)
    middle = (columns * shown).sum() / shown.sum(), (rows * shown).sum() / shown.sum()
    assert np.allclose(middle, [(399.5 + 0.5 - 80) / 4 - 0.5, (239.5 + 0.5) / 4 - 0.5], atol=0.01)


def test_as_it_is_means_untouched():
    image = np.random.default_rng(0).integers(0, 255, (480, 640, 3), dtype=np.uint8)
    assert View(SEEN, None).show(image) is image
    assert View(SEEN, None).intrinsics == SEEN


def library():
    try:
        return realsense.load()
    except DfPolicyError as error:
        pytest.skip(str(error))


@pytest.mark.parametrize("text", ["realsens:1", "realsense", "realsense:", "", "webcam:0"])
def test_a_text_that_names_no_camera_is_refused(text):
    with pytest.raises(DfPolicyError, match="realsense:SERIAL"):
        camera_source(text, SIZE, 30)


def test_a_near_miss_gets_a_hint():
    with pytest.raises(DfPolicyError, match="did you mean 'realsense'"):
        camera_source("realsens:1", SIZE, 30)


@pytest.mark.parametrize("text", ["64", "64x", "0x64", "axb", "64x64x3", "-1x4"])
def test_a_size_that_is_none_is_refused(text):
    with pytest.raises(ValueError, match="HEIGHTxWIDTH"):
        size_of(text)


def film(path, count=6, rate=50.0):
    writer = cv2.VideoWriter(str(path), cv2.VideoWriter.fourcc(*"MJPG"), rate, (64, 48))
    assert writer.isOpened()
    for number in range(count):
        image = np.zeros((48, 64, 3), np.uint8)
        image[:, :, 2] = 40 * number  # red, in OpenCV's order
        writer.write(image)
    writer.release()
    return path


def test_a_film_plays_at_its_rate_in_rgb_and_ends(tmp_path):
    camera = OpenCvCamera(OpenCvSettings(str(film(tmp_path / "film.avi"))))
    assert isinstance(camera, CameraSource)
    assert camera.open().size == (48, 64)
    began, frames = time.monotonic(), []
    while (frame := camera.read()) is not None:
        frames.append(frame)
    assert len(frames) == 6
    assert time.monotonic() - began >= 6 / 50.0 * 0.9
    reds = [frame.rgb[24, 32, 0] for frame in frames]
    assert np.allclose(reds, 40.0 * np.arange(6), atol=6)
    assert max(frame.rgb[24, 32, 2] for frame in frames) < 12
    stamps = [frame.stamp_ns for frame in frames]
    assert stamps == sorted(stamps)
    camera.close()
    with pytest.raises(LostCameraError, match="closed"):
        camera.read()


def test_a_film_that_repeats_has_no_end(tmp_path):
    camera = camera_source(f"file:{film(tmp_path / 'film.avi', 3, 300.0)}", SIZE, 30)
    camera.open()
    assert all(camera.read() is not None for _ in range(10))
    camera.close()


def test_what_is_no_camera_is_said():
    with pytest.raises(LostCameraError, match=r"expected the camera /dev/video77"):
        camera_source("v4l:/dev/video77", SIZE, 30).open()


def test_depth_is_a_realsense_s():
    with pytest.raises(DfPolicyError, match="RealSense"):
        camera_source("v4l:/dev/video0", SIZE, 30, depth=True)


def test_without_the_library_one_line_says_what_to_install(monkeypatch):
    import sys

    monkeypatch.setitem(sys.modules, "pyrealsense2", None)
    with pytest.raises(DfPolicyError, match=r"pip install df_policy\[realsense\]"):
        RealSense(RealSenseSettings("123")).open()


def test_a_realsense_that_is_not_plugged_in_is_named_at_once():
    library()
    began = time.monotonic()
    with pytest.raises(LostCameraError, match="serial number 123"):
        RealSense(RealSenseSettings("123")).open()
    assert time.monotonic() - began < 10.0


@pytest.fixture(scope="module")
def recording(tmp_path_factory):
    """A real recording by librealsense, of a camera that exists in software alone."""
    rs = library()
    path = tmp_path_factory.mktemp("rs") / "camera.db3"
    device = rs.software_device()
    sensors, profiles = [], []
    for kind, form, fmt, bpp in (
        ("Color", rs.stream.color, rs.format.rgb8, 3),
        ("Depth", rs.stream.depth, rs.format.z16, 2),
    ):
        sensor = device.add_sensor(kind)
        stream = rs.video_stream()
        stream.type, stream.fmt, stream.bpp = form, fmt, bpp
        stream.index, stream.uid = 0, len(sensors) + 1
        stream.width, stream.height, stream.fps = 64, 48, 30
        lens = rs.intrinsics()
        lens.width, lens.height, lens.fx, lens.fy, lens.ppx, lens.ppy = 64, 48, 60, 61, 31, 23
        lens.model, lens.coeffs = rs.distortion.brown_conrady, [0.0] * 5
        stream.intrinsics = lens
        profiles.append((sensor.add_video_stream(stream), bpp))
        if kind == "Depth":
            sensor.add_read_only_option(rs.option.depth_units, 0.001)
        sensors.append(sensor)
    same = rs.extrinsics()
    same.rotation, same.translation = [1, 0, 0, 0, 1, 0, 0, 0, 1], [0, 0, 0]
    profiles[1][0].register_extrinsics_to(profiles[0][0], same)
    recorder = rs.recorder(str(path), device)
    queue = rs.frame_queue(100)
    opened = recorder.query_sensors()
    for sensor in opened:
        sensor.open(sensor.get_stream_profiles()[0])
        sensor.start(queue)
    for number in range(10):
        colour = np.full((48, 64, 3), 10 * number, np.uint8)
        depth = np.full((48, 64), 1000 + number, np.uint16)
        for sensor, (profile, bpp), pixels in zip(sensors, profiles, (colour, depth), strict=True):
            frame = rs.software_video_frame()
            frame.pixels, frame.stride, frame.bpp = pixels, 64 * bpp, bpp
            frame.timestamp, frame.domain = 1e3 * number / 30, rs.timestamp_domain.hardware_clock
            frame.frame_number, frame.profile = number, profile.as_video_stream_profile()
            if bpp == 2:
                frame.depth_units = 0.001
            sensor.on_video_frame(frame)
        time.sleep(0.01)
    for sensor in opened:
        sensor.stop()
        sensor.close()
    del recorder, opened
    return path


def test_a_realsense_recording_plays_through_the_real_pipeline(recording):
    camera = camera_source(f"file:{recording}", SIZE, 30, depth=True)
    assert isinstance(camera, CameraSource)
    seen = camera.open()
    assert (seen.size, seen.focal_px, seen.centre_px) == (SIZE, (60.0, 61.0), (31.0, 23.0))
    frames = []
    while (frame := camera.read()) is not None:
        frames.append(frame)
    camera.close()
    assert len(frames) >= 8
    numbers = [int(frame.rgb[24, 32, 0]) // 10 for frame in frames]
    assert numbers == sorted(set(numbers))
    for number, frame in zip(numbers, frames, strict=True):
        assert (frame.rgb == 10 * number).all()
        assert frame.own_clock
        assert abs(frame.stamp_ns - round(1e9 * number / 30)) < 1_000_000
        assert frame.depth is not None
        assert frame.depth[24, 32] * frame.depth_unit_m == pytest.approx(1.0 + 0.001 * number)


def test_what_is_no_recording_is_said(tmp_path):
    library()
    (tmp_path / "no.db3").write_bytes(b"nothing")
    with pytest.raises(DfPolicyError, match=r"no\.db3"):
        camera_source(f"file:{tmp_path / 'no.db3'}", SIZE, 30).open()


def test_all_plugged_cameras_are_listed():
    library()
    assert isinstance(realsense.serials(), list)
