"""The MuJoCo models: the FR3 of franky-sim on a task's table, and the bare arm for kinematics."""

from __future__ import annotations

from copy import deepcopy
from importlib.resources import files
from xml.etree import ElementTree

import mujoco

from df_policy.errors import DfPolicyError
from df_policy.sim.tasks.task import Inventory
from df_policy.sim.textures import add_textures

ARM_JOINTS = tuple(f"fr3_joint{number}" for number in range(1, 8))
FINGER_JOINTS = ("finger_joint1", "finger_joint2")
DISTRACTOR = "distractor"
PLACE = "place_"
"""Stands before the number of a place in its body's name."""
TOOL_SITE = "tool"
ROBOT_PREFIX = "robot/"
"""Stands before the names of the robot's joints in the task's model."""

FINGER_TRAVEL_M = 0.04
HAND_CTRL_MAX = 255.0

_PAINT = {
    "tray": {"rim": "0.34 0.34 0.36 1", "dish": "0.62 0.64 0.66 1"},
    "plate": {"rim": "0.97 0.97 0.97 1", "dish": "0.70 0.80 0.90 1"},
}
"""Colours of places that are no slots."""
_TOOL_Z_M = 0.1034
"""From the hand's flange to the point between the finger tips."""
_GRIP_GAIN = 4.0
"""As shipped, the gripper lets fruit slip."""
_PAD_FRICTION = (1.5, 0.01, 0.003)
_LINEAR_DAMPING = 0.02
_ANGULAR_DAMPING = 2e-4
"""Rolling resistance that soft fruit has and rigid spheres lack."""


def task_model(inventory: Inventory, dt_s: float = 0.002) -> mujoco.MjModel:
    """Robot, table, places, fruits, cameras: all that a task needs, with physics step `dt_s`."""
    spec = task_spec(inventory)
    spec.option.timestep = dt_s
    model = spec.compile()
    for fruit in inventory.fruits:
        start = int(model.joint(fruit).dofadr[0])
        model.dof_damping[start : start + 3] = _LINEAR_DAMPING
        model.dof_damping[start + 3 : start + 6] = _ANGULAR_DAMPING
    return model


def task_spec(inventory: Inventory) -> mujoco.MjSpec:
    """The same before it is compiled, for who puts more into it."""
    spec = mujoco.MjSpec.from_string(_table_xml(inventory))
    robot = _robot_spec()
    _let_only_pads_collide(robot)
    _strengthen_gripper(robot)
    for body in robot.bodies:
        body.gravcomp = 1.0
    spec.attach(robot, prefix=ROBOT_PREFIX, frame=spec.frame("robot"))
    hand = spec.body(f"{ROBOT_PREFIX}hand")
    _add_tool(hand)
    _add_wrist_camera(hand)
    _add_distractor(spec.worldbody)
    add_textures(spec)
    return spec


def place_name(place: int) -> str:
    """The body of a place."""
    return f"{PLACE}{place}"


def _table_xml(inventory: Inventory) -> str:
    """The table with this inventory's places, fruits and lamp, and without the rest."""
    text = files("df_policy.sim").joinpath("assets/table.xml").read_text(encoding="utf-8")
    root = ElementTree.fromstring(text)
    world = root.find("worldbody")
    if world is None:
        raise DfPolicyError("expected a worldbody in table.xml, got none, install df_policy again")
    bodies = {body.get("name"): body for body in world.findall("body")}
    wanted = {"place", *inventory.fruits, *(("panel",) if inventory.panel else ())}
    if missing := wanted - set(bodies):
        raise DfPolicyError(f"expected bodies of table.xml, got {sorted(missing)}, add them there")
    for name, body in bodies.items():
        if name not in wanted:
            world.remove(body)
    pattern = bodies["place"]
    first = list(world).index(pattern)
    world.remove(pattern)
    for number, ((x_m, y_m), kind) in enumerate(
        zip(inventory.places_m, inventory.kinds, strict=True)
    ):
        place = deepcopy(pattern)
        place.set("name", place_name(number))
        place.set("pos", f"{x_m:g} {y_m:g} 0")
        for geom in place.iter("geom"):
            if paint := _PAINT.get(kind, {}).get(str(geom.get("class"))):
                geom.set("rgba", paint)
        world.insert(first + number, place)
    return ElementTree.tostring(root, encoding="unicode")


def arm_model() -> mujoco.MjModel:
    """Seven joints and the tool's site, nothing to collide: fast kinematics."""
    spec = _robot_spec()
    _add_tool(spec.body("hand"))
    for elements in (spec.actuators, spec.equalities, spec.tendons, spec.excludes, spec.geoms):
        for element in list(elements):
            spec.delete(element)
    for finger in ("left_finger", "right_finger"):
        spec.delete(spec.body(finger))
    for mesh in list(spec.meshes):
        spec.delete(mesh)
    return spec.compile()


def _robot_spec() -> mujoco.MjSpec:
    """The FR3 as franky-sim ships it.

    Raises:
        DfPolicyError: if franky-sim is not installed.
    """
    try:
        folder = files("franky_sim").joinpath("assets")
    except ModuleNotFoundError as error:
        raise DfPolicyError(
            "expected the robot's model of franky-sim, got no such package, "
            "do `pip install franky-sim`"
        ) from error
    spec = mujoco.MjSpec.from_file(str(folder.joinpath("fr3.xml")))
    spec.meshdir = str(folder.joinpath("meshes"))
    for key in list(spec.keys):
        spec.delete(key)
    return spec


def _let_only_pads_collide(robot: mujoco.MjSpec) -> None:
    """Meshes touch nothing: the arm cannot jam, and physics stays fast."""
    for geom in robot.geoms:
        pad = geom.type == mujoco.mjtGeom.mjGEOM_BOX and "finger" in geom.parent.name
        geom.contype = 2 if pad else 0  # 2 & 1 == 0: the two fingers do not meet each other
        geom.conaffinity = 1 if pad else 0
        if pad:
            geom.condim = 6
            geom.friction = _PAD_FRICTION


def _strengthen_gripper(robot: mujoco.MjSpec) -> None:
    hand = robot.actuator("hand")
    hand.gainprm[0] *= _GRIP_GAIN
    hand.biasprm[1] *= _GRIP_GAIN
    hand.biasprm[2] *= _GRIP_GAIN


def _add_tool(hand: mujoco.MjsBody) -> None:
    hand.add_site(name=TOOL_SITE, pos=[0.0, 0.0, _TOOL_Z_M], group=4)


def _add_wrist_camera(hand: mujoco.MjsBody) -> None:
    """In front of the hand, looking along the fingers; forward is up in its image."""
    camera = hand.add_camera(name="wrist", pos=[0.07, 0.0, 0.0], fovy=75.0)
    camera.alt.type = mujoco.mjtOrientation.mjORIENTATION_XYAXES
    camera.alt.xyaxes = [0.0, 1.0, 0.0, 1.0, 0.0, 0.09]


def _add_distractor(world: mujoco.MjsBody) -> None:
    """A thing under the floor that disturbances bring into view; it has no physics."""
    body = world.add_body(name=DISTRACTOR, mocap=True, pos=[0.0, 0.0, -2.0])
    box = mujoco.mjtGeom.mjGEOM_BOX
    body.add_geom(name=DISTRACTOR, type=box, size=[0.03] * 3, contype=0, conaffinity=0)
