"""All disturbances by name, and the suites that measure a policy under them."""

from __future__ import annotations

from collections.abc import Callable
from functools import partial

from df_policy.errors import DfPolicyError, nearest
from df_policy.sim import domain, faults, meddling
from df_policy.sim.disturbed import Disturbance, Effect, Episode

CLEAN = "clean"
"""The condition with no disturbance at all."""
MOST_DELAY_MS = 500
_LONGER = 3
"""Long episodes last four times as long as those that policies are trained on."""

_BLACK = faults.Black
_ALL: tuple[tuple[str, str, Callable[[Episode], Effect]], ...] = (
    (
        "camera_black_front",
        "the front camera is black for 3 s at a random time",
        partial(_BLACK.for_a_while, camera="front"),
    ),
    (
        "camera_black_wrist",
        "the wrist camera is black for 3 s at a random time",
        partial(_BLACK.for_a_while, camera="wrist"),
    ),
    (
        "front_lost",
        "the front camera is black for the second half",
        partial(_BLACK.second_half, camera="front"),
    ),
    (
        "wrist_lost",
        "the wrist camera is black for the second half",
        partial(_BLACK.second_half, camera="wrist"),
    ),
    ("camera_frozen", "one camera stalls for 3 s: its image and stamp stay", faults.Frozen),
    ("image_noise", "noise of 20 of 255 on every pixel, from some time on", faults.Noise),
    ("colour", "hue and white balance change at some time", faults.Colour),
    ("lighting", "the light changes in strength and direction at some time", meddling.Lighting),
    ("distractor", "a coloured thing slides onto the table and stays", meddling.Distractor),
    ("camera_jitter", "the cameras shake, from some time on", meddling.CameraJitter),
    ("fruit_nudged", "a fruit is moved within its place, once", meddling.FruitNudged),
    ("fruit_moved", "a fruit is moved to a free place, once", meddling.FruitMoved),
    ("fruit_slips", "a fruit slips aside as the fingers close, once", meddling.FruitSlips),
    (
        "fruit_knocked",
        "a fruit is knocked out of the lifting hand, once",
        meddling.FruitKnocked,
    ),
    ("action_lost", "for 300 ms no action reaches the robot", faults.ActionLost),
)
_LONG: tuple[tuple[str, str, Callable[[Episode], Effect]], ...] = (
    ("pauses", "the robot is paused now and then: four times as long in all", faults.Pauses),
    ("waits_after", "three lengths more, in which nothing is left to do", faults.WaitsAfter),
)
_TABLES: tuple[tuple[str, str, Callable[[Episode], Effect]], ...] = (
    (
        "domain",
        "another table each episode: light, colours, texture, cameras, latencies; for training",
        partial(domain.AnotherTable, ranges=domain.SEEN),
    ),
    (
        "domain_unseen",
        "the same beyond all that `domain` draws: for measuring what was trained with it",
        partial(domain.AnotherTable, ranges=domain.UNSEEN),
    ),
)
_TABLES_KNOWN = {name: Disturbance(name, about, begin) for name, about, begin in _TABLES}
_SHORT_KNOWN = {name: Disturbance(name, about, begin) for name, about, begin in _ALL}
_LONG_KNOWN = {name: Disturbance(name, about, begin, _LONGER) for name, about, begin in _LONG}
KNOWN = _SHORT_KNOWN | _LONG_KNOWN | _TABLES_KNOWN
DELAY = "delay"

SUITES: dict[str, tuple[str, ...]] = {
    "robustness": (CLEAN, *_SHORT_KNOWN, *(f"{DELAY}:{ms}" for ms in (100, 300, 500))),
    "long": (CLEAN, *_LONG_KNOWN),
    "reactivity": (CLEAN, "fruit_moved", "fruit_slips", "fruit_knocked"),
    "domain": (CLEAN, *_TABLES_KNOWN),
}
"""Suite -> its conditions, one after the other."""


def descriptions() -> dict[str, str]:
    """A line about each name that can be given."""
    delay = f"observations arrive late by MS, {DELAY}:0 to {DELAY}:{MOST_DELAY_MS}"
    return {name: one.about for name, one in KNOWN.items()} | {f"{DELAY}:MS": delay}


def parse(names: str) -> tuple[Disturbance, ...]:
    """The disturbances of a list such as `front_lost,delay:300`; none for `clean` or nothing.

    Raises:
        DfPolicyError: if one is unknown (the nearest is shown), given twice, or its value wrong.
    """
    given = [name.strip() for name in names.split(",") if name.strip() not in ("", CLEAN)]
    twice = sorted({name for name in given if given.count(name) > 1})
    if twice:
        raise DfPolicyError(f"expected each disturbance once, got {', '.join(twice)} again")
    return tuple(_one(name) for name in given)


def _one(name: str) -> Disturbance:
    kind, has_value, value = name.partition(":")
    if kind == DELAY:
        return _delay(name, value)
    if kind not in KNOWN:
        known = f"; expected one of: {', '.join([*KNOWN, DELAY + ':MS'])}"
        raise DfPolicyError(
            f"unknown disturbance {kind!r}{nearest(kind, [*KNOWN, DELAY]) or known}"
        )
    if has_value:
        raise DfPolicyError(f"expected no value for {kind}, got {value!r}; only {DELAY} has one")
    return KNOWN[kind]


def _delay(name: str, value: str) -> Disturbance:
    if not value.isdecimal() or int(value) > MOST_DELAY_MS:
        raise DfPolicyError(
            f"expected {DELAY}:MS from {DELAY}:0 to {DELAY}:{MOST_DELAY_MS} milliseconds, got "
            f"{name!r}"
        )
    late_ms = int(value)
    about = f"observations arrive {late_ms} ms late"
    return Disturbance(name, about, partial(faults.Delay, milliseconds=late_ms))
