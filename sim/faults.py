"""Disturbances between robot and policy: failing cameras, late observations, actions, pauses."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Image, Observation
from df_policy.sim.disturbed import FIRST_S, Effect, Episode

BLACK_S = 3.0
LOST_S = 0.3
NOISE = 20.0
"""Standard deviation of the noise on each pixel, of 255."""
_PAUSES = (3, 8)
"""How many there are, at least and at most."""
_WHITE_BALANCE = (0.75, 1.3)
_HUE_DEG = 12.0
"""An apple that is turned farther would be an orange."""


def with_images(seen: Observation, changed: Mapping[str, Image]) -> Observation:
    """The observation with some images replaced; their stamps stay."""
    return replace(seen, images={**seen.images, **changed})


class Black(Effect):
    """A camera's images are black for a while; its driver goes on, and so do their stamps."""

    def __init__(self, episode: Episode, camera: str, start: int, stop: int) -> None:
        """Acts from step `start` to before step `stop`.

        Raises:
            DfPolicyError: if the robot has no such camera.
        """
        if camera not in episode.spec.cameras:
            known = ", ".join(sorted(episode.spec.cameras)) or "none"
            raise DfPolicyError(f"expected a camera of the robot ({known}), got {camera!r}")
        self._camera, self._steps = camera, range(start, stop)

    @classmethod
    def for_a_while(cls, episode: Episode, camera: str) -> Black:
        """BLACK_S at a random time."""
        start = episode.some_step(episode.seconds - BLACK_S)
        return cls(episode, camera, start, start + episode.step_at(BLACK_S))

    @classmethod
    def second_half(cls, episode: Episode, camera: str) -> Black:
        """From the middle of the episode to its end."""
        return cls(episode, camera, episode.steps // 2, episode.steps + 1)

    def see(self, step: int, seen: Observation) -> Observation:
        """Black instead of the image."""
        if step not in self._steps or self._camera not in seen.images:
            return seen
        self.since = self._steps.start
        return with_images(seen, {self._camera: np.zeros_like(seen.images[self._camera])})


class Frozen(Effect):
    """A camera's driver stalls for a while: its last image stays, and ages by its stamp."""

    def __init__(self, episode: Episode) -> None:
        """Draws the camera and when."""
        self._camera = str(episode.rng.choice(sorted(episode.spec.cameras)))
        start = episode.some_step(episode.seconds - BLACK_S)
        self._steps = range(start, start + episode.step_at(BLACK_S))
        self._last: Observation | None = None

    def see(self, step: int, seen: Observation) -> Observation:
        """The last image from before, with its stamp."""
        if step not in self._steps:
            self._last = seen
        if self._last is seen or self._last is None or self._camera not in seen.images:
            return seen
        self.since = self._steps.start
        stamps = {**seen.image_stamps_ns, self._camera: self._last.image_stamps_ns[self._camera]}
        changed = with_images(seen, {self._camera: self._last.images[self._camera]})
        return replace(changed, image_stamps_ns=stamps)


class Noise(Effect):
    """All images are noisy from some time on."""

    def __init__(self, episode: Episode) -> None:
        """Draws when."""
        self._rng, self._start = episode.rng, episode.some_step(0.5 * episode.seconds)

    def see(self, step: int, seen: Observation) -> Observation:
        """Gaussian noise on every pixel."""
        if step < self._start:
            return seen
        self.since = self._start
        return with_images(seen, {name: self._noisy(im) for name, im in seen.images.items()})

    def _noisy(self, image: Image) -> Image:
        return as_image(image + self._rng.normal(0.0, NOISE, image.shape))


class Colour(Effect):
    """All cameras' hue and white balance change at some time."""

    def __init__(self, episode: Episode) -> None:
        """Draws when, and which change."""
        self._start = episode.some_step(0.5 * episode.seconds)
        low, high = np.log(_WHITE_BALANCE)
        red, blue = np.exp(episode.rng.uniform(low, high, 2))
        angle = np.radians(episode.rng.uniform(-_HUE_DEG, _HUE_DEG))
        self._matrix = np.diag([red, 1.0, blue]) @ _about_grey(float(angle))

    def see(self, step: int, seen: Observation) -> Observation:
        """Every pixel through one matrix."""
        if step < self._start:
            return seen
        self.since = self._start
        changed = {name: as_image(im @ self._matrix.T) for name, im in seen.images.items()}
        return with_images(seen, changed)


class Delay(Effect):
    """Every observation arrives late, with the stamp of when it was made.

    Nothing is known from before the start, so there the first one is all there is: its age grows
    until the second is due.
    """

    def __init__(self, episode: Episode, milliseconds: int) -> None:
        """Late by whole action periods.

        Raises:
            DfPolicyError: if it is not a multiple of the robot's action period.
        """
        period_ms = 1e3 / episode.spec.action_rate_hz
        late = round(milliseconds / period_ms)
        if abs(late * period_ms - milliseconds) > 1e-6:
            raise DfPolicyError(
                f"expected a delay in multiples of {period_ms:g} ms, the time between two "
                f"observations, got {milliseconds} ms"
            )
        self._late = late
        self._under_way: deque[Observation] = deque(maxlen=late + 1)

    def see(self, step: int, seen: Observation) -> Observation:
        """The oldest of those under way."""
        self._under_way.append(seen)
        if self._late and step:
            self.since = self.since or step
        return self._under_way[0]


class ActionLost(Effect):
    """For LOST_S no action reaches the robot, which holds its last target."""

    def __init__(self, episode: Episode) -> None:
        """Draws when."""
        start = episode.some_step(episode.seconds - LOST_S)
        self._steps = range(start, start + episode.step_at(LOST_S))

    def carry(self, step: int, action: Action, held: Action) -> Action:
        """The last target once more."""
        if step not in self._steps:
            return action
        self.since = self._steps.start
        return held


class Pauses(Effect):
    """Somebody presses pause now and then: the robot is held, and whoever drives it knows.

    All the time by which the episode is longer goes into them, so that the time for moving stays
    the same.
    """

    def __init__(self, episode: Episode) -> None:
        """Draws how many there are, when each begins, and how they share the time."""
        rng = episode.rng
        moving, still = episode.task_steps, episode.steps - episode.task_steps
        count = int(rng.integers(_PAUSES[0], _PAUSES[1] + 1))
        begins = rng.integers(episode.step_at(FIRST_S), moving, count)
        ends = np.array([0, *np.sort(rng.integers(0, still + 1, count - 1)), still])
        held = np.repeat(begins, ends[1:] - ends[:-1])
        self._held = np.insert(np.zeros(moving, bool), held, True)

    def holds(self, step: int) -> bool:
        """In a pause."""
        held = step <= len(self._held) and bool(self._held[step - 1])
        if held and self.since is None:
            self.since = step
        return held


class WaitsAfter(Effect):
    """Nothing happens, but the episode goes on: who has finished must not begin again."""

    def __init__(self, episode: Episode) -> None:
        """Nothing to draw."""
        self._over = episode.task_steps + 1

    def see(self, step: int, seen: Observation) -> Observation:
        """All of it; only since when is noted."""
        if step >= self._over:
            self.since = self._over
        return seen


def as_image(values: np.ndarray) -> Image:
    """Numbers as a camera would give them."""
    return np.asarray(np.clip(np.rint(values), 0.0, 255.0), dtype=np.uint8)


def _about_grey(angle_rad: float) -> np.ndarray:
    """The rotation of RGB about the grey axis (Rodrigues' formula), which turns all hues."""
    axis = np.full(3, 1.0 / np.sqrt(3.0))
    outer, cross = np.outer(axis, axis), np.cross(np.eye(3), axis)
    c, s = np.cos(angle_rad), np.sin(angle_rad)
    return np.asarray(outer + c * (np.eye(3) - outer) + s * cross)
