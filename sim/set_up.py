"""A task's set-up as a person finds it on a table, for the figures of a guide.

Beside what a task needs it has the cameras' housings and, where one is calibrated, a board.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float64

from df_policy.frames import Image
from df_policy.geometry import Pose, Vector
from df_policy.sim.cameras import PersonView, PolicyCameras
from df_policy.sim.kinematics import Tracker
from df_policy.sim.scene import (
    ARM_JOINTS,
    FINGER_JOINTS,
    ROBOT_PREFIX,
    place_name,
    task_spec,
)
from df_policy.sim.tasks.task import OPEN_M, Task

_HOUSING_M = (0.045, 0.012, 0.012)
_PAPER_M = 0.001
_AWAY_M = -2.0
_EYE_M, _LOOKED_AT_M = (1.75, -1.30, 1.10), (0.52, 0.0, 0.28)
"""Of a person who sees the fixed camera too."""
_FOR_PEOPLE = 1
"""The group of what policies do not see."""
_DT_S = 0.02


@dataclass(frozen=True)
class LaidBoard:
    """A board that lies on the table."""

    picture: Image
    size_m: tuple[float, float]
    """Width and height."""
    middle_m: tuple[float, float]


class SetUp:
    """Arm, table and cameras; the arm goes wherever it is put.

    Args:
        task: what stands on the table.
        cameras: name -> (height, width) of its pictures.
        person: (height, width) of the pictures for people.
        board: in place of places and fruits, which are out of sight then.
    """

    def __init__(
        self,
        task: Task,
        cameras: Mapping[str, tuple[int, int]],
        person: tuple[int, int] = (360, 480),
        board: LaidBoard | None = None,
    ) -> None:
        spec = task_spec(task.inventory)
        for camera in spec.cameras:
            if camera.name in task.cameras:
                _add_housing(camera)
        if board is not None:
            _add_board(spec, board)
            for number in range(len(task.inventory.kinds)):
                spec.body(place_name(number)).pos[2] = _AWAY_M
        _place_person(spec.camera("person"))
        self._model = spec.compile()
        self._data = mujoco.MjData(self._model)
        start = task.draw_start(0)
        for fruit, position_m in start.positions_m.items():
            height_m = position_m[2] if board is None else _AWAY_M
            address = int(self._model.joint(fruit).qposadr[0])
            self._data.qpos[address : address + 3] = [*position_m[:2], height_m]
        self._cameras = PolicyCameras(self._model, cameras)
        self._person = PersonView(self._model, person)
        self.put(start.hand.tool)

    def put(self, tool: Pose) -> None:
        """Have the arm hold its tool there, with the fingers open."""
        q_rad = Tracker(_DT_S).solve(tool)
        for joint, q in zip(ARM_JOINTS, q_rad, strict=True):
            self._data.joint(ROBOT_PREFIX + joint).qpos[:] = q
        for finger in FINGER_JOINTS:
            self._data.joint(ROBOT_PREFIX + finger).qpos[:] = 0.5 * OPEN_M
        mujoco.mj_kinematics(self._model, self._data)
        mujoco.mj_camlight(self._model, self._data)

    def seen(self) -> dict[str, Image]:
        """What the cameras see."""
        return self._cameras.render(self._data)

    def shown(self) -> Image:
        """What a person sees."""
        return self._person.render(self._data)

    def on_picture(self, points_m: Float64[np.ndarray, "n 3"]) -> Float64[np.ndarray, "n 2"]:
        """Where points appear in `shown`, as (column, row)."""
        return self._person.project(points_m)

    def camera_m(self, name: str) -> Vector:
        """Where a camera is."""
        return np.array(self._data.camera(name).xpos)

    def close(self) -> None:
        """Free the graphics."""
        self._cameras.close()
        self._person.close()


def _add_housing(camera: mujoco.MjsCamera) -> None:
    """A box that policies do not see, where a camera is."""
    housing = camera.parent.add_geom(
        type=mujoco.mjtGeom.mjGEOM_BOX,
        size=_HOUSING_M,
        pos=camera.pos,
        group=_FOR_PEOPLE,
        contype=0,
        conaffinity=0,
        rgba=[0.12, 0.13, 0.15, 1.0],
    )
    housing.alt.type, housing.alt.xyaxes = camera.alt.type, camera.alt.xyaxes


def _place_person(camera: mujoco.MjsCamera) -> None:
    ahead = np.subtract(_LOOKED_AT_M, _EYE_M)
    right = np.cross(ahead, [0.0, 0.0, 1.0])
    camera.pos = _EYE_M
    camera.alt.type = mujoco.mjtOrientation.mjORIENTATION_XYAXES
    camera.alt.xyaxes = [*right, *np.cross(right, ahead)]


def _add_board(spec: mujoco.MjSpec, board: LaidBoard) -> None:
    height, width = board.picture.shape[:2]
    texture = spec.add_texture(
        name="board", type=mujoco.mjtTexture.mjTEXTURE_2D, width=width, height=height, nchannel=3
    )
    texture.data = board.picture.tobytes()
    material = spec.add_material(name="board", specular=0.0)
    material.textures[mujoco.mjtTextureRole.mjTEXROLE_RGB] = "board"
    spec.worldbody.add_geom(
        type=mujoco.mjtGeom.mjGEOM_PLANE,
        size=[0.5 * board.size_m[0], 0.5 * board.size_m[1], 1.0],
        pos=[*board.middle_m, _PAPER_M],
        material="board",
        contype=0,
        conaffinity=0,
    )
