"""How one table differs from another: light, colours, textures, cameras, and what comes late.

A policy that shall work on a real table must not mind where its simulation is wrong. So `SEEN` is
what recordings for training draw from, episode by episode, and `UNSEEN` is what no recording has
shown: each of its ranges begins where the one of `SEEN` ends.

Source: Tobin et al. 2017, Domain Randomization for Transferring Deep Neural Networks from
Simulation to the Real World, arXiv:1703.06907.
"""

from __future__ import annotations

import colorsys
from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from jaxtyping import Float64
from scipy.spatial.transform import Rotation

from df_policy.frames import Action, Image, Observation
from df_policy.geometry import Vector
from df_policy.sim.disturbed import Effect, Episode
from df_policy.sim.faults import as_image, with_images
from df_policy.sim.stagehand import PARTS, Stagehand

Range = tuple[float, float]


@dataclass(frozen=True)
class Ranges:
    """How far each thing may be from how it is. Numbers are magnitudes, with either sign.

    Where a thing is multiplied, the number is the logarithm of the factor.
    """

    textures: tuple[str, ...]
    """Of the table's top; an empty name leaves it plain."""
    table_hue: Range
    """Of the table's top, from 0 to 1; no magnitude."""
    lamp: Range
    """Factor of the lamp's light."""
    ambient: Range
    """Factor of the light from everywhere."""
    warmth: Range
    """Factor of the lamp's red, and its inverse of the lamp's blue."""
    tilt: Range
    """Of the direction from which the lamp shines; 1 is 45 degrees."""
    fruit_hue_deg: Range
    fruit_brightness: Range
    paint: Range
    """Factor of the brightness of places, of the arm, and of the floor, each its own."""
    shift_m: Range
    """Way of each camera from its place."""
    turn_deg: Range
    """Angle by which each camera is turned, about any axis."""
    zoom: Range
    """Factor of each camera's field of view."""
    exposure: Range
    """Factor of all of an image, for each camera its own."""
    white_balance: Range
    """Factor of an image's red, and another of its blue, for each camera its own."""
    noise: Range
    """Standard deviation on every pixel, of 255."""
    image_lag_s: Range
    """How old an image is when it comes, by its stamp: whole control ticks, rounded down."""
    action_lag_s: Range
    """How late the robot follows, of which nobody tells."""


SEEN = Ranges(
    textures=("", "grain", "stripes", "checks", "blotches"),
    table_hue=(0.02, 0.18),
    lamp=(0.0, 0.40),
    ambient=(0.0, 0.30),
    warmth=(0.0, 0.10),
    tilt=(0.0, 0.40),
    fruit_hue_deg=(0.0, 4.0),
    fruit_brightness=(0.0, 0.12),
    paint=(0.0, 0.15),
    shift_m=(0.0, 0.010),
    turn_deg=(0.0, 1.0),
    zoom=(0.0, 0.03),
    exposure=(0.0, 0.15),
    white_balance=(0.0, 0.10),
    noise=(0.0, 6.0),
    image_lag_s=(0.0, 0.06),
    action_lag_s=(0.0, 0.03),
)
"""What recordings for training draw from."""

UNSEEN = Ranges(
    textures=("speckle", "weave", "marble"),
    table_hue=(0.22, 0.70),
    lamp=(0.40, 0.60),
    ambient=(0.30, 0.45),
    warmth=(0.10, 0.16),
    tilt=(0.40, 0.60),
    fruit_hue_deg=(4.0, 7.0),
    fruit_brightness=(0.12, 0.20),
    paint=(0.15, 0.25),
    shift_m=(0.010, 0.015),
    turn_deg=(1.0, 1.5),
    zoom=(0.03, 0.045),
    exposure=(0.15, 0.22),
    white_balance=(0.10, 0.16),
    noise=(6.0, 10.0),
    image_lag_s=(0.06, 0.10),
    action_lag_s=(0.03, 0.05),
)
"""What no recording has shown: for measuring a policy that was trained on others."""

_SATURATION, _VALUE = (0.05, 0.45), (0.45, 0.85)
"""Of the table's top: fruits are more colourful."""


@dataclass(frozen=True)
class CameraLook:
    """How one camera differs."""

    shift_m: Vector
    turn_rad: Vector
    """Axis times angle, in the camera's own axes."""
    zoom: float
    gain: Float64[np.ndarray, "3"]
    """Factors of red, green and blue."""


@dataclass(frozen=True)
class Domain:
    """One table: all that was drawn for an episode."""

    texture: str
    table_rgb: tuple[float, float, float]
    lamp: Float64[np.ndarray, "3"]
    """Factors of the lamp's red, green and blue."""
    ambient: float
    tilt: Vector
    fruit_hue_deg: dict[str, float]
    fruit_brightness: dict[str, float]
    paint: dict[str, float]
    cameras: dict[str, CameraLook]
    noise: float
    image_lag_ticks: int
    action_lag_s: float


