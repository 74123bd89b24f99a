"""How far, how fast and how late a hand really opens and closes, and a hand that knows it."""

from __future__ import annotations

import time
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np
from jaxtyping import Float64

from df_policy.errors import DfPolicyError, need
from df_policy.hardware.arm import HandDriver, HandState
from df_policy.hardware.result_file import read_result, write_result

_LEAST_M = 0.02
"""Of travel: with less, something is between the fingers."""
_LARGEST_M = 0.3
_MOVED_M = 0.0005
"""Fingers that are so far from where they stood have begun to move."""
_STILL_M, _STILL_NS = 0.0002, 400_000_000
"""Fingers that moved no farther for so long have arrived."""
_START_NS, _LONGEST_NS = 2_000_000_000, 6_000_000_000
"""For the first motion, and for all of it, by the hand's clock."""
_PATIENCE_S = 60.0
"""By this machine's clock: a hand that is simulated may be slow, one that is lost says nothing."""
_POLL_S = 0.002


@dataclass(frozen=True)
class HandRange:
    """What the hand did with nothing between its fingers."""

    low_m: float
    """Its opening when closed, ..."""
    high_m: float
    """... and when open."""
    close_speed_m_s: float
    open_speed_m_s: float
    close_delay_s: float
    """From the wish to the first motion, ..."""
    open_delay_s: float
    """... which waits until a wish to open stays as it is."""

    def __post_init__(self) -> None:
        """Raises DfPolicyError if no hand is like that."""
        need(
            0.0 <= self.low_m <= self.high_m - _LEAST_M <= _LARGEST_M,
            f"fingers that open from 0 or more by {_LEAST_M:g} m or more, up to {_LARGEST_M:g} m",
            f"{self.low_m:g} to {self.high_m:g} m; is something between them?",
        )
        for name in ("close_speed_m_s", "open_speed_m_s"):
            need(0.0 < getattr(self, name) < 1.0, f"{name} above 0", f"{getattr(self, name):g}")
        for name in ("close_delay_s", "open_delay_s"):
            need(0.0 <= getattr(self, name) < 10.0, f"{name} from 0", f"{getattr(self, name):g}")

    def opening_m(self, known_m: float, range_m: tuple[float, float]) -> float:
        """The hand's opening that is as far from its ends as another one from another hand's.

        Args:
            known_m: the other opening; beyond an end, that end counts.
            range_m: the other hand's ends.
        """
        return float(np.interp(known_m, range_m, (self.low_m, self.high_m)))

    def __str__(self) -> str:
        """In millimetres and milliseconds."""
        low_mm, high_mm = 1e3 * self.low_m, 1e3 * self.high_m
        ways = (
            f"{verb} at {1e3 * speed_m_s:.0f} mm/s after {1e3 * delay_s:.0f} ms"
            for verb, speed_m_s, delay_s in (
                ("closes", self.close_speed_m_s, self.close_delay_s),
                ("opens", self.open_speed_m_s, self.open_delay_s),
            )
        )
        return f"{low_mm:.1f} to {high_mm:.1f} mm; {', '.join(ways)}"


class RangedHand:
    """A hand for a sender who knows the openings of another: ends are ends, and all is in between.

    See `df_policy.hardware.arm.HandDriver`.

    Args:
        hand: the driver of the real one.
        known_m: the least and the largest opening that policies know.
        real: what the hand has instead.
    """

    def __init__(self, hand: HandDriver, known_m: tuple[float, float], real: HandRange) -> None:
        self._hand = hand
        self._known_m, self._real = known_m, real

    def connect(self) -> HandState:
        """Reach the gripper; see the protocol."""
        return self._as_known(self._hand.connect())

    def read(self) -> HandState:
        """What it said last; see the protocol."""
        return self._as_known(self._hand.read())

    def want(self, opening_m: float) -> None:
        """The opening that it shall take; see the protocol."""
        self._hand.want(self._real.opening_m(opening_m, self._known_m))

    def recover(self) -> None:
        """Try again what failed; see the protocol."""
        self._hand.recover()

    def close(self) -> None:
        """Let go of it; see the protocol."""
        self._hand.close()

    def _as_known(self, state: HandState) -> HandState:
        real_m = (self._real.low_m, self._real.high_m)
        return replace(state, opening_m=float(np.interp(state.opening_m, real_m, self._known_m)))


