"""Disturbances in the scene: light, shaken cameras, a thing thrown in, fruit that is moved."""

from __future__ import annotations

import colorsys

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from df_policy.frames import Action
from df_policy.sim.disturbed import Effect, Episode
from df_policy.sim.stagehand import SHAPES, Point

_KEY_LIGHT, _AMBIENT = (0.3, 1.8), (0.5, 1.6)
"""Factors of the lamp's light, and of the light from everywhere."""
_DULL = 0.8
"""A factor nearer to 1 than this one would hardly show."""
_TILT = 0.5
_SHAKE_M, _SHAKE_RAD = 0.004, np.radians(0.8)
_THROWN_FROM_M = (0.60, 0.55)
"""x, and y at the table's left or right edge, from where the distractor slides in."""
_SLIDE_S = 0.8
_REST_BOX_M = ((0.38, -0.32), (0.70, 0.32))
_CLEAR_M = 0.11
_NUDGE_M, _MOVED_M = 0.015, 0.010
"""How far from its place's middle a fruit comes to lie at most."""
_LEAST_NUDGE_M = 0.010
_KNOCK_M_S = 0.3
_SLIP_M, _SLIP_ASIDE_M = 0.024, 0.006
"""Along x, across the fingers, and along them: as far as a place's rim lets a fruit lie."""
_CLOSING_M, _GRASPED_M = 0.01, 0.02
_FRUIT_SHARE = 0.4
"""In this share of the episode a disturbance of fruit begins to wait for its moment: what it
undoes has to be done again."""
_TRIES = 100


def _in_disc(rng: np.random.Generator, radius_m: float) -> Point:
    radius, angle = radius_m * np.sqrt(rng.uniform()), rng.uniform(0.0, 2.0 * np.pi)
    return np.asarray(radius * np.array([np.cos(angle), np.sin(angle)]))


def _factor(rng: np.random.Generator, low: float, high: float) -> float:
    """One that shows: from `low` to _DULL, or from the inverse of _DULL to `high`."""
    down, up = np.log(_DULL) - np.log(low), np.log(high) + np.log(_DULL)
    drawn = float(rng.uniform(-down, up))
    return float(np.exp(drawn - np.sign(drawn) * np.log(_DULL)))


class Lighting(Effect):
    """The light becomes brighter or darker at some time, and comes from elsewhere."""

    def __init__(self, episode: Episode) -> None:
        """Draws when, and which light."""
        self._stage, rng = episode.need_stage(), episode.rng
        self._start = episode.some_step(0.5 * episode.seconds)
        self._key, self._ambient = _factor(rng, *_KEY_LIGHT), _factor(rng, *_AMBIENT)
        self._tilt = np.array([*_in_disc(rng, _TILT), 0.0])

    def touch(self, step: int) -> None:
        """Once."""
        if self.since is None and step >= self._start:
            self.since = step
            self._stage.light(self._key, self._ambient, self._tilt)


class CameraJitter(Effect):
    """All of the robot's cameras shake from some time on."""

    def __init__(self, episode: Episode) -> None:
        """Draws when."""
        self._stage, self._rng = episode.need_stage(), episode.rng
        self._start = episode.some_step(0.5 * episode.seconds)
        self._still = {name: self._stage.camera(name) for name in sorted(episode.spec.cameras)}

    def touch(self, step: int) -> None:
        """A new small shift and turn of every camera."""
        if step < self._start:
            return
        self.since = self._start
        for name, (at_m, quat_wxyz) in self._still.items():
            shift = self._rng.normal(0.0, _SHAKE_M, 3)
            turn = Rotation.from_rotvec(self._rng.normal(0.0, _SHAKE_RAD, 3))
            shaken = Rotation.from_quat(quat_wxyz, scalar_first=True) * turn
            self._stage.place_camera(name, at_m + shift, shaken.as_quat(scalar_first=True))


class Distractor(Effect):
    """A thing of some shape and colour slides onto the table and stays; it touches nothing."""

    def __init__(self, episode: Episode) -> None:
        """Draws when, what, and where it comes to rest: clear of all places."""
        self._stage, rng = episode.need_stage(), episode.rng
        self._start = episode.some_step(0.5 * episode.seconds)
        self._slide = max(1, episode.step_at(_SLIDE_S))
        self._shape = str(rng.choice(sorted(SHAPES)))
        self._half_m = float(rng.uniform(0.02, 0.04))
        self._rgb = colorsys.hsv_to_rgb(rng.uniform(), rng.uniform(0.6, 1), rng.uniform(0.5, 1))
        self._rest_m = _clear_place(rng, self._stage.places_m())
        side = float(rng.choice((-1.0, 1.0)))
        self._from_m = np.array([_THROWN_FROM_M[0], side * _THROWN_FROM_M[1]])

    def touch(self, step: int) -> None:
        """It slides in and slows down evenly."""
        if step < self._start:
            return
        if self.since is None:
            self._stage.dress(self._shape, self._half_m, self._rgb)
        self.since = self._start
        left = max(0.0, 1.0 - (step - self._start + 1) / self._slide) ** 2
        ground = self._rest_m + left * (self._from_m - self._rest_m)
        self._stage.place(np.array([*ground, self._half_m]))


