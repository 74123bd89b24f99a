"""The hand behind the scene: the one place where disturbances see and change the true world."""

from __future__ import annotations

import weakref
from collections.abc import Sequence

import mujoco
import numpy as np
from jaxtyping import Float64

from df_policy.geometry import Vector
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
_LIFTED_M = 0.040
_LOOSE_S = 0.3


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

    def places_m(self) -> Float64[np.ndarray, "n 2"]:
        """The middles of the places on the table."""
        return self._world.start.places_m

    def tool_m(self) -> Vector:
        """The point between the finger tips."""
        return self._world.observe(cameras=False).tool.position_m

    def lying(self) -> dict[str, int]:
        """Fruit -> place, for each fruit that lies in one."""
        found = {fruit: self._world.place_of(fruit) for fruit in self._world.task.fruits}
        return {fruit: place for fruit, place in found.items() if place is not None}

    def free(self) -> tuple[int, ...]:
        """The places with no fruit in or above them."""
        return self._world.free_places()

    def lifted(self) -> str | None:
        """The fruit in the hand that is well above the table and still over where it lay."""
        fruit = self._world.held_fruit()
        if fruit is None:
            return None
        at, start = self._world.fruits_m()[fruit], self._world.start
        radius = start.radii_m[fruit]
        over = start.place_of(fruit, np.array([*at[:2], radius])) is not None
        return fruit if over and at[2] >= radius + _LIFTED_M else None

    def is_away(self, tool_before_m: Vector) -> bool:
        """Whether the hand rests, away from all fruit.

        Args:
            tool_before_m: where the tool was one action before.
        """
        tool = self.tool_m()
        near = min(float(np.linalg.norm(tool - fruit)) for fruit in self.fruits_m().values())
        return near >= _AWAY_M and float(np.linalg.norm(tool - tool_before_m)) <= _STILL_M

    def put(self, fruit: str, place: int, offset_m: Point) -> None:
        """Lay a fruit into a place, at rest, so far from its middle."""
        middle = self._world.start.in_place(fruit, place)
        self._world.place_fruit(fruit, middle + [*offset_m, 0.0])

    def knock(self, fruit: str, velocity_m_s: Vector) -> None:
        """Have the fingers lose a fruit, with a push."""
        self._world.loosen_grip(_LOOSE_S)
        self._world.push_fruit(fruit, velocity_m_s)

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
