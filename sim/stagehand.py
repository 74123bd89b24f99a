"""The hand behind the scene: the one place where disturbances see and change the true world."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import mujoco
import numpy as np
from jaxtyping import Float64

from df_policy.geometry import Vector
from df_policy.sim import task
from df_policy.sim.scene import DISTRACTOR
from df_policy.sim.world import World

SHAPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
}

Point = Float64[np.ndarray, "2"]

_AWAY_M = 0.12
"""At this distance from every fruit the hand is about something else."""
_STILL_M = 0.010
"""Way of the tool in one action period below which it rests."""
_RISE_M = 0.003
_LIFTED_M = 0.040
"""A fruit that has risen so far above its place is in the gripper for certain."""


class Stagehand:
    """Works behind a world, between its ticks; what it does to the model can be undone.

    A world has one, since only who changed the model first knows how it was: see `of`.
    """

    def __init__(self, world: World) -> None:
        """Touches nothing yet."""
        self._world = world
        self._before: dict[str, np.ndarray] = {}

    @classmethod
    def of(cls, world: World) -> Stagehand:
        """The one of this world."""
        if world not in _HIRED:
            _HIRED[world] = cls(weakref.proxy(world))
        return _HIRED[world]

    def fruits_m(self) -> dict[str, Vector]:
        """Fruit -> position of its centre."""
        return self._world.fruits_m()

    def slots_m(self) -> Float64[np.ndarray, "n 2"]:
        """The middles of the slots on the table."""
        return task.SLOTS_M

    def tool_m(self) -> Vector:
        """The point between the finger tips."""
        return self._world.observe(cameras=False).tool.position_m

    def lying(self) -> dict[str, int]:
        """Fruit -> slot, for each fruit that lies in one."""
        found = {fruit: task.slot_of(position) for fruit, position in self.fruits_m().items()}
        return {fruit: slot for fruit, slot in found.items() if slot is not None}

    def lifted_over(self, fruit_m: Vector, before_m: Vector) -> int | None:
        """The slot from which a fruit is being lifted: it rises, and is still above it.

        Args:
            fruit_m: where it is now.
            before_m: where it was one action before.
        """
        height = fruit_m[2] - task.FRUIT_RADIUS_M
        if height < _LIFTED_M or fruit_m[2] - before_m[2] < _RISE_M:
            return None
        return task.slot_of(np.array([*fruit_m[:2], task.FRUIT_RADIUS_M]))

    def is_away(self, tool_before_m: Vector) -> bool:
        """Whether the hand rests, away from all fruit.

        Args:
            tool_before_m: where the tool was one action before.
        """
        tool = self.tool_m()
        near = min(float(np.linalg.norm(tool - fruit)) for fruit in self.fruits_m().values())
        return near >= _AWAY_M and float(np.linalg.norm(tool - tool_before_m)) <= _STILL_M

    def put(self, fruit: str, slot: int, offset_m: Point) -> None:
        """Lay a fruit into a slot, at rest, so far from its middle."""
        model, data = self._world.model, self._world.data
        place, speed = int(model.joint(fruit).qposadr[0]), int(model.joint(fruit).dofadr[0])
        data.qpos[place : place + 3] = [*(self.slots_m()[slot] + offset_m), task.FRUIT_RADIUS_M]
        data.qvel[speed : speed + 6] = 0.0
        mujoco.mj_forward(model, data)

    def light(self, key: float, ambient: float, tilt: Vector) -> None:
        """Scale the lamp and the light from everywhere, and let the lamp shine from elsewhere."""
        self._edit("light_diffuse")[...] *= key
        self._edit("vis.headlight.ambient")[...] *= ambient
        direction = self._edit("light_dir") + tilt
        direction /= np.linalg.norm(direction, axis=1, keepdims=True)
        self._edit("light_dir")[...] = direction

    def camera(self, name: str) -> tuple[Vector, Float64[np.ndarray, "4"]]:
        """Position and attitude (w, x, y, z) of a camera in the body that carries it."""
        index = self._world.model.camera(name).id
        return np.array(self._world.model.cam_pos[index]), self._world.model.cam_quat[index].copy()

    def place_camera(self, name: str, at_m: Vector, quat_wxyz: Float64[np.ndarray, "4"]) -> None:
        """Move a camera in the body that carries it."""
        index = self._world.model.camera(name).id
        self._edit("cam_pos")[index], self._edit("cam_quat")[index] = at_m, quat_wxyz

    def dress(self, shape: str, half_m: float, rgb: Sequence[float]) -> None:
        """Make the distractor one of SHAPES, so large (half its height) and of this colour."""
        index = self._world.model.geom(DISTRACTOR).id
        self._edit("geom_type")[index] = SHAPES[shape]
        self._edit("geom_size")[index] = half_m
        self._edit("geom_rgba")[index] = [*rgb, 1.0]

    def place(self, distractor_m: Vector) -> None:
        """Put the distractor there; a reset of the world hides it again."""
        body = int(self._world.model.body(DISTRACTOR).mocapid[0])
        self._world.data.mocap_pos[body] = distractor_m

    def undo(self) -> None:
        """Give the model back as it was; where things are is for the world's reset."""
        for field, values in self._before.items():
            self._array(field)[...] = values
        self._before.clear()

    def _edit(self, field: str) -> np.ndarray:
        """The model's array of that name, remembered as it was first."""
        array = self._array(field)
        self._before.setdefault(field, np.array(array))
        return array

    def _array(self, field: str) -> np.ndarray:
        owner = self._world.model
        for part in field.split("."):
            owner = getattr(owner, part)
        return np.asarray(owner)


_HIRED: weakref.WeakKeyDictionary[World, Stagehand] = weakref.WeakKeyDictionary()
