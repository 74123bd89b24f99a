"""The hand behind the scene: the one place where disturbances see and change the true world."""

from __future__ import annotations

import weakref
from collections.abc import Callable, Sequence

import mujoco
import numpy as np
from jaxtyping import Float64

from df_policy.frames import Observation
from df_policy.geometry import Vector
from df_policy.sim.scene import DISTRACTOR, PLACE, ROBOT_PREFIX
from df_policy.sim.textures import material_name
from df_policy.sim.world import World

SHAPES = {
    "box": mujoco.mjtGeom.mjGEOM_BOX,
    "sphere": mujoco.mjtGeom.mjGEOM_SPHERE,
    "cylinder": mujoco.mjtGeom.mjGEOM_CYLINDER,
}

PARTS: dict[str, Callable[[str, str], bool]] = {
    "places": lambda body, _: body.startswith(PLACE),
    "arm": lambda body, _: body.startswith(ROBOT_PREFIX),
    "floor": lambda _, geom: geom == "floor",
}
"""What can be brightened: of a body's and a geom's name, whether it belongs to it."""
_NO_COLOUR = np.array([0.5, 0.5, 0.5, 1.0], np.float32)
"""By which MuJoCo knows a geom that has none of its own."""

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

    def light(self, key: float | Vector, ambient: float, tilt: Vector) -> None:
        """Scale the lamp and the light from everywhere, and let the lamp shine from elsewhere.

        Args:
            key: factor of the lamp's light, or of its red, green and blue.
            ambient: factor of the light from everywhere.
            tilt: is added to the direction in which the lamp shines.
        """
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

    def zoom(self, name: str, factor: float) -> None:
        """Scale a camera's field of view."""
        self._edit("cam_fovy")[self._world.model.camera(name).id] *= factor

    def delay_images(self, ticks: int) -> None:
        """From now on images are so many control ticks old when they come."""
        self._world.hindsight.ticks = ticks

    def look_again(self, seen: Observation) -> Observation:
        """An observation of this moment with the images that the scene gives now."""
        return self._world.observe() if seen.images else seen

    def lay_top(self, texture: str, rgb: Sequence[float]) -> None:
        """Give the table's top a texture of `textures.PATTERNS`, or none, and a colour."""
        model = self._world.model
        if texture:
            material = int(model.material(material_name(texture)).id)
            self._edit("geom_matid")[model.geom("table").id] = material
        self._edit("geom_rgba")[model.geom("table").id] = [*rgb, 1.0]

    def fruit_rgb(self, fruit: str) -> tuple[float, float, float]:
        """A fruit's colour."""
        red, green, blue = self._rgba(self._world.model.geom(fruit).id)[:3].tolist()
        return red, green, blue

    def paint_fruit(self, fruit: str, rgb: Sequence[float]) -> None:
        """Give a fruit another colour."""
        self._edit("geom_rgba")[self._world.model.geom(fruit).id] = [*rgb, 1.0]

    def brighten(self, part: str, factor: float) -> None:
        """Scale the brightness of all that belongs to one of PARTS."""
        model = self._world.model
        for geom in range(model.ngeom):
            body = str(model.body(int(model.geom_bodyid[geom])).name)
            name = str(model.geom(geom).name)
            if PARTS[part](body, name):
                rgba = self._rgba(geom)
                rgba[:3] = np.clip(rgba[:3] * factor, 0.0, 1.0)
                self._edit("geom_rgba")[geom] = rgba

    def _rgba(self, geom: int) -> Float64[np.ndarray, "4"]:
        """A geom's colour: its own, or where it has none its material's."""
        model = self._world.model
        own, material = model.geom_rgba[geom], int(model.geom_matid[geom])
        plain = material >= 0 and np.array_equal(own, _NO_COLOUR)
        return np.array(model.mat_rgba[material] if plain else own, np.float64)

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
        self._world.hindsight.ticks = 0

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
