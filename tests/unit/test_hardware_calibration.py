"""Calibration on rendered boards: how far off the camera is found, and what is refused."""

import json

import cv2
import numpy as np
import pytest
from scipy.spatial.transform import Rotation

from df_policy import cli
from df_policy.errors import DfPolicyError
from df_policy.geometry import Pose
from df_policy.hardware import views
from df_policy.hardware.board import Board, transform
from df_policy.hardware.calibration import calibrate, matrix_of, pose_of
from df_policy.hardware.camera import Intrinsics

BOARD = Board()
LENS = Intrinsics((480, 640), (610.0, 612.0), (322.0, 238.0))
BENT = Intrinsics((480, 640), (610.0, 612.0), (322.0, 238.0), (0.05, -0.1, 0.001, -0.001, 0.02))
FINE = 2
"""Supersampling of rendered pictures, for smooth edges as a lens makes them."""
DOTS = 40


def render(where, seen, rng):
    """What a camera sees of the board at `where` in its frame: light from aside, blur, noise."""
    picture = BOARD.picture(DOTS)
    metre = DOTS / BOARD.square_m
    # A pixel's middle has whole numbers, on the board's picture and on the camera's.
    to_metres = np.array([[1 / metre, 0, 0.5 / metre], [0, 1 / metre, 0.5 / metre], [0, 0, 1]])
    plane = seen.matrix @ np.column_stack([where[:3, 0], where[:3, 1], where[:3, 3]])
    enlarge = np.array([[FINE, 0, (FINE - 1) / 2], [0, FINE, (FINE - 1) / 2], [0, 0, 1]])
    height, width = seen.size
    large = cv2.warpPerspective(
        picture, enlarge @ plane @ to_metres, (FINE * width, FINE * height),
        flags=cv2.INTER_AREA, borderValue=(120, 120, 120),
    )  # fmt: skip
    image = cv2.resize(large, (width, height), interpolation=cv2.INTER_AREA)
    if any(seen.distortion):
        rays = np.stack(np.meshgrid(np.arange(width), np.arange(height)), -1).astype(np.float32)
        straight = cv2.undistortPoints(
            rays.reshape(-1, 1, 2), seen.matrix, np.array(seen.distortion), P=seen.matrix
        ).reshape(height, width, 2).astype(np.float32)  # fmt: skip
        image = cv2.remap(image, straight, None, cv2.INTER_LINEAR, borderValue=(120, 120, 120))
    shade = np.linspace(0.6, 1.0, width)[None, :, None]
    noisy = cv2.GaussianBlur(image, (0, 0), 0.6) * shade + rng.normal(0, 3, image.shape)
    return np.clip(noisy, 0, 255).astype(np.uint8)


def looking_at(point, eye, roll):
    """A camera's pose, optical: z ahead, x right."""
    ahead = (point - eye) / np.linalg.norm(point - eye)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    right /= np.linalg.norm(right)
    frame = np.column_stack([right, np.cross(ahead, right), ahead])
    return transform(frame @ Rotation.from_euler("z", roll).as_matrix(), eye)


def scene(mount, count, seed, seen=LENS, sloppy=0.0):
    """The true camera, and views of it; `sloppy` poses of the arm are off by so many metres."""
    rng = np.random.default_rng(seed)
    turn = Rotation.from_euler("xyz", [0.1, -0.2, 1.5]).as_matrix()
    taken = []
    if mount == "hand":
        camera = transform(turn, [0.05, -0.03, 0.04])
        board = transform(Rotation.from_euler("xyz", [3.1, 0.02, 0.3]).as_matrix(), [0.6, 0.1, 0])
    else:
        camera = looking_at(np.array([0.5, 0.0, 0.3]), np.array([1.1, 0.1, 0.5]), 0.05)
        board = transform(turn, [-0.08, -0.05, 0.06])  # in the frame of the tool
    middle = np.array([*(0.5 * np.array(BOARD.size_m)), 0.0, 1.0])
    for _ in range(count):
        if mount == "hand":
            eye = (board @ middle)[:3] + [*rng.uniform(-0.25, 0.25, 2), rng.uniform(0.25, 0.4)]
            at = looking_at((board @ middle)[:3], eye, rng.uniform(-0.6, 0.6))
            tool, seen_board = at @ np.linalg.inv(camera), np.linalg.inv(at) @ board
        else:
            tilt = Rotation.from_rotvec(rng.uniform(-0.5, 0.5, 3)).as_matrix()
            upright = np.eye(3)
            put = camera @ transform(tilt @ upright, [0, 0, 0])
            put[:3, 3] = (camera @ [*rng.uniform(-0.06, 0.06, 2), rng.uniform(0.4, 0.6), 1])[:3]
            put[:3, 3] -= put[:3, :3] @ middle[:3]
            tool, seen_board = put @ np.linalg.inv(board), np.linalg.inv(camera) @ put
        said = tool.copy()
        said[:3, 3] += rng.normal(0, sloppy, 3) if sloppy else 0.0
        taken.append(views.View(render(seen_board, seen, rng), pose_of(said)))
    return pose_of(camera), taken


