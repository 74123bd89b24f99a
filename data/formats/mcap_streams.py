"""Messages of a bag as rows: as they were written, or sampled at ticks."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.align import LateStreamError, Stream
from df_policy.data.formats import ros_messages
from df_policy.data.formats.source import Wanted
from df_policy.data.writer import LONGEST_EPISODE_FRAMES
from df_policy.errors import DfPolicyError

_OLDEST_PERIODS = 2.0
"""A message older than so many periods makes no frame."""
_CLOCKS_APART_NS = 1_000_000_000
_LARGEST_STAMP_NS = 2**62


@dataclass(frozen=True)
class Topic:
    """One topic of a bag."""

    name: str
    joints: tuple[str, ...] = ()
    """The order in which its numbers come."""


@dataclass(frozen=True)
class Message:
    """One message, decoded."""

    stamp_ns: int | None
    """The header's."""
    log_ns: int
    values: dict[str, NDArray[Any]]
    """Key -> one row."""


class Streams:
    """All messages of the topics that are asked for."""

    def __init__(self, topics: dict[str, Topic], where: str) -> None:
        self._topics, self.where = topics, where
        self.messages: dict[str, list[Message]] = {name: [] for name in topics}

    def add(self, topic: str, log_ns: int, message: Any) -> None:
        """One more, in the order of the file.

        Raises:
            DfPolicyError: if its numbers cannot be used.
        """
        known = self.messages[topic]
        where = f"message {len(known)} of {topic} in {self.where}"
        if ros_messages.is_image(message):
            values: dict[str, NDArray[Any]] = {topic: ros_messages.picture(message, where)}
        else:
            found = ros_messages.numbers(message, self._topics[topic].joints, where)
            values = {topic + path: row for path, row in found.items()}
        if known and {k: v.shape for k, v in values.items()} != {
            k: v.shape for k, v in known[0].values.items()
        }:
            raise DfPolicyError(f"expected messages of one size, got another in {where}")
        stamp = ros_messages.stamp_of(message)
        if max(abs(stamp or 0), log_ns) > _LARGEST_STAMP_NS:
            raise DfPolicyError(f"expected a time in {where}, got {stamp or log_ns}")
        known.append(Message(stamp, log_ns, values))


def table(streams: Streams, wanted: Wanted, origin_ns: int) -> dict[str, NDArray[Any]]:
    """The rows of our own bags: message k of every topic belongs to frame k.

    Raises:
        DfPolicyError: if a topic has no messages.
    """
    rows: dict[str, NDArray[Any]] = {}
    for topic, messages in streams.messages.items():
        for key in wanted.keys:
            if key == f"{topic}.stamp":
                stamps = [(m.stamp_ns or 0) - origin_ns for m in messages]
                rows[key] = np.array(stamps, np.int64)
            elif key == f"{topic}.log":
                rows[key] = np.array([m.log_ns for m in messages], np.int64)
            elif messages and key in messages[0].values:
                rows[key] = np.stack([m.values[key] for m in messages])
    return _all_there(rows, wanted, streams)


