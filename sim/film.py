"""Films and pictures for people: the scene, the planned way of the tool, a caption."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from pathlib import Path

import av
import cv2
import mujoco
import numpy as np
from jaxtyping import Float64, UInt8

from df_policy.errors import DfPolicyError
from df_policy.frames import Image
from df_policy.sim.cameras import PERSON_SIZE, PersonView
from df_policy.sim.scene import task_model
from df_policy.sim.tasks import find
from df_policy.sim.wardrobe import Wardrobe
from df_policy.sim.world import Snapshot, draw

Tile = UInt8[np.ndarray, "_ _ 3"]
"""One of several pictures of different sizes."""
Points = Float64[np.ndarray, "h 3"]

_NEAR_RGB, _FAR_RGB = (24, 110, 235), (120, 205, 250)
_CAPTION_RGB, _INK_RGB = (250, 250, 250), (30, 38, 48)
_SUBPIXEL_BITS = 4
_TILE_HEIGHT = 256


def render_film(
    snapshots: Sequence[Snapshot],
    plans: Sequence[Points | None],
    path: Path | str,
    *,
    fps: int = 10,
    captions: str | Sequence[str] = "",
    size: tuple[int, int] = PERSON_SIZE,
    task: str = "fruit_swap",
) -> None:
    """Write an H.264 MP4 with one picture per snapshot.

    Args:
        snapshots: positions as `World.snapshot` gives them.
        plans: for each snapshot the planned way of the tool, in metres, or None.
        path: the file, replaced if it exists.
        fps: pictures per second; 10 shows one snapshot per action in real time.
        captions: one line for all pictures, or one for each.
        size: (height, width), both even.
        task: whose snapshots these are.

    Raises:
        DfPolicyError: if the lists differ in length, or are empty, or the size is odd.
    """
    lines = [captions] * len(snapshots) if isinstance(captions, str) else list(captions)
    if not len(snapshots) == len(plans) == len(lines) or not snapshots:
        raise DfPolicyError(
            "expected as many plans and captions as snapshots, and at least one, got "
            f"{len(snapshots)} snapshots, {len(plans)} plans, {len(lines)} captions"
        )
    if size[0] % 2 or size[1] % 2:
        raise DfPolicyError(f"expected an even height and width, got {size}, do add one")
    painter = _Painter(size, task)
    try:
        moments = zip(snapshots, plans, lines, strict=True)
        write_film((painter.paint(*moment) for moment in moments), size, path, fps=fps)
    finally:
        painter.close()


def write_film(
    pictures: Iterable[Image], size: tuple[int, int], path: Path | str, *, fps: int
) -> None:
    """Write an H.264 MP4.

    Args:
        pictures: RGB, one after the other.
        size: their (height, width), both even.
        path: the file, replaced if it exists.
        fps: pictures per second.
    """
    with av.open(str(path), mode="w") as container:
        stream = container.add_stream("libx264", rate=fps, options={"crf": "21"})
        stream.height, stream.width = size
        stream.pix_fmt = "yuv420p"
        for picture in pictures:
            container.mux(stream.encode(av.VideoFrame.from_ndarray(picture, format="rgb24")))
        container.mux(stream.encode())


def snapshot_png(
    snapshot: Snapshot,
    path: Path | str,
    *,
    plan: Points | None = None,
    caption: str = "",
    size: tuple[int, int] = PERSON_SIZE,
    task: str = "fruit_swap",
) -> None:
    """Write one picture as PNG.

    Args:
        snapshot: positions as `World.snapshot` gives them.
        path: the file, replaced if it exists.
        plan: the planned way of the tool, in metres.
        caption: a line at the foot of the picture.
        size: (height, width).
        task: whose snapshot this is.

    Raises:
        DfPolicyError: if the file cannot be written.
    """
    painter = _Painter(size, task)
    try:
        picture = painter.paint(snapshot, plan, caption)
    finally:
        painter.close()
    write_png(picture, path)


def write_png(picture: Image, path: Path | str) -> None:
    """Write an RGB picture as PNG.

    Raises:
        DfPolicyError: if it cannot be.
    """
    encoded, png = cv2.imencode(".png", picture[..., ::-1])
    if not encoded:
        raise DfPolicyError(f"expected to encode a picture of {picture.shape} as PNG, it failed")
    Path(path).write_bytes(png.tobytes())


class _Painter:
    """The scene by itself, without control: shows any snapshot."""

    def __init__(self, size: tuple[int, int], task: str) -> None:
        inventory = find(task).inventory
        self._model = task_model(inventory)
        self._wardrobe = Wardrobe(self._model, inventory)
        self._data = mujoco.MjData(self._model)
        self._view = PersonView(self._model, size)

    def paint(self, snapshot: Snapshot, plan: Points | None, caption: str) -> Image:
        draw(self._model, self._data, self._wardrobe, np.asarray(snapshot))
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)
        picture = np.ascontiguousarray(self._view.render(self._data))
        if plan is not None and len(plan) > 1:
            _draw_way(picture, self._view.project(np.asarray(plan, dtype=np.float64)))
        if caption:
            picture = _with_caption(picture, caption)
        return picture

    def close(self) -> None:
        self._view.close()


def _draw_way(picture: Image, pixels: Float64[np.ndarray, "h 2"]) -> None:
    """A line that fades towards the plan's end, with a dot there."""
    scale = 1 << _SUBPIXEL_BITS
    seen = pixels[np.isfinite(pixels).all(axis=1)]
    points = np.round(np.clip(seen, -2000.0, 4000.0) * scale).astype(np.int32)
    width = max(2, round(picture.shape[0] / 220))
    for index in range(len(points) - 1):
        share = index / max(1, len(points) - 2)
        colour = tuple(
            round(near + share * (far - near))
            for near, far in zip(_NEAR_RGB, _FAR_RGB, strict=True)
        )
        segment = points[index : index + 2].reshape(1, 2, 2)
        cv2.polylines(picture, [segment], False, colour, width, cv2.LINE_AA, shift=_SUBPIXEL_BITS)
    if len(points):
        end = (int(points[-1, 0]), int(points[-1, 1]))
        cv2.circle(
            picture, end, 2 * width * scale, _NEAR_RGB, -1, cv2.LINE_AA, shift=_SUBPIXEL_BITS
        )


