"""Processes that end when they should: with their parent, and at once while nothing is open."""

from __future__ import annotations

import contextlib
import ctypes
import os
import signal
import sys
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from types import FrameType

STOP_SIGNALS = (signal.SIGINT, signal.SIGTERM)
_REAL_TIME = 40
"""Below that of ros2_control's loop, and of libfranka's, which must not wait for ours."""
_HIGHEST = 99
_LONGEST_S, _HUNG_S = 0.5, 2.0
"""Of computing with real-time priority without a pause: then it is taken away; then it ends."""
_BEHIND, _LAST = 10, 19
"""Niceness to add, which leaves a tenth of an ordinary share, and the most that there is."""


def leave_at_once(number: int, _frame: FrameType | None) -> None:
    """Handler for SIGINT and SIGTERM while there is nothing to save: a line, and the exit code.

    It raises nothing, since an exception out of an import or of a library's callback may show its
    traceback or get lost.
    """
    word = "interrupted" if number == signal.SIGINT else "terminated"
    with contextlib.suppress(OSError):  # nobody may listen any more
        os.write(2, f"df_policy: {word}\n".encode())
    os._exit(128 + number)


class Stop(threading.Event):
    """Set by the first signal that asks to end; `number` is that signal, 0 before."""

    number = 0


@contextmanager
def stopping(numbers: Sequence[signal.Signals] = STOP_SIGNALS) -> Iterator[Stop]:
    """Within, these signals only leave a note, so that what is under way is finished.

    The same one again ends the process: nothing may hang for good.
    """
    stop = Stop()

    def ask(number: int, _frame: FrameType | None) -> None:
        stop.number = stop.number or number
        stop.set()
        signal.signal(number, signal.SIG_DFL)

    before = [signal.signal(number, ask) for number in numbers]
    try:
        yield stop
    finally:
        for number, handler in zip(numbers, before, strict=True):
            signal.signal(number, handler)


def come_first(priority: int = _REAL_TIME) -> bool:
    """Linux: real-time priority for this thread; whether the user may have it (`ulimit -r`).

    Threads and processes that it starts later do not inherit it. It is lost by computing without
    a pause, which could leave nothing of a machine to anybody else. For the main thread alone.

    Args:
        priority: 1 to 99.
    """
    if sys.platform != "linux":
        return False
    import resource

    try:
        os.sched_setscheduler(0, os.SCHED_FIFO | os.SCHED_RESET_ON_FORK, os.sched_param(priority))
    except PermissionError:
        return False
    signal.signal(signal.SIGXCPU, _give_way)
    most = resource.getrlimit(resource.RLIMIT_RTTIME)[1]
    hung = round(_HUNG_S * 1e6)
    hung = hung if most == resource.RLIM_INFINITY else min(hung, most)
    resource.setrlimit(resource.RLIMIT_RTTIME, (min(round(_LONGEST_S * 1e6), hung), hung))
    return True


def _give_way(_number: int, _frame: FrameType | None) -> None:
    """Handler for SIGXCPU: be as everyone else from now on."""
    if sys.platform == "linux":
        os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    with contextlib.suppress(OSError):
        os.write(2, b"df_policy: computed for too long without a pause: no real-time priority\n")


@contextmanager
def keeping_priority() -> Iterator[None]:
    """Linux: afterwards this thread has the priority again that it had before.

    For libraries that raise it for their own sake and leave it so, as libfranka does, to the
    highest: what computes then leaves nothing of a processor to anybody, and children inherit it.
    """
    if sys.platform != "linux":
        yield
        return
    before = os.sched_getscheduler(0), os.sched_getparam(0)
    try:
        yield
    finally:
        if (os.sched_getscheduler(0), os.sched_getparam(0)) != before:
            os.sched_setscheduler(0, *before)


@contextmanager
def lending_priority(priority: int = _HIGHEST) -> Iterator[None]:
    """Linux: threads that are started within have real-time priority, if the user may have it.

    For a library's thread that must keep to a millisecond; whoever starts it is as before again.

    Args:
        priority: 1 to 99.
    """
    with keeping_priority():
        if sys.platform == "linux":
            with contextlib.suppress(PermissionError):
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(priority))
        yield


def step_back() -> None:
    """Linux: this thread gets a processor only after those of ordinary priority."""
    if sys.platform == "linux":
        thread = threading.get_native_id()
        nice = os.getpriority(os.PRIO_PROCESS, thread)
        os.setpriority(os.PRIO_PROCESS, thread, min(nice + _BEHIND, _LAST))


def die_with_parent() -> None:
    """For `preexec_fn`; Linux: this process gets SIGTERM even if its parent is killed outright."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGTERM)
