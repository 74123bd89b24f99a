"""Latency and loss put in on purpose, to see what a policy makes of them."""

from __future__ import annotations

import random
from collections import deque
from collections.abc import Callable

MOST_HELD = 2048
"""Messages; beyond, the oldest come early."""


class Injection:
    """Holds back what arrives, and loses some of it.

    Args:
        delay_ns: how long each message is held back.
        loss: share of the messages that never come, from 0 to 1.
        seed: of which those are.
    """

    def __init__(self, delay_ns: int, loss: float, seed: int = 0) -> None:
        self._delay_ns, self._loss = delay_ns, loss
        self._random = random.Random(seed)
        self._held: deque[tuple[int, Callable[[], None]]] = deque()
        self.lost = 0

    def pass_on(self, now_ns: int, deliver: Callable[[], None]) -> None:
        """Deliver a message now, later, or never."""
        if self._loss and self._random.random() < self._loss:
            self.lost += 1
            return
        if not self._delay_ns:
            deliver()
            return
        if len(self._held) >= MOST_HELD:
            self._held.popleft()[1]()
        self._held.append((now_ns + self._delay_ns, deliver))

    def release(self, now_ns: int) -> None:
        """Deliver what was held back long enough."""
        if self._held and self._held[0][0] > now_ns + 2 * self._delay_ns:
            self._held.clear()  # the clock was set back
        while self._held and self._held[0][0] <= now_ns:
            self._held.popleft()[1]()