def draw(
    rng: np.random.Generator,
    ranges: Ranges,
    cameras: Iterable[str],
    fruits: Iterable[str],
    tick_s: float,
) -> Domain:
    """One table of many."""
    warmth = np.array([1.0, 0.0, -1.0]) * _signed(rng, ranges.warmth)
    fruits = sorted(fruits)
    return Domain(
        texture=str(rng.choice(ranges.textures)),
        table_rgb=colorsys.hsv_to_rgb(
            rng.uniform(*ranges.table_hue), rng.uniform(*_SATURATION), rng.uniform(*_VALUE)
        ),
        lamp=np.exp(_signed(rng, ranges.lamp) + warmth),
        ambient=_factor(rng, ranges.ambient),
        tilt=_vector(rng, ranges.tilt, 2),
        fruit_hue_deg={fruit: _signed(rng, ranges.fruit_hue_deg) for fruit in fruits},
        fruit_brightness={fruit: _factor(rng, ranges.fruit_brightness) for fruit in fruits},
        paint={part: _factor(rng, ranges.paint) for part in PARTS},
        cameras={camera: _camera(rng, ranges) for camera in sorted(cameras)},
        noise=float(rng.uniform(*ranges.noise)),
        image_lag_ticks=int(rng.uniform(*ranges.image_lag_s) / tick_s),
        action_lag_s=float(rng.uniform(*ranges.action_lag_s)),
    )


def _camera(rng: np.random.Generator, ranges: Ranges) -> CameraLook:
    balance = [_signed(rng, ranges.white_balance), 0.0, _signed(rng, ranges.white_balance)]
    return CameraLook(
        shift_m=_vector(rng, ranges.shift_m, 3),
        turn_rad=np.radians(_vector(rng, ranges.turn_deg, 3)),
        zoom=_factor(rng, ranges.zoom),
        gain=np.exp(_signed(rng, ranges.exposure) + np.array(balance)),
    )


def _signed(rng: np.random.Generator, magnitudes: Range) -> float:
    return float(rng.choice((-1.0, 1.0)) * rng.uniform(*magnitudes))


def _factor(rng: np.random.Generator, magnitudes: Range) -> float:
    return float(np.exp(_signed(rng, magnitudes)))


def _vector(rng: np.random.Generator, magnitudes: Range, dimensions: int) -> Vector:
    """In any direction of so many dimensions; those that are left out are 0."""
    direction = rng.normal(size=dimensions)
    direction *= rng.uniform(*magnitudes) / np.linalg.norm(direction)
    return np.concatenate([direction, np.zeros(3 - dimensions)])


def furnish(stage: Stagehand, domain: Domain) -> None:
    """Make the scene that table; nothing that has mass or touches changes."""
    stage.light(domain.lamp, domain.ambient, domain.tilt)
    stage.lay_top(domain.texture, domain.table_rgb)
    for fruit, hue_deg in domain.fruit_hue_deg.items():
        hue, saturation, value = colorsys.rgb_to_hsv(*stage.fruit_rgb(fruit))
        bright = min(1.0, value * domain.fruit_brightness[fruit])
        turned = (hue + hue_deg / 360.0) % 1.0
        stage.paint_fruit(fruit, colorsys.hsv_to_rgb(turned, saturation, bright))
    for part, factor in domain.paint.items():
        stage.brighten(part, factor)
    for name, look in domain.cameras.items():
        at_m, quat_wxyz = stage.camera(name)
        attitude = Rotation.from_quat(quat_wxyz, scalar_first=True)
        attitude = attitude * Rotation.from_rotvec(look.turn_rad)
        stage.place_camera(name, at_m + look.shift_m, attitude.as_quat(scalar_first=True))
        stage.zoom(name, look.zoom)
    stage.delay_images(domain.image_lag_ticks)


class AnotherTable(Effect):
    """From its first image on, an episode takes place at another table."""

    def __init__(self, episode: Episode, ranges: Ranges) -> None:
        """Draws the table."""
        self._stage, self._rng, spec = episode.need_stage(), episode.rng, episode.spec
        fruits, tick_s = self._stage.fruits_m(), 1.0 / spec.control_rate_hz
        self.domain = draw(episode.rng, ranges, spec.cameras, fruits, tick_s)
        self._late = min(1.0, self.domain.action_lag_s * spec.action_rate_hz)
        self._asked: Action | None = None

    def carry(self, step: int, action: Action, held: Action) -> Action:
        """Where the targets of this action had come at the end of its period, so much earlier."""
        del step
        before, self._asked = self._asked or held, action
        return before.towards(action, 1.0 - self._late) if self._late else action

    def see(self, step: int, seen: Observation) -> Observation:
        """The start once more, as this table shows it; then what its cameras make of it."""
        if step == 0:
            self.since = 0
            furnish(self._stage, self.domain)
            seen = self._stage.look_again(seen)
        return with_images(seen, {name: self._shot(name, im) for name, im in seen.images.items()})

    def _shot(self, camera: str, image: Image) -> Image:
        noise = self._rng.normal(0.0, self.domain.noise, image.shape)
        return as_image(image * self.domain.cameras[camera].gain + noise)
