"""Offscreen images: small ones for policies, large ones for people.

A view's graphics context belongs to the process and thread that rendered with it first.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

import mujoco
import numpy as np
from jaxtyping import Float64

from df_policy.errors import DfPolicyError
from df_policy.frames import Image

_POLICY_GROUPS = (0, 3)
_PERSON_GROUPS = (0, 1, 2)
PERSON_SIZE = (360, 480)
_SUPERSAMPLING = 2
"""Smooths edges in less time than multisampling takes in software."""


class PolicyCameras:
    """The robot's cameras: collision meshes and no shadows, which costs milliseconds."""

    def __init__(self, model: mujoco.MjModel, cameras: Mapping[str, tuple[int, int]]) -> None:
        """Opens no graphics yet.

        Args:
            model: the task's model.
            cameras: name -> (height, width).
        """
        self._cameras = dict(cameras)
        self._views = {
            size: _View(model, size, _POLICY_GROUPS, beautiful=False)
            for size in sorted(set(self._cameras.values()))
        }

    def render(self, data: mujoco.MjData) -> dict[str, Image]:
        """One RGB image per camera."""
        return {name: self._views[size].render(data, name) for name, size in self._cameras.items()}

    def close(self) -> None:
        """Free the graphics; rendering again opens them again."""
        for view in self._views.values():
            view.close()


class PersonView:
    """The picture for people: the robot's visible meshes, shadows, smooth edges."""

    def __init__(self, model: mujoco.MjModel, size: tuple[int, int] = PERSON_SIZE) -> None:
        """Opens no graphics yet.

        Args:
            model: the task's model.
            size: (height, width) of the picture.
        """
        self._size = size
        self._camera = model.camera("person")
        enlarged = (_SUPERSAMPLING * size[0], _SUPERSAMPLING * size[1])
        self._view = _View(model, enlarged, _PERSON_GROUPS, beautiful=True)

    def render(self, data: mujoco.MjData) -> Image:
        """The RGB picture."""
        (height, width), n = self._size, _SUPERSAMPLING
        large = self._view.render(data, "person").reshape(height, n, width, n, 3)
        total = sum(large[:, i, :, j].astype(np.uint16) for i in range(n) for j in range(n))
        return np.asarray(total // n**2, dtype=np.uint8)

    def project(self, points_m: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 2"]:
        """Where points of the world appear, as (column, row); nan for those behind the camera."""
        axes = np.empty(9)
        mujoco.mju_quat2Mat(axes, self._camera.quat)
        seen = (points_m - self._camera.pos) @ axes.reshape(3, 3)
        depth = np.where(seen[:, 2] < -1e-3, -seen[:, 2], np.nan)
        height, width = self._size
        focal = 0.5 * height / np.tan(0.5 * np.radians(float(self._camera.fovy[0])))
        columns = 0.5 * width + focal * seen[:, 0] / depth
        rows = 0.5 * height - focal * seen[:, 1] / depth
        return np.stack([columns, rows], axis=1)

    def close(self) -> None:
        """Free the graphics; rendering again opens them again."""
        self._view.close()


class _View:
    """A renderer that is opened when first needed, and again after a fork."""

    def __init__(
        self,
        model: mujoco.MjModel,
        size: tuple[int, int],
        groups: tuple[int, ...],
        *,
        beautiful: bool,
    ) -> None:
        self._model, self._size, self._beautiful = model, size, beautiful
        self._option = mujoco.MjvOption()
        self._option.geomgroup[:] = [group in groups for group in range(6)]
        self._renderer: mujoco.Renderer | None = None
        self._owner = 0

    def render(self, data: mujoco.MjData, camera: str) -> Image:
        if self._owner != os.getpid():
            _forget(self._renderer)  # another process's context: not ours to use or to free
            self._renderer, self._owner = None, os.getpid()
        if self._renderer is None:
            self._renderer = _open(self._model, self._size, beautiful=self._beautiful)
        self._renderer.update_scene(data, camera, self._option)
        return np.asarray(self._renderer.render(), dtype=np.uint8)

    def close(self) -> None:
        if self._renderer is not None and self._owner == os.getpid():
            self._renderer.close()
        self._renderer = None


_foreign: list[mujoco.Renderer] = []


def _forget(renderer: mujoco.Renderer | None) -> None:
    """Never free a renderer of the parent process here: that would touch its graphics."""
    if renderer is not None:
        _foreign.append(renderer)


def _open(model: mujoco.MjModel, size: tuple[int, int], *, beautiful: bool) -> mujoco.Renderer:
    """A renderer with its own context.

    Raises:
        DfPolicyError: if this machine has no working EGL.
    """
    buffer = model.vis.global_
    before = buffer.offheight, buffer.offwidth
    buffer.offheight, buffer.offwidth = size  # no larger than the picture, which saves time
    try:
        renderer = mujoco.Renderer(model, *size)
    except Exception as error:  # each driver fails with an exception of its own
        raise DfPolicyError(
            "expected OpenGL without a display (EGL) for the cameras' images, got "
            f"{type(error).__name__}: {error}; do `apt install libegl1 libegl-mesa0 "
            "libgl1-mesa-dri libopengl0` on Debian or Ubuntu; a program that imports mujoco "
            "before df_policy.sim must set MUJOCO_GL=egl itself"
        ) from error
    finally:
        buffer.offheight, buffer.offwidth = before
    flags = renderer.scene.flags
    for flag in (mujoco.mjtRndFlag.mjRND_SHADOW, mujoco.mjtRndFlag.mjRND_SKYBOX):
        flags[flag] = beautiful
    flags[mujoco.mjtRndFlag.mjRND_REFLECTION] = False
    return renderer
