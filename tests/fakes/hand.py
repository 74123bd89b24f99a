"""A person made of readings, for tests: what the hand does, and what it presses."""

from __future__ import annotations

import time

from df_policy.frames import Observation
from df_policy.teleop.reading import Lead, Press, Reading, Stick, Wish
from df_policy.teleop.status import Status


class Hand:
    """Says at each tick what a script has for it; the rest of the time it rests."""

    def __init__(self, script: dict[int, str] | None = None) -> None:
        self._script = script or {}
        self.tick = -1
        self.motion: Stick | Lead | None = Stick()
        self.problem = ""

    def read(self) -> Reading:
        """The words of a tick: `start keep`, `push`, `rest`, `gone`, `back`, `note:some words`."""
        self.tick += 1
        wishes = []
        for word in self._script.get(self.tick, "").split(";"):
            name, _, text = word.strip().partition(":")
            match name:
                case "":
                    pass
                case "push":
                    self.motion = Stick((1.0, 0.0, 0.0))
                case "rest":
                    self.motion = Stick()
                case "gone":
                    self.problem = "hand: gone"
                case "back":
                    self.problem = ""
                case _:
                    wishes.append(Wish(Press(name), text))
        motion = None if self.problem else self.motion
        return Reading(motion, time.monotonic(), tuple(wishes), self.problem)


class Memory:
    """A watcher that forgets nothing."""

    def __init__(self) -> None:
        self.seen: list[Status] = []

    def show(self, status: Status, observation: Observation) -> None:
        self.seen.append(status)
