"""`python -m df_policy figures`: draw the figures of the hardware guide, from the simulator."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from df_policy.commands.options import Options
from df_policy.geometry import Pose

if TYPE_CHECKING:
    from df_policy.frames import Image
    from df_policy.sim.set_up import SetUp

_TASK = "fruit_swap"
_PERSON = (480, 640)
_LARGE, _SMALL = (360, 360), (64, 64)
_CAPTURE = (720, 960)
_DPI = 100
_COLOURS = 256
"""Of a palette: all four figures are to be small in a repository."""
_INK, _MARK, _WAY = "#1e2630", "#d0312d", "#1a6fd6"
_BOARD_AT_M = (0.50, 0.0)
_FAR_M = 0.28
"""From the camera on the hand to the board."""
_HAND_M, _CAMERA_M = 0.1034, 0.07
"""From the hand to the point between the finger tips, and to the camera before it."""
_TILTS_DEG = ((0, 0, 0), (22, 0, 0), (-22, 0, 0), (0, 22, 0), (0, -22, 0), (18, 18, 30))
_LED_M = ((0.32, -0.28, 0.02), (0.66, 0.28, 0.42))
"""The ends to which the tool of the figure is led."""


def main(argv: list[str]) -> int:
    """Draw all."""
    given = _parser().parse_args(argv)
    total = 0
    for name, draw in FIGURES.items():
        path = given.out / f"{name}.png"
        draw(path)
        total += path.stat().st_size
        print(path)
    print(f"{len(FIGURES)} figures, {total // 1000} kB")
    return 0


def _set_up(path: Path) -> None:
    """Arm, slots and cameras, with what is to be measured."""
    scene = _scene()
    front_m, wrist_m = scene.camera_m("front"), scene.camera_m("wrist")
    picture = scene.shown()
    scene.close()
    sheet, axes = _sheet(picture)
    foot_m = np.array([front_m[0], 0.0, 0.0])
    for begin, end, text in (
        (np.zeros(3), foot_m, f"{front_m[0]:.2f} m"),
        (foot_m, front_m, f"{front_m[2]:.2f} m"),
    ):
        _line(axes, scene, np.array([begin, end]), _MARK, "--")
        _label(axes, scene, 0.35 * begin + 0.65 * end, text, (0, 0))
    _label(axes, scene, front_m, "fixed camera, at the middle of the slots", (-20, -45))
    _label(axes, scene, wrist_m, "camera on the hand,\n7 cm before it", (60, -130))
    _label(axes, scene, np.array([0.0, -0.1, 0.03]), "base, at the table's height", (-90, 50))
    _label(axes, scene, np.array([0.52, -0.2, 0.0]), "three slots", (-110, 40))
    _save(sheet, path)


def _cameras(path: Path) -> None:
    """What both cameras see, as they take it and as the policy gets it."""
    scenes = [_scene({"front": size, "wrist": size}) for size in (_LARGE, _SMALL)]
    large, small = (scene.seen() for scene in scenes)
    for scene in scenes:
        scene.close()
    titles = {"front": "fixed (`front`)", "wrist": "on the hand (`wrist`)"}
    tiles = []
    for name, title in titles.items():
        tiles += [(large[name], title), (small[name], "as the policy gets it")]
    _tiles(tiles, 4, path)


def _board(path: Path) -> None:
    """A board on the table, from where its views are worth taking."""
    from df_policy.hardware.board import Board
    from df_policy.sim.set_up import LaidBoard

    board = Board()
    scene = _scene({"wrist": _CAPTURE}, LaidBoard(board.picture(40), board.size_m, _BOARD_AT_M))
    tiles = []
    for tilt in _TILTS_DEG:
        scene.put(_over_board(tilt))
        picture = scene.seen()["wrist"]
        count = len(board.corners(picture)[0])
        tiles.append((picture[::2, ::2], f"{_said(tilt)}: {count} corners"))
    scene.close()
    _tiles(tiles, 3, path)


def _workspace(path: Path) -> None:
    """Where the tool was led, and the box that is taught by that."""
    from df_policy.hardware.workspace import taught

    (x, y, z), (far_x, far_y, far_z) = _LED_M
    ends = [(x, y, z), (far_x, y, z), (far_x, far_y, z), (x, far_y, z), (x, far_y, far_z)]
    led_m = np.array([*ends, (far_x, far_y, far_z), (far_x, y, far_z)])
    box = taught(led_m, 0.01)
    scene = _scene()
    scene.put(Pose.of(led_m[-1], [1.0, 0.0, 0.0, 0.0]))
    picture = scene.shown()
    scene.close()
    sheet, axes = _sheet(picture)
    for axis in range(3):
        for corner in _corners(box.low_m, box.high_m):
            other = corner.copy()
            other[axis] = box.high_m[axis]
            _line(axes, scene, np.array([corner, other]), _MARK, "-")
    _line(axes, scene, led_m, _WAY, ":")
    _label(axes, scene, np.array([*led_m[1][:2], z]), "the way of the tool", (-140, 60), _WAY)
    _label(axes, scene, np.array(box.high_m), "the box, 10 mm inside of it", (10, -50), _MARK)
    _save(sheet, path)


FIGURES: dict[str, Callable[[Path], None]] = {
    "set_up": _set_up,
    "cameras": _cameras,
    "board": _board,
    "workspace": _workspace,
}


def _scene(cameras: dict[str, tuple[int, int]] | None = None, board: Any = None) -> SetUp:
    from df_policy.sim.set_up import SetUp
    from df_policy.sim.tasks import find

    return SetUp(find(_TASK), cameras or {}, _PERSON, board)


def _over_board(tilt_deg: Sequence[float]) -> Pose:
    """The tool where the hand's camera has the board in its middle, so tilted about x, y, z."""
    from scipy.spatial.transform import Rotation

    turn = Rotation.from_euler("xyz", tilt_deg, degrees=True)
    hand = turn * Rotation.from_quat([1.0, 0.0, 0.0, 0.0])
    middle = np.array([*_BOARD_AT_M, 0.0])
    return Pose.of(middle + hand.apply([-_CAMERA_M, 0.0, _HAND_M - _FAR_M]), hand.as_quat())