def _clear_place(rng: np.random.Generator, places_m: Float64[np.ndarray, "n 2"]) -> Point:
    """A point on the table clear of all places; where there is hardly any, the best of _TRIES."""
    drawn = rng.uniform(*_REST_BOX_M, (_TRIES, 2))
    clear = np.linalg.norm(drawn[:, None] - places_m, axis=-1).min(axis=1)
    enough = np.flatnonzero(clear >= _CLEAR_M)
    return np.asarray(drawn[enough[0] if len(enough) else clear.argmax()])


class _WhileAway(Effect):
    """Waits for a random time, and then for the hand to rest away from all fruit."""

    def __init__(self, episode: Episode) -> None:
        """Draws when it begins to wait."""
        self._stage, self._rng = episode.need_stage(), episode.rng
        self._start = episode.some_step(_FRUIT_SHARE * episode.seconds)
        self._tool_m = self._stage.tool_m()

    def touch(self, step: int) -> None:
        """Once, at the first moment that fits."""
        if self.since is not None:
            return
        lying = self._stage.lying()
        if step >= self._start and lying and self._stage.is_away(self._tool_m):
            fruit = str(self._rng.choice(sorted(lying)))
            self.since = step if self._move(fruit, lying[fruit]) else None
        self._tool_m = self._stage.tool_m()

    def _move(self, fruit: str, place: int) -> bool:
        """Move this fruit, which lies in that place; whether it could be done."""
        raise NotImplementedError


class FruitNudged(_WhileAway):
    """Somebody moves a fruit within its place, by a centimetre and more."""

    def _move(self, fruit: str, place: int) -> bool:
        off = self._stage.fruits_m()[fruit][:2] - self._stage.places_m()[place]
        drawn = np.array([_in_disc(self._rng, _NUDGE_M) for _ in range(_TRIES)])
        way = np.linalg.norm(drawn - off, axis=1)
        enough = np.flatnonzero(way >= _LEAST_NUDGE_M)
        self._stage.put(fruit, place, drawn[enough[0] if len(enough) else way.argmax()])
        return True


class FruitMoved(_WhileAway):
    """Somebody lays a fruit into a free place; what the task asks for stays as it was."""

    def _move(self, fruit: str, place: int) -> bool:
        del place
        free = self._stage.free()
        if free:
            self._stage.put(fruit, int(self._rng.choice(free)), _in_disc(self._rng, _MOVED_M))
        return bool(free)


class FruitSlips(Effect):
    """A fruit slips aside, within its place, as the fingers close on it, once."""

    def __init__(self, episode: Episode) -> None:
        """Draws when it begins to wait for a grasp, and whether the fruit slips near or far."""
        self._stage = episode.need_stage()
        self._start = episode.some_step(_FRUIT_SHARE * episode.seconds)
        self._way = float(episode.rng.choice((-1.0, 1.0)))
        self._aside_m = float(episode.rng.uniform(-_SLIP_ASIDE_M, _SLIP_ASIDE_M))

    def carry(self, step: int, action: Action, held: Action) -> Action:
        """At the first action that begins to close the fingers over a fruit in a place."""
        closes = action.gripper_m < held.gripper_m - _CLOSING_M
        if self.since is None and closes and step >= self._start:
            tool_m, lying = self._stage.tool_m(), self._stage.lying()
            at_m = self._stage.fruits_m()
            near = [f for f in lying if np.linalg.norm(at_m[f][:2] - tool_m[:2]) < _GRASPED_M]
            for fruit in near:
                self._stage.put(
                    fruit, lying[fruit], np.array([self._way * _SLIP_M, self._aside_m])
                )
                self.since = step
        return action


class FruitKnocked(Effect):
    """A fruit is knocked out of the gripper in a lift, once: it falls, and may roll."""

    def __init__(self, episode: Episode) -> None:
        """Draws when it begins to wait for a lift, and from where the knock comes."""
        self._stage = episode.need_stage()
        self._start = episode.some_step(_FRUIT_SHARE * episode.seconds)
        angle = episode.rng.uniform(0.0, 2.0 * np.pi)
        self._push_m_s = _KNOCK_M_S * np.array([np.cos(angle), np.sin(angle), 0.0])
        self._fruits_m = self._stage.fruits_m()

    def touch(self, step: int) -> None:
        """At the first lift."""
        if self.since is not None:
            return
        before, self._fruits_m = self._fruits_m, self._stage.fruits_m()
        fruit = self._stage.lifted()
        if fruit is None or step < self._start:
            return
        if self._fruits_m[fruit][2] > before[fruit][2]:
            self._stage.knock(fruit, self._push_m_s)
            self.since = step