def off(found, true):
    """Millimetres and degrees."""
    apart = np.linalg.norm(found.position_m - true.position_m)
    return 1e3 * float(apart), float(np.rad2deg(found.angle_to(true)))


@pytest.mark.parametrize("mount", ["hand", "fixed"])
@pytest.mark.parametrize("seen", [LENS, BENT], ids=["straight", "bent"])
def test_a_camera_is_found_within_two_millimetres_and_a_third_of_a_degree(mount, seen):
    true, taken = scene(mount, 14, seed=3, seen=seen)
    found, left_out = views.solve(mount, taken, seen, BOARD)
    assert left_out == []
    far_mm, far_deg = off(found.camera, true)
    assert far_mm < 2.0
    assert far_deg < 0.3
    assert found.error_mm < 2.0
    assert found.error_deg < 0.3


def test_an_arm_whose_poses_are_off_shows_in_the_error_that_is_told():
    _, taken = scene("hand", 12, seed=5, sloppy=0.004)
    found, _ = views.solve("hand", taken, LENS, BOARD)
    assert found.error_mm > 3.0


def test_exact_poses_give_the_exact_camera():
    rng = np.random.default_rng(0)
    camera = transform(Rotation.random(rng=rng).as_matrix(), [0.1, 0.2, 0.3])
    board = transform(Rotation.random(rng=rng).as_matrix(), [0.5, 0.0, 0.0])
    tools = [Pose.of(rng.normal(size=3), Rotation.random(rng=rng).as_quat()) for _ in range(8)]
    seen = [np.linalg.inv(matrix_of(tool) @ camera) @ board for tool in tools]
    found = calibrate("hand", tools, seen)
    far_mm, far_deg = off(found.camera, pose_of(camera))
    assert far_mm < 1e-3
    assert far_deg < 1e-3
    assert "tool" in str(found)


def test_views_without_a_board_are_left_out_and_said():
    _, taken = scene("hand", 10, seed=1)
    blank = views.View(np.full((480, 640, 3), 90, np.uint8), taken[0].tool)
    _, left_out = views.solve("hand", [blank, *taken], LENS, BOARD)
    assert len(left_out) == 1
    assert "view 0" in left_out[0]


def test_poses_that_are_alike_are_refused():
    tool = Pose.of([0.5, 0, 0.3], [1, 0, 0, 0])
    turned = [
        Pose.of([0.5, 0.01 * i, 0.3], Rotation.from_euler("z", 0.1 * i).as_quat())
        for i in range(10)
    ]
    for tools in ([tool] * 10, turned):
        with pytest.raises(DfPolicyError, match="two axes"):
            calibrate("hand", tools, [np.eye(4)] * 10)


def test_too_few_views_are_refused():
    with pytest.raises(DfPolicyError, match="at least 8"):
        calibrate("hand", [Pose.of([0, 0, 0], [1, 0, 0, 0])] * 3, [np.eye(4)] * 3)


def test_the_command_prints_the_board_and_solves_a_folder(tmp_path, capsys):
    assert cli.main(["calibrate", "board", "--out", str(tmp_path / "board.png")]) == 0
    assert cv2.imread(str(tmp_path / "board.png")).shape == (1500, 2100, 3)
    true, taken = scene("fixed", 10, seed=2)
    views.save(tmp_path / "views", taken, LENS, BOARD)
    result = tmp_path / "front.json"
    given = [
        "calibrate",
        "solve",
        str(tmp_path / "views"),
        "--mount",
        "fixed",
        "--out",
        str(result),
    ]
    assert cli.main(given) == 0
    assert "degrees" in capsys.readouterr().out
    found = json.loads(result.read_text())
    far_mm, far_deg = off(Pose.of(found["position_m"], found["quat_xyzw"]), true)
    assert far_mm < 2.0
    assert far_deg < 0.3


@pytest.mark.parametrize("text", ["{}", "nothing", '{"views": [{"image": "../x.png"}]}'])
def test_a_folder_that_is_none_is_said(tmp_path, text):
    (tmp_path / "views.json").write_text(text)
    with pytest.raises(DfPolicyError, match=r"views\.json"):
        views.load(tmp_path)


def test_a_camera_without_intrinsics_is_refused():
    with pytest.raises(DfPolicyError, match="intrinsics"):
        views.solve("hand", [], Intrinsics((480, 640), (0.0, 0.0), (0.0, 0.0)), BOARD)