def sampled(streams: Streams, wanted: Wanted) -> dict[str, NDArray[Any]]:
    """The rows at ticks.

    What was seen is the newest not after the tick, what was commanded the newest before the tick
    that follows.

    Raises:
        DfPolicyError: if a stream is silent for too long, or two clocks tell the time.
    """
    if any(not messages for messages in streams.messages.values()):
        empty = [name for name, messages in streams.messages.items() if not messages]
        raise DfPolicyError(
            f"expected messages of {', '.join(empty)} in {streams.where}, got none"
        )
    period_ns = round(1e9 / wanted.rate_hz)
    times = _times(streams)
    ordered: dict[str, Stream[Message]] = {}
    for name, messages in streams.messages.items():
        stream: Stream[Message] = Stream(
            name, _OLDEST_PERIODS / wanted.rate_hz, capacity=len(messages)
        )
        pairs = sorted(zip(times[name], messages, strict=True), key=lambda pair: pair[0])
        for stamp, message in pairs:
            stream.add(stamp, message)
        ordered[name] = stream
    commands = {name for name in ordered if any(k.startswith(f"{name}.") for k in wanted.commands)}
    seen = [times[name] for name in ordered if name not in commands] or list(times.values())
    start = max(min(stamps) for stamps in seen)
    end = min(max(stamps) for stamps in times.values())
    ticks = np.arange(start, max(start, end - period_ns) + 1, period_ns, dtype=np.int64)
    if len(ticks) > LONGEST_EPISODE_FRAMES:
        raise DfPolicyError(
            f"expected at most {LONGEST_EPISODE_FRAMES} frames in {streams.where}, got "
            f"{len(ticks)}"
        )
    picked = {
        name: [
            _at(ordered[name], int(t), period_ns if name in commands else 0, streams, i)
            for i, t in enumerate(ticks)
        ]
        for name in ordered
    }
    return _rows(picked, times, ticks, wanted, streams, commands)


def _at(
    stream: Stream[Message], tick_ns: int, later_ns: int, streams: Streams, row: int
) -> tuple[int, Message]:
    try:
        sample = stream.at(tick_ns + later_ns - (1 if later_ns else 0))
    except LateStreamError as error:
        raise DfPolicyError(f"row {row} of {streams.where}: {error}") from error
    return sample.stamp_ns, sample.value


def _rows(
    picked: dict[str, list[tuple[int, Message]]],
    times: dict[str, list[int]],
    ticks: NDArray[np.int64],
    wanted: Wanted,
    streams: Streams,
    commands: set[str],
) -> dict[str, NDArray[Any]]:
    rows: dict[str, NDArray[Any]] = {"tick": ticks - ticks[0]}
    seen = [name for name in picked if name not in commands] or list(picked)
    received = np.array([[m.log_ns for _, m in picked[name]] for name in seen], np.int64)
    rows["received"] = received.max(axis=0)
    for topic, samples in picked.items():
        for key in wanted.keys:
            if key == f"{topic}.stamp":
                rows[key] = np.array([stamp for stamp, _ in samples], np.int64) - ticks[0]
            elif key == f"{topic}.log":
                rows[key] = np.array([m.log_ns for _, m in samples], np.int64)
            elif key in samples[0][1].values:
                rows[key] = np.stack([m.values[key] for _, m in samples])
    return _all_there(rows, wanted, streams)


def _all_there(
    rows: dict[str, NDArray[Any]], wanted: Wanted, streams: Streams
) -> dict[str, NDArray[Any]]:
    missing = wanted.keys - rows.keys()
    if missing:
        raise DfPolicyError(f"expected {', '.join(sorted(missing))} in {streams.where}, got none")
    return {key: rows[key] for key in wanted.keys}


def _times(streams: Streams) -> dict[str, list[int]]:
    """The time of each message on one clock: headers, and the log where there is none.

    Raises:
        DfPolicyError: if some have headers, others not, and the two clocks are apart.
    """
    # A header that nobody filled in says 0 in every message.
    headed = {n: any(m.stamp_ns for m in ms) for n, ms in streams.messages.items()}
    if not all(headed.values()):
        for name, messages in streams.messages.items():
            apart = [abs((m.stamp_ns or 0) - m.log_ns) for m in messages] if headed[name] else [0]
            if max(apart) > _CLOCKS_APART_NS:
                bare = ", ".join(n for n, has in headed.items() if not has)
                raise DfPolicyError(
                    f"expected one clock in {streams.where}, got headers of {name} "
                    f"{max(apart) / 1e9:.1f} s off the log's times, which alone tell of {bare}"
                )
    return {
        name: [(m.stamp_ns or 0) if headed[name] else m.log_ns for m in messages]
        for name, messages in streams.messages.items()
    }
