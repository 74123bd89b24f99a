"""What differs between the episodes of one model: where places stand, how things look.

Only fields of the compiled model change, so that a reset costs no compilation.
"""

from __future__ import annotations

import mujoco
import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from df_policy.sim.scene import place_name
from df_policy.sim.tasks.task import Colour, Inventory, Look, Start

_DARK: Colour = (0.07, 0.07, 0.08)
_ORNAMENT_AT = 0.028
"""The radius for which stems and leaves are drawn."""


class Wardrobe:
    """Dresses one model for the episodes of its task."""

    def __init__(self, model: mujoco.MjModel, inventory: Inventory) -> None:
        """Remembers what the model looks like as compiled.

        Args:
            model: made from `inventory`.
            inventory: says what may differ.
        """
        self._model, self._inventory = model, inventory
        places = range(len(inventory.kinds))
        self._places = [int(model.body(place_name(place)).id) for place in places]
        self._fruits = {name: int(model.geom(name).id) for name in inventory.fruits}
        self._panel = int(model.geom("panel").id) if inventory.panel else None
        self._lamp_rgb = {
            fruit: tuple(float(v) for v in model.mat_rgba[model.geom_matid[geom], :3])
            for fruit, geom in self._fruits.items()
        }
        self._geom_pos = model.geom_pos.copy()
        self._spare = mujoco.MjData(model) if inventory.varied else None

    def wear(self, start: Start) -> None:
        """Make the model that of this episode; nothing of the last one is left."""
        self.show(None)
        if self._spare is None:
            return
        model = self._model
        model.body_pos[self._places, :2] = start.places_m
        for fruit, geom in self._fruits.items():
            self._resize(geom, start.radii_m[fruit])
        if start.look is not None:
            self._paint(start.look)
        mujoco.mj_setConst(model, self._spare)

    def show(self, fruit: str | None) -> None:
        """Have the panel, if there is one, shine in a fruit's colour, or be dark."""
        if self._panel is not None:
            rgb = _DARK if fruit is None else self._lamp_rgb[fruit]
            self._model.geom_rgba[self._panel, :3] = rgb
            self._model.geom_rgba[self._panel, 3] = 1.0

    def row(self) -> Float64[np.ndarray, "n"]:
        """All that may differ, as numbers; empty where nothing does."""
        fields = [np.zeros(0), *(field.ravel() for field in self._fields())]
        return np.concatenate(fields, dtype=np.float64)

    def put(self, row: Float64[np.ndarray, "n"]) -> None:
        """Look as when `row` gave these numbers."""
        at = 0
        for field in self._fields():
            field[...] = row[at : at + field.size].reshape(field.shape)
            at += field.size

    def _fields(self) -> list[np.ndarray]:
        """Views of the model's fields that may differ."""
        model, fields = self._model, []
        if self._panel is not None:
            fields.append(model.geom_rgba[self._panel])
        if self._spare is not None:
            table, key = int(model.geom("table").id), int(model.light("key").id)
            fields += [model.body_pos[place] for place in self._places]
            for geom in self._fruits.values():
                fields += [model.geom_size[geom], model.geom_rgba[geom]]
                fields.append(model.geom_pos[self._with_ornaments(geom)])
            fields += [model.geom_rgba[table], model.light_dir[key], model.light_diffuse[key]]
            fields.append(model.vis.headlight.ambient)
        return fields

    def _resize(self, geom: int, radius_m: float) -> None:
        """Another size at the same mass; contacts look at the bounds, too."""
        model, body = self._model, int(self._model.geom_bodyid[geom])
        drawn = self._with_ornaments(geom)
        model.geom_size[geom, 0] = radius_m
        model.geom_rbound[geom] = radius_m
        model.geom_aabb[geom, 3:] = radius_m
        model.body_inertia[body] = 0.4 * model.body_mass[body] * radius_m**2
        model.geom_pos[drawn] = self._geom_pos[drawn] * (radius_m / _ORNAMENT_AT)

    def _with_ornaments(self, geom: int) -> slice:
        """A fruit with its stem and leaf, among all geoms."""
        body = int(self._model.geom_bodyid[geom])
        first = int(self._model.body_geomadr[body])
        return slice(first, first + int(self._model.body_geomnum[body]))

    def _paint(self, look: Look) -> None:
        model = self._model
        for fruit, geom in self._fruits.items():
            model.geom_rgba[geom] = [*look.fruit_rgb[fruit], 1.0]
        model.geom_rgba[int(model.geom("table").id)] = [*look.table_rgb, 1.0]
        key = int(model.light("key").id)
        model.light_dir[key] = look.key_direction
        model.light_diffuse[key] = look.key_rgb
        model.vis.headlight.ambient[:] = look.ambient_rgb
        camera = int(model.camera("front").id)
        model.cam_pos[camera] = look.camera_m
        model.cam_quat[camera] = _looking(look)
        model.cam_fovy[camera] = look.fovy_deg


def _looking(look: Look) -> Float64[np.ndarray, "4"]:
    """The orientation of a camera that looks at its target, wxyz; it sees along its -z."""
    back = np.subtract(look.camera_m, look.target_m)
    back = back / np.linalg.norm(back)
    right = np.cross([0.0, 0.0, 1.0], back)
    right = right / np.linalg.norm(right)
    level = Rotation.from_matrix(np.stack([right, np.cross(back, right), back], axis=1))
    x, y, z, w = (level * Rotation.from_euler("z", look.roll_rad)).as_quat()
    return np.array([w, x, y, z])
