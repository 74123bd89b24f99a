"""Pictures of a board with the poses at which they were taken, in a folder."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

import cv2
import numpy as np

from df_policy.errors import DfPolicyError
from df_policy.files import write_text
from df_policy.frames import Image
from df_policy.geometry import Pose
from df_policy.hardware.board import Board, Transform
from df_policy.hardware.calibration import Calibration, Mount, calibrate
from df_policy.hardware.camera import Intrinsics

ABOUT = "views.json"
_WORST_PX = 2.0
"""A view whose corners fit worse is left out: the board was bent, or the picture blurred."""


@dataclass(frozen=True)
class View:
    """A picture of the board, and where the tool was."""

    image: Image
    tool: Pose


def save(folder: Path, views: Sequence[View], seen: Intrinsics, board: Board) -> None:
    """Write all, so that they can be looked at and calculated with again."""
    folder.mkdir(parents=True, exist_ok=True)
    rows = []
    for number, view in enumerate(views):
        name = f"{number:03d}.png"
        if not cv2.imwrite(str(folder / name), cv2.cvtColor(view.image, cv2.COLOR_RGB2BGR)):
            raise DfPolicyError(f"expected to write {folder / name}, got an error; is there room?")
        tool = [*view.tool.position_m.tolist(), *view.tool.quat_xyzw.tolist()]
        rows.append({"image": name, "tool": tool})
    about = {"intrinsics": asdict(seen), "board": asdict(board), "views": rows}
    write_text(folder / ABOUT, json.dumps(about, indent=1))


def load(folder: Path) -> tuple[list[View], Intrinsics, Board]:
    """What `save` wrote.

    Raises:
        DfPolicyError: if it is not there, or not so written.
    """
    try:
        about = json.loads((folder / ABOUT).read_text("utf-8"))
        lens = {name: tuple(value) for name, value in about["intrinsics"].items()}
        views = [
            View(_picture(folder, str(row["image"])), Pose.of(row["tool"][:3], row["tool"][3:]))
            for row in about["views"]
        ]
        return views, Intrinsics(**lens), Board(**about["board"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise DfPolicyError(
            f"expected pictures of a board with {ABOUT} in {folder}, got: {error}"
        ) from error


def _picture(folder: Path, name: str) -> Image:
    if Path(name).name != name:
        raise ValueError(f"a picture outside the folder: {name}")
    bgr = cv2.imread(str(folder / name))
    if bgr is None:
        raise ValueError(f"{name} is no picture")
    return np.asarray(cv2.cvtColor(bgr, cv2.COLOR_BGR2RGB), dtype=np.uint8)


def solve(
    mount: Mount, views: Sequence[View], seen: Intrinsics, board: Board
) -> tuple[Calibration, list[str]]:
    """Where the camera is, and why views were left out.

    Raises:
        DfPolicyError: if too few are left.
    """
    if seen.focal_px[0] <= 0.0:
        raise DfPolicyError(
            "expected a camera with known intrinsics, got none; a RealSense has them, others need "
            "`cv2.calibrateCamera` first"
        )
    tools: list[Pose] = []
    boards: list[Transform] = []
    left_out = []
    for number, view in enumerate(views):
        try:
            found, error_px = board.pose(view.image, seen)
        except DfPolicyError as error:
            left_out.append(f"view {number}: {error}")
            continue
        if error_px > _WORST_PX:
            left_out.append(f"view {number}: its corners fit within {error_px:.1f} px only")
            continue
        tools.append(view.tool)
        boards.append(found)
    return calibrate(mount, tools, boards), left_out