def _said(tilt_deg: Sequence[float]) -> str:
    parts = [f"{axis} {angle}" for angle, axis in zip(tilt_deg, "xyz", strict=True) if angle]
    return f"{', '.join(parts)} degrees" if parts else "from above"


def _corners(low_m: Sequence[float], high_m: Sequence[float]) -> list[np.ndarray]:
    """All eight."""
    grid = np.meshgrid(*zip(low_m, high_m, strict=True))
    return [np.array(corner) for corner in zip(*(one.ravel() for one in grid), strict=True)]


def _sheet(picture: Image) -> tuple[Any, Any]:
    """A figure that is the picture, with its pixels as coordinates."""
    from matplotlib import pyplot as plt

    height, width = picture.shape[:2]
    sheet = plt.figure(figsize=(width / _DPI, height / _DPI))
    axes = sheet.add_axes((0.0, 0.0, 1.0, 1.0))
    axes.imshow(picture)
    axes.set_axis_off()
    axes.set_xlim(0, width)
    axes.set_ylim(height, 0)
    return sheet, axes


def _tiles(tiles: Sequence[tuple[Image, str]], columns: int, path: Path) -> None:
    from matplotlib import pyplot as plt

    rows = -(-len(tiles) // columns)
    height, width = tiles[0][0].shape[:2]
    across = 9.0 / columns
    size = (9.0, rows * (across * height / width + 0.3))
    sheet, grid = plt.subplots(rows, columns, figsize=size, squeeze=False, layout="constrained")
    for axes, (picture, title) in zip(grid.flat, tiles, strict=True):
        axes.imshow(picture)
        axes.set_title(title, fontsize=8, color=_INK)
        axes.set_axis_off()
    _save(sheet, path)


def _line(axes: Any, scene: SetUp, points_m: np.ndarray, colour: str, style: str) -> None:
    axes.plot(*scene.on_picture(points_m).T, style, color=colour, linewidth=1.5)


def _label(
    axes: Any,
    scene: SetUp,
    at_m: np.ndarray,
    text: str,
    away: tuple[int, int],
    colour: str = _INK,
) -> None:
    """Text so many pixels away from a point, with a line to it."""
    (point,) = scene.on_picture(at_m[None])
    frame = {"boxstyle": "round,pad=0.25", "facecolor": "white", "edgecolor": colour, "alpha": 0.9}
    line = {"arrowstyle": "-", "color": colour} if any(away) else None
    axes.annotate(
        text, point, point + away, fontsize=8, color=colour, bbox=frame, arrowprops=line,
        ha="center", va="center",
    )  # fmt: skip


def _save(sheet: Any, path: Path) -> None:
    """As PNG with few colours."""
    from matplotlib import pyplot as plt
    from PIL import Image as Picture

    from df_policy.files import write_atomically

    sheet.set_dpi(_DPI)
    sheet.canvas.draw()
    drawn = Picture.fromarray(np.asarray(sheet.canvas.buffer_rgba())[..., :3])
    plt.close(sheet)
    few = drawn.quantize(_COLOURS, dither=Picture.Dither.NONE)
    write_atomically(path, lambda partial: few.save(partial, optimize=True))


def _parser() -> argparse.ArgumentParser:
    parser = Options(prog="python -m df_policy figures", description=__doc__)
    parser.add_argument("--out", type=Path, default=Path("figures"), help="a folder")
    return parser
