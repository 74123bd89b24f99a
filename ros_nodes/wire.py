"""Records between processes and in logs: a dataclass is its own layout, nothing is pickled.

A record is its fields in order, little-endian: integers and floats of eight bytes, text, bytes,
lists and mappings with their count before them, arrays with their type and shape. Both ends know
the type; what does not fit it is refused.
"""

from __future__ import annotations

import struct
import types
from collections.abc import Callable, Mapping, Sequence
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Union, get_args, get_origin, get_type_hints

import numpy as np

from df_policy.errors import DfPolicyError

_KINDS = {b"d": np.float64, b"f": np.float32, b"q": np.int64, b"B": np.uint8}
_CODES = {np.dtype(kind): code for code, kind in _KINDS.items()}

Place = Callable[[np.ndarray], int]
"""Puts an image where the other end finds it, and says where."""
Fetch = Callable[[int, tuple[int, ...]], np.ndarray]
"""The image of this shape at that place."""


def pack(record: Any, place: Place | None = None) -> bytes:
    """The record as bytes.

    Args:
        record: a frozen dataclass.
        place: where images go; without it they stand in the record itself.
    """
    parts: list[bytes] = []
    _put(type(record), record, parts, place)
    return b"".join(parts)


def unpack(kind: type, data: bytes, fetch: Fetch | None = None) -> Any:
    """The record of this type that `pack` wrote.

    Raises:
        DfPolicyError: if it is not one.
    """
    reader = _Reader(data, fetch)
    try:
        record = reader.get(kind)
    except (struct.error, KeyError, ValueError, TypeError, IndexError) as error:
        raise DfPolicyError(f"expected a {kind.__name__}, got other bytes: {error}") from error
    if reader.at != len(data):
        raise DfPolicyError(f"expected {reader.at} bytes of a {kind.__name__}, got {len(data)}")
    return record


@cache
def _layout(kind: type) -> tuple[tuple[str, Any], ...]:
    """Name and type of each field."""
    hints = get_type_hints(kind)
    return tuple((field.name, hints[field.name]) for field in fields(kind))


@cache
def _shape_of(hint: Any) -> tuple[str, tuple[Any, ...]]:
    """What a type hint asks for, and the hints of its parts."""
    origin, parts = get_origin(hint), get_args(hint)
    if origin in (Union, types.UnionType):
        return "maybe", tuple(part for part in parts if part is not types.NoneType)
    if origin is not None and issubclass(origin, Mapping):
        return "mapping", parts
    if origin is not None and issubclass(origin, Sequence):
        return "list", parts[:1]
    if is_dataclass(hint):
        return "record", ()
    for plain in (bool, int, float, str, bytes):
        if hint is plain:
            return plain.__name__, ()
    if getattr(hint, "array_type", None) is np.ndarray:
        return "array", ()
    raise TypeError(f"{hint} has no layout")


def _put(hint: Any, value: Any, parts: list[bytes], place: Place | None) -> None:
    shape, inner = _shape_of(hint)
    if shape == "record":
        for name, kind in _layout(hint):
            _put(kind, getattr(value, name), parts, place)
    elif shape == "maybe":
        parts.append(b"\x00" if value is None else b"\x01")
        if value is not None:
            _put(inner[0], value, parts, place)
    elif shape == "mapping":
        parts.append(struct.pack("<I", len(value)))
        for key, item in value.items():
            _put(inner[0], key, parts, place)
            _put(inner[1], item, parts, place)
    elif shape == "list":
        parts.append(struct.pack("<I", len(value)))
        for item in value:
            _put(inner[0], item, parts, place)
    elif shape == "array":
        _put_array(np.ascontiguousarray(value), parts, place)
    elif shape in ("str", "bytes"):
        data = value.encode() if shape == "str" else value
        parts.append(struct.pack("<I", len(data)) + data)
    else:
        parts.append(struct.pack("<d" if shape == "float" else "<q", value))


def _put_array(array: np.ndarray, parts: list[bytes], place: Place | None) -> None:
    elsewhere = place is not None and array.dtype == np.uint8
    head = b"@" if elsewhere else _CODES[array.dtype]
    parts.append(head + struct.pack(f"<B{array.ndim}I", array.ndim, *array.shape))
    if place is not None and elsewhere:
        parts.append(struct.pack("<q", place(array)))
    else:
        parts.append(array.tobytes())


class _Reader:
    """Walks through a record's bytes."""

    def __init__(self, data: bytes, fetch: Fetch | None) -> None:
        self._data, self._fetch = memoryview(data), fetch
        self.at = 0

    def get(self, hint: Any) -> Any:
        shape, inner = _shape_of(hint)
        if shape == "record":
            return hint(**{name: self.get(kind) for name, kind in _layout(hint)})
        if shape == "maybe":
            return self.get(inner[0]) if self._take(1)[0] else None
        if shape == "mapping":
            pairs = ((self.get(inner[0]), self.get(inner[1])) for _ in range(self._count()))
            return dict(pairs)
        if shape == "list":
            return [self.get(inner[0]) for _ in range(self._count())]
        if shape == "array":
            return self._array()
        if shape in ("str", "bytes"):
            data = bytes(self._take(self._count()))
            return data.decode() if shape == "str" else data
        number = self._struct("<d" if shape == "float" else "<q")[0]
        return bool(number) if shape == "bool" else number

    def _array(self) -> np.ndarray:
        code = bytes(self._take(1))
        shape = self._struct(f"<{self._struct('<B')[0]}I")
        if code == b"@":
            if self._fetch is None:
                raise ValueError("an image that is not here")
            return self._fetch(self._struct("<q")[0], shape)
        kind = np.dtype(_KINDS[code])
        size = int(np.prod(shape, dtype=np.int64)) * kind.itemsize
        return np.frombuffer(self._take(size), kind).reshape(shape).copy()

    def _count(self) -> int:
        count: int = self._struct("<I")[0]
        if count > len(self._data):
            raise ValueError(f"{count} things in {len(self._data)} bytes")
        return count

    def _struct(self, layout: str) -> tuple[Any, ...]:
        return struct.unpack(layout, self._take(struct.calcsize(layout)))

    def _take(self, size: int) -> memoryview:
        if self.at + size > len(self._data):
            raise ValueError(f"{size} bytes wanted, {len(self._data) - self.at} left")
        self.at += size
        return self._data[self.at - size : self.at]
