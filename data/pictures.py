"""Pictures of a recording for people: a contact sheet, and an episode as a film."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import av
import cv2
import numpy as np
from numpy.typing import NDArray

from df_policy.data.reader import EpisodeStore
from df_policy.data.schema import image_column
from df_policy.errors import DfPolicyError
from df_policy.files import write_atomically

Picture = NDArray[np.uint8]

_THUMB, _FILM = 96, 240
"""Height of a picture in pixels."""
_MOST_EPISODES = 24
_MOMENTS = (0.0, 0.5, 1.0)
"""Of an episode: its first frame, the middle, the last."""
_INK, _PAPER = (30, 38, 48), (250, 250, 250)
_FRAMES_AT_ONCE = 32


def contact_sheet(store: EpisodeStore, path: Path) -> list[int]:
    """Write a PNG with a row for each episode: beginning, middle and end in every camera.

    Args:
        store: with an episode and a camera or more.
        path: the PNG, replaced as a whole.

    Returns:
        The episodes on it, evenly spread.

    Raises:
        DfPolicyError: if there is no camera, an image is damaged, or the disk refuses.
    """
    if not store.spec.cameras:
        raise DfPolicyError(f"expected a camera in {store.path}, got none to show")
    count = min(_MOST_EPISODES, len(store))
    chosen = np.linspace(0, len(store) - 1, count).round().astype(int).tolist()
    rows = []
    for index in chosen:
        start, stop = store.bounds(index)
        numbers = [start + round(share * (stop - 1 - start)) for share in _MOMENTS]
        words = (
            f"{index}: {stop - start} frames, {'success' if store.success[index] else 'failure'}"
        )
        pictures = [_one(store, camera, n) for n in numbers for camera in store.spec.cameras]
        rows.append(_captioned(np.hstack([_scaled(one, _THUMB) for one in pictures]), words))
    sheet = np.vstack(rows)
    done, png = cv2.imencode(".png", cv2.cvtColor(sheet, cv2.COLOR_RGB2BGR))
    if not done:
        raise DfPolicyError(f"expected to encode a sheet of {sheet.shape}, got a refusal")
    write_atomically(path, lambda partial: partial.write_bytes(png.tobytes()))
    return list(chosen)


def film(store: EpisodeStore, index: int, path: Path) -> None:
    """Write an episode as H.264 MP4 in real time, all cameras side by side.

    Args:
        store: with a camera or more.
        index: the episode.
        path: the MP4, replaced as a whole.

    Raises:
        DfPolicyError: if there is no such episode or no camera, an image is damaged, or the disk
            refuses.
    """
    if not store.spec.cameras:
        raise DfPolicyError(f"expected a camera in {store.path}, got none to show")
    pictures = _film_pictures(store, index)
    write_atomically(path, lambda partial: _encode(pictures, partial, store.spec.action_rate_hz))


def _film_pictures(store: EpisodeStore, index: int) -> Iterator[Picture]:
    first, end = store.bounds(index)
    for start in range(first, end, _FRAMES_AT_ONCE):
        stop = min(start + _FRAMES_AT_ONCE, end)
        views = [store.rows(image_column(c), start, stop) for c in store.spec.cameras]
        rows = {n: store.rows(n, start, stop) for n in ("stamp_ns", "gripper", "tool_position")}
        for number in range(stop - start):
            x, y, z = rows["tool_position"][number]
            words = (
                f"episode {index}  {1e-9 * rows['stamp_ns'][number]:.1f} s  tool {x:.2f} {y:.2f} "
                f"{z:.2f} m  gripper {1e3 * rows['gripper'][number, 0]:.0f} mm"
            )
            yield _captioned(np.hstack([_scaled(view[number], _FILM) for view in views]), words)


def _encode(pictures: Iterator[Picture], path: Path, rate_hz: float) -> None:
    with av.open(str(path), mode="w", format="mp4") as container:
        stream: Any = None
        for picture in pictures:
            height, width = (side // 2 * 2 for side in picture.shape[:2])
            if stream is None:
                rate = max(1, round(rate_hz))
                stream = container.add_stream("libx264", rate=rate, options={"crf": "18"})
                stream.height, stream.width, stream.pix_fmt = height, width, "yuv420p"
            whole = np.ascontiguousarray(picture[:height, :width])
            container.mux(stream.encode(av.VideoFrame.from_ndarray(whole, format="rgb24")))
        container.mux(stream.encode())


def _one(store: EpisodeStore, camera: str, frame: int) -> Picture:
    return np.asarray(store.rows(image_column(camera), frame, frame + 1)[0])


def _scaled(picture: Picture, height: int) -> Picture:
    width = max(1, round(picture.shape[1] * height / picture.shape[0]))
    smooth = cv2.INTER_AREA if picture.shape[0] > height else cv2.INTER_NEAREST
    return np.asarray(cv2.resize(picture, (width, height), interpolation=smooth), np.uint8)


def _captioned(picture: Picture, words: str) -> Picture:
    band = np.full((20, picture.shape[1], 3), _PAPER, np.uint8)
    cv2.putText(band, words, (4, 14), cv2.FONT_HERSHEY_SIMPLEX, 0.4, _INK, 1, cv2.LINE_AA)
    return np.vstack([band, picture])
