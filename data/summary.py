"""What a recording holds, as numbers that are JSON: lengths, rates, ranges, losses, statistics."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data import storage
from df_policy.data.reader import EpisodeStore
from df_policy.data.schema import TICK, columns, image_column
from df_policy.frames import UNKNOWN, streams

ACTION_NAMES = ("x", "y", "z", "r1", "r2", "r3", "r4", "r5", "r6", "gripper")
"""Of `data/action`: metres, the first two rows of the rotation, metres."""

_PERCENTILES = (1, 50, 99)
_SAMPLED_ROWS, _SAMPLED_IMAGES = 100_000, 200
"""Percentiles, and all figures of images, are of so many, evenly spread."""


def summarize(store: EpisodeStore) -> dict[str, Any]:
    """The recording in numbers; images are not decoded.

    Args:
        store: with one episode or more.

    Raises:
        DfPolicyError: if the numbers cannot be decoded.
    """
    spec, header = store.spec, store.header
    lengths = store.lengths
    size = sum(file.stat().st_size for file in store.path.rglob("*") if file.is_file())
    action = store.rows("action", 0, store.frames)
    low, high = action.min(0), action.max(0)
    proven = [bool(store.checksums(index)) for index in range(len(store))]
    return {
        "path": str(store.path),
        "schema_version": header.version,
        "task": header.task,
        "robot": spec.name,
        "cameras": {name: list(size) for name, size in spec.cameras.items()},
        "operators": list(header.operators),
        "episodes": len(store),
        "frames": store.frames,
        "minutes": round(store.frames / spec.action_rate_hz / 60.0, 3),
        "bytes": size,
        "successes": int(store.success.sum()),
        "with_checksums": sum(proven),
        "length": {
            "shortest": int(lengths.min()),
            "median": float(np.median(lengths)),
            "longest": int(lengths.max()),
        },
        "dropped": _totals(store, "dropped"),
        "late": _totals(store, "late"),
        "action": {
            name: [float(a), float(b)] for name, a, b in zip(ACTION_NAMES, low, high, strict=True)
        },
        "per_episode": [_episode(store, index) for index in range(len(store))],
    }


def _counts(store: EpisodeStore, name: str, index: int) -> dict[str, int | None]:
    ways = streams(store.spec.cameras)
    names = (TICK, *ways) if name == "late" else ways
    row = store.about[name][index].tolist()
    found = zip(names, row, strict=True)
    return {stream: None if value == UNKNOWN else value for stream, value in found}


def _totals(store: EpisodeStore, name: str) -> dict[str, int | None]:
    """Of all episodes that tell; None where none does."""
    each = [_counts(store, name, index) for index in range(len(store))]
    totals: dict[str, int | None] = {}
    for stream in each[0]:
        known = [one[stream] for one in each if one[stream] is not None]
        totals[stream] = sum(value for value in known if value is not None) if known else None
    return totals


def _episode(store: EpisodeStore, index: int) -> dict[str, Any]:
    start, stop = store.bounds(index)
    stamps, received = (store.rows(n, start, stop) for n in ("stamp_ns", "received_ns"))
    label = store.label(index)
    return {
        "episode": index,
        "frames": stop - start,
        "success": label.success,
        "seed": label.seed,
        "note": label.note,
        "rate_hz": _rate(stamps),
        "received_hz": _rate(received),
        "longest_gap_ms": float(1e-6 * np.diff(stamps).max(initial=0)),
        "dropped": _counts(store, "dropped", index),
        "late": _counts(store, "late", index),
    }


def _rate(stamps_ns: NDArray[np.int64]) -> float | None:
    """Frames per second; None for one frame, or without a clock."""
    span = int(stamps_ns[-1]) - int(stamps_ns[0])
    return (len(stamps_ns) - 1) / (1e-9 * span) if span > 0 else None


def column_statistics(store: EpisodeStore) -> dict[str, dict[str, Any]]:
    """Mean, spread, range and percentiles of each column, as a normalisation takes them.

    Images are in shares of full brightness, a number for each of red, green and blue. Memory is
    bounded whatever the size of the store.

    Args:
        store: with one episode or more.

    Raises:
        DfPolicyError: if something cannot be decoded.
    """
    found = {}
    for column in columns(store.spec):
        if column.dtype == "float32":
            found[column.name] = _statistics(store, column.name)
    for camera in store.spec.cameras:
        found[image_column(camera)] = _image_statistics(store, image_column(camera))
    return found


def _statistics(store: EpisodeStore, name: str) -> dict[str, Any]:
    count, mean, squares = 0, np.zeros(1), np.zeros(1)
    low, high = np.array(np.inf), np.array(-np.inf)
    every = -(-store.frames // _SAMPLED_ROWS)
    sampled = []
    column = next(column for column in columns(store.spec) if column.name == name)
    step = storage.block_rows(column) // every * every or every
    for start in range(0, store.frames, step):
        rows = store.rows(name, start, min(start + step, store.frames)).astype(np.float64)
        sampled.append(rows[::every])
        low, high = np.minimum(low, rows.min(0)), np.maximum(high, rows.max(0))
        # Chan et al. 1983: mean and squares of two parts joined without loss.
        total, away = count + len(rows), rows.mean(0) - mean
        squares = squares + rows.var(0) * len(rows) + away**2 * count * len(rows) / total
        mean = mean + away * len(rows) / total
        count = total
    quantiles = np.percentile(np.concatenate(sampled), _PERCENTILES, axis=0)
    return _figures(count, mean, np.sqrt(squares / count), low, high, quantiles)


def _image_statistics(store: EpisodeStore, name: str) -> dict[str, Any]:
    chosen = np.unique(np.linspace(0, store.frames - 1, _SAMPLED_IMAGES).round().astype(int))
    images = [store.rows(name, int(n), int(n) + 1)[0, ::2, ::2] for n in chosen]
    pixels = np.concatenate([image.reshape(-1, 3) for image in images]) / np.float32(255.0)
    quantiles = np.percentile(pixels, _PERCENTILES, axis=0)
    ranges = (pixels.min(0), pixels.max(0))
    return _figures(len(chosen), pixels.mean(0), pixels.std(0), *ranges, quantiles)


def _figures(count: int, *arrays: NDArray[Any]) -> dict[str, Any]:
    mean, spread, low, high, quantiles = (np.asarray(one).tolist() for one in arrays)
    named = {f"p{p:02d}": row for p, row in zip(_PERCENTILES, quantiles, strict=True)}
    return {"count": count, "mean": mean, "std": spread, "min": low, "max": high, **named}
