"""Reading devices: nothing that a device does holds up a tick or moves a robot by itself."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from df_policy.errors import DfPolicyError
from df_policy.teleop.listener import Listener, together
from df_policy.teleop.reading import Press, Reading, Stick, Wish

PUSHED = Stick((1.0, 0.0, 0.0))


class Toy:
    """A device that does as it is told."""

    name = "toy"

    def __init__(self, poll: Callable[[], Reading] | None = None) -> None:
        self.poll = poll or (lambda: Reading(PUSHED, time.monotonic()))
        self.missing = False
        self.opened = self.closed = 0
        self.threads: set[int] = set()

    def open(self) -> None:
        self.threads.add(threading.get_ident())
        if self.missing:
            raise DfPolicyError("toy: not there")
        self.opened += 1

    def close(self) -> None:
        self.threads.add(threading.get_ident())
        self.closed += 1


def until(condition: Callable[[], bool]) -> None:
    end = time.monotonic() + 10.0
    while not condition():
        assert time.monotonic() < end
        time.sleep(0.005)


def test_the_newest_reading_is_there_at_once_and_all_happens_in_one_other_thread() -> None:
    toy = Toy()
    with Listener(toy) as listener:
        until(lambda: listener.read().motion == PUSHED)
    assert (toy.opened, toy.closed) == (1, 1)
    assert len(toy.threads) == 1
    assert threading.get_ident() not in toy.threads


def test_a_device_that_never_answers_blocks_nobody_and_moves_nothing() -> None:
    asleep = threading.Event()

    def poll() -> Reading:
        if asleep.is_set():
            time.sleep(2.0)
        return Reading(PUSHED, time.monotonic())

    with Listener(Toy(poll), silence_s=0.1) as listener:
        until(lambda: listener.read().motion == PUSHED)
        asleep.set()
        time.sleep(0.3)
        begin = time.monotonic()
        reading = listener.read()
        assert time.monotonic() - begin < 0.05
    assert reading.motion is None
    assert "nothing heard" in reading.problem


def test_presses_are_neither_lost_nor_doubled() -> None:
    pressed = [Press.START, Press.SUCCESS, Press.KEEP]
    waiting = list(pressed)

    def poll() -> Reading:
        wishes = (Wish(waiting.pop(0)),) if waiting else ()
        return Reading(None, time.monotonic(), wishes)

    with Listener(Toy(poll)) as listener:
        until(lambda: not waiting)
        time.sleep(0.05)
        assert [wish.press for wish in listener.read().wishes] == pressed
        assert listener.read().wishes == ()


def test_a_lost_device_is_looked_for_until_it_is_back() -> None:
    toy = Toy()
    gone = threading.Event()

    def poll() -> Reading:
        if gone.is_set():
            raise DfPolicyError("toy: unplugged")
        return Reading(PUSHED, time.monotonic())

    toy.poll = poll
    with Listener(toy) as listener:
        until(lambda: listener.read().motion == PUSHED)
        toy.missing = True
        gone.set()
        until(lambda: listener.read().problem == "toy: unplugged")
        assert listener.read().motion is None
        until(lambda: listener.read().problem == "toy: not there")
        toy.missing = False
        gone.clear()
        until(lambda: listener.read().motion == PUSHED)
        assert listener.read().problem == ""


def test_a_device_that_is_not_there_is_refused_at_once() -> None:
    toy = Toy()
    toy.missing = True
    with pytest.raises(DfPolicyError, match="not there"), Listener(toy):
        pass


def test_another_devices_presses_count_and_its_stick_does_not() -> None:
    keys = Toy(lambda: Reading(Stick((0.0, 1.0, 0.0)), time.monotonic(), (Wish(Press.KEEP),)))
    with Listener(Toy()) as hand, Listener(keys) as buttons:
        read = together([hand, buttons])
        until(lambda: hand.read().motion is not None and bool(buttons.read().wishes))
        time.sleep(0.05)
        reading = read()
    assert reading.motion == PUSHED
    assert reading.wishes[0].press is Press.KEEP
