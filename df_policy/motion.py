"""Motion of the tool that keeps a robot's limits of speed and acceleration; always able to stop.

A motion is safe if, braked along its direction at the limit of acceleration, the tool comes to
rest inside the workspace. From a safe motion `follow` and `brake` make safe motions only: braking
is always one, and what is wanted beyond that is taken as far as it is safe. So nobody has to look
ahead, and there is no state from which a limit must be broken.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from df_policy.geometry import Pose, Vector
from df_policy.robot import RobotSpec

_HALVINGS = 12
_STILL: Vector = np.zeros(3)
_SMALL = 1e-9
"""Metres, radians, or either per second, that count as none."""


@dataclass(frozen=True)
class Motion:
    """Where the tool's target is, and how it moves."""

    pose: Pose
    velocity_m_s: Vector
    turn_rad_s: Vector
    """Angular velocity in the base frame."""
    met: tuple[bool, bool] = (True, True)
    """Whether it was at its goal, in place and in direction."""

    @classmethod
    def rest(cls, pose: Pose) -> Motion:
        """Standing at `pose`."""
        return cls(pose, _STILL, _STILL)

    @property
    def moving(self) -> bool:
        """Whether it needs a brake to stand still."""
        return not (_small(self.velocity_m_s) and _small(self.turn_rad_s))


def follow(spec: RobotSpec, motion: Motion, goal: Pose, dt_s: float) -> Motion:
    """The motion `dt_s` later that comes as near to `goal` as the limits allow.

    A goal that keeps the limits itself is followed exactly. One that runs ahead is approached
    without ever passing it: the speed at a distance d is at most that from which the tool can
    brake within d, so behind a goal with the speed v it stays v^2 / 2a, late by v / 2a.
    """
    position, quat = motion.pose.position_m, motion.pose.quat_xyzw
    low, high = _box(spec, position)
    way = np.clip(goal.position_m, low, high) - position
    change = spec.max_acceleration_m_s2 * dt_s
    velocity = _towards(
        way, motion.velocity_m_s, spec.max_speed_m_s, change, dt_s, exact=motion.met[0]
    )
    velocity = _stopping_inside(spec, position, motion.velocity_m_s, velocity, dt_s)
    arc = Rotation.from_quat(goal.quat_xyzw) * Rotation.from_quat(quat).inv()
    around = arc.as_rotvec()
    change = spec.max_turn_acceleration_rad_s2 * dt_s
    turn = _towards(
        around, motion.turn_rad_s, spec.max_turn_rad_s, change, dt_s, exact=motion.met[1]
    )
    met = (_small(way - velocity * dt_s), _small(around - turn * dt_s))
    return _moved(spec, motion, velocity, turn, dt_s, met)


def brake(spec: RobotSpec, motion: Motion, dt_s: float) -> Motion:
    """The motion `dt_s` later if it stops as fast as it may, without a turn aside."""
    velocity = _slower(motion.velocity_m_s, spec.max_acceleration_m_s2 * dt_s)
    turn = _slower(motion.turn_rad_s, spec.max_turn_acceleration_rad_s2 * dt_s)
    return _moved(spec, motion, velocity, turn, dt_s, (False, False))


def _moved(
    spec: RobotSpec,
    motion: Motion,
    velocity: Vector,
    turn: Vector,
    dt_s: float,
    met: tuple[bool, bool],
) -> Motion:
    # Rounding must not carry it over the edge, by however little.
    position = np.clip(
        motion.pose.position_m + velocity * dt_s, *_box(spec, motion.pose.position_m)
    )
    quat = motion.pose.quat_xyzw
    if turn.any():
        quat = (Rotation.from_rotvec(turn * dt_s) * Rotation.from_quat(quat)).as_quat()
    return Motion(Pose.of(position, quat), velocity, turn, met)


def _towards(
    way: Float64[np.ndarray, "3"],
    velocity: Float64[np.ndarray, "3"],
    top: float,
    change: float,
    dt_s: float,
    *,
    exact: bool,
) -> Float64[np.ndarray, "3"]:
    """The velocity along `way` to its end, changed by `change` at most and `top` at most."""
    distance = float(np.linalg.norm(way))
    if exact and distance <= top * dt_s:
        there: Vector = way / dt_s
        if float(np.linalg.norm(there - velocity)) <= change:
            return there
    wanted = np.zeros(3)
    if distance > 0.0:
        # The largest speed s with s dt + s^2 / 2a <= distance, in a form that keeps small ones.
        doubled = 2.0 * distance * change / dt_s
        speed = min(top, doubled / (np.sqrt(change * change + doubled) + change))
        wanted = way * (speed / distance)
    more = wanted - velocity
    size = float(np.linalg.norm(more))
    return wanted if size <= change else velocity + more * (change / size)


def _small(vector: Float64[np.ndarray, "3"]) -> bool:
    return float(np.linalg.norm(vector)) <= _SMALL


def _slower(velocity: Float64[np.ndarray, "3"], change: float) -> Float64[np.ndarray, "3"]:
    speed = float(np.linalg.norm(velocity))
    return np.zeros(3) if speed <= change else velocity * (1.0 - change / speed)


def _stopping_inside(
    spec: RobotSpec, position: Vector, before: Vector, velocity: Vector, dt_s: float
) -> Vector:
    """`velocity`, or as much of it beyond braking as leaves the tool able to stop inside."""
    low, high = _box(spec, position)

    def safe(candidate: Vector) -> bool:
        speed = float(np.linalg.norm(candidate))
        reach = dt_s + 0.5 * speed / spec.max_acceleration_m_s2
        end = position + candidate * reach
        return bool((end >= low).all() and (end <= high).all())

    if safe(velocity):
        return velocity
    braked = _slower(before, spec.max_acceleration_m_s2 * dt_s)
    good, bad = 0.0, 1.0
    for _ in range(_HALVINGS):
        middle = 0.5 * (good + bad)
        if safe(braked + middle * (velocity - braked)):
            good = middle
        else:
            bad = middle
    best: Vector = braked + good * (velocity - braked)
    return best


def _box(spec: RobotSpec, position: Vector) -> tuple[Vector, Vector]:
    """The workspace, stretched to a tool that begins outside: it may come in, not go farther."""
    low, high = (np.array(corner) for corner in spec.workspace_m)
    return np.minimum(low, position), np.maximum(high, position)