def mosaic(rows: Sequence[Sequence[Tile]], titles: Sequence[str], caption: str) -> Tile:
    """Small pictures side by side, large enough to be looked at.

    Args:
        rows: of one length; the largest height of a row is a multiple of each of its heights.
        titles: one over each column.
        caption: under all.
    """
    tiles = [_tiles(row) for row in rows]
    width = max(tile.shape[1] for row in tiles for tile in row)
    bands = []
    for row in tiles:
        padded = [np.pad(t, ((4, 4), (4, width - t.shape[1] + 4), (0, 0))) for t in row]
        bands.append(np.concatenate(padded, axis=1))
    strip = np.full((32, bands[0].shape[1], 3), _CAPTION_RGB, np.uint8)
    head, foot = strip.copy(), strip
    for column, title in enumerate(titles):
        _write(head, title, (8 + column * (width + 8), 22))
    _write(foot, caption, (8, 22))
    return np.concatenate([head, *bands, foot])


def _tiles(row: Sequence[Tile]) -> list[Tile]:
    """The pictures of a row at one height."""
    tallest = max(picture.shape[0] for picture in row)
    height = max(1, _TILE_HEIGHT // tallest) * tallest
    factors = [height // picture.shape[0] for picture in row]
    return [p.repeat(factor, 0).repeat(factor, 1) for p, factor in zip(row, factors, strict=True)]


def _write(picture: Image, text: str, at: tuple[int, int]) -> None:
    cv2.putText(picture, text, at, cv2.FONT_HERSHEY_SIMPLEX, 0.5, _INK_RGB, 1, cv2.LINE_AA)


def _with_caption(picture: Image, caption: str) -> Image:
    """A light strip over the picture's foot, with the text in it."""
    height = picture.shape[0]
    strip = max(20, round(height * 0.075))
    size = strip / 40.0
    foot = picture[height - strip :].astype(np.float64)
    share = 0.82
    picture[height - strip :] = (foot + share * (np.array(_CAPTION_RGB) - foot)).astype(np.uint8)
    baseline = (round(0.5 * strip), height - round(0.32 * strip))
    cv2.putText(
        picture, caption, baseline, cv2.FONT_HERSHEY_SIMPLEX, size, _INK_RGB, 1, cv2.LINE_AA
    )
    return picture
