"""Demonstrations as a mirror shows them: twice as many, where robot, cameras and task allow.

The mirror stands upright on the base's x and z axes: left and right change places. What it shows
could have been recorded, but for light and the arm's posture in the images, if the base stands in
the middle of the task, if each camera looks along the mirror (the wrist's along the hand's own x
and z axes), and if what is to be done on the left is to be done on the right too.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from jaxtyping import Float, Int64, UInt8

from df_policy.demonstrations import Demonstrations, Images, join

_PLACE = np.array([1.0, -1.0, 1.0])
_QUAT_XYZW = np.array([-1.0, 1.0, -1.0, 1.0])
_ROTATION_6D = np.array([1.0, -1.0, 1.0, -1.0, 1.0, -1.0])


@dataclass(frozen=True)
class MirroredImages:
    """Images with left and right exchanged as they are read."""

    images: Images

    def __len__(self) -> int:
        """How many there are."""
        return len(self.images)

    def __getitem__(self, rows: Int64[np.ndarray, "m"]) -> UInt8[np.ndarray, "m height width 3"]:
        """The images with these numbers."""
        return np.ascontiguousarray(self.images[rows][:, :, ::-1])


def mirrored_rows(rows: Float[np.ndarray, "n 10"]) -> Float[np.ndarray, "n 10"]:
    """Actions as the mirror shows them; see `frames.Action.row`."""
    signs = np.concatenate([_PLACE, _ROTATION_6D, [1.0]])
    turned: np.ndarray = rows * signs.astype(rows.dtype)
    return turned


def mirrored(data: Demonstrations) -> Demonstrations:
    """The same episodes in the mirror."""
    return replace(
        data,
        images={name: MirroredImages(images) for name, images in data.images.items()},
        tool_position=data.tool_position * _PLACE.astype(np.float32),
        tool_quat_xyzw=data.tool_quat_xyzw * _QUAT_XYZW.astype(np.float32),
        action=mirrored_rows(data.action),
    )


def with_mirrored(
    data: Demonstrations, part: Demonstrations
) -> tuple[Demonstrations, Demonstrations]:
    """All frames and their mirrored ones after them; the episodes of `part`, and these mirrored.

    Args:
        data: whole recordings.
        part: some of its episodes; see `Demonstrations.split`.
    """
    count = len(data.action)
    both = join([data, mirrored(data)])
    weights = (*data.weights, *((end + count, weight) for end, weight in data.weights))
    starts = np.concatenate([part.starts, part.starts + count])
    ends = np.concatenate([part.ends, part.ends + count])
    both = replace(both, weights=weights)
    return both, replace(both, starts=starts, ends=ends)