@dataclass(frozen=True)
class _Stroke:
    """One way of the fingers."""

    begin_m: float
    end_m: float
    delay_s: float
    speed_m_s: float


def measure(hand: HandDriver, widest_m: float, times: int) -> HandRange:
    """Close and open the hand so many times, and see what it does; medians.

    Args:
        hand: connected, with nothing between its fingers.
        widest_m: an opening that it has, or just has not.
        times: how often.

    Raises:
        DfPolicyError: if it does not obey, or tells no times.
    """
    _move(hand, widest_m)
    closing, opening = [], []
    for _ in range(times):
        closing.append(_stroke(_move(hand, 0.0)))
        opening.append(_stroke(_move(hand, widest_m)))

    def median(strokes: list[_Stroke], name: str) -> float:
        return round(float(np.median([getattr(stroke, name) for stroke in strokes])), 5)

    return HandRange(
        max(0.0, median(closing, "end_m")),
        median(opening, "end_m"),
        close_speed_m_s=median(closing, "speed_m_s"),
        open_speed_m_s=median(opening, "speed_m_s"),
        close_delay_s=median(closing, "delay_s"),
        open_delay_s=median(opening, "delay_s"),
    )


def _move(hand: HandDriver, opening_m: float) -> Float64[np.ndarray, "n 2"]:
    """The way to an opening: seconds since it was wished for, and openings [m]."""
    began = _next(hand, hand.read().hand_ns)
    hand.want(opening_m)
    states, still_ns, moved = [began], began.hand_ns, False
    while True:
        state = _next(hand, states[-1].hand_ns)
        states.append(state)
        if state.fault:
            raise DfPolicyError(f"expected the fingers to move, got: {state.fault}")
        moved = moved or abs(state.opening_m - began.opening_m) > _MOVED_M
        before_m = [s.opening_m for s in states if s.hand_ns >= state.hand_ns - _STILL_NS]
        if np.ptp(before_m) > _STILL_M:
            still_ns = state.hand_ns
        passed_ns = state.hand_ns - began.hand_ns
        arrived = state.hand_ns - still_ns >= _STILL_NS
        if (arrived and (moved or passed_ns > _START_NS)) or passed_ns > _LONGEST_NS:
            break
    seconds = [1e-9 * (s.hand_ns - began.hand_ns) for s in states]
    return np.column_stack([seconds, [s.opening_m for s in states]])


def _next(hand: HandDriver, after_ns: int) -> HandState:
    """The first state that is newer."""
    deadline_s = time.monotonic() + _PATIENCE_S
    while (state := hand.read()).hand_ns <= after_ns:
        if time.monotonic() > deadline_s:
            raise DfPolicyError(
                f"expected the hand to tell its opening and the time, got nothing new in "
                f"{_PATIENCE_S:g} s{state.fault and f': {state.fault}'}"
            )
        time.sleep(_POLL_S)
    return state


def _stroke(way: Float64[np.ndarray, "n 2"]) -> _Stroke:
    """When the fingers began, and how fast they were in the middle of their way."""
    seconds, opening_m = way.T
    begin_m, end_m = float(opening_m[0]), float(opening_m[-1])
    far_m = abs(end_m - begin_m)
    need(
        far_m >= _LEAST_M,
        f"the fingers to move by {1e3 * _LEAST_M:g} mm or more",
        f"{1e3 * far_m:.1f} mm; take away what is between them, and home the hand in Desk",
    )
    # Never back, so that times can be read off openings.
    gone_m = np.maximum.accumulate(np.abs(opening_m - begin_m))
    gone_m += 1e-12 * np.arange(len(gone_m))
    at = np.interp([_MOVED_M, 0.2 * far_m, 0.8 * far_m], gone_m, seconds)
    return _Stroke(begin_m, end_m, float(at[0]), float(0.6 * far_m / (at[2] - at[1])))


def write(path: Path, found: HandRange) -> None:
    """As JSON, which `read` reads.

    Raises:
        DfPolicyError: if the disk refuses.
    """
    write_result(path, asdict(found))


def read(path: Path) -> HandRange:
    """What `write` wrote.

    Raises:
        DfPolicyError: if there is no such file, or it tells of no hand.
    """
    return read_result(
        path, "gripper", lambda said: HandRange(**{name: float(said[name]) for name in said})
    )
