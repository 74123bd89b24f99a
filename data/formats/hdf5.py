"""HDF5 files of strangers: opened, looked at and read within limits."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from df_policy.data.formats.source import (
    LARGEST_PIECE_BYTES,
    LARGEST_TEXT_BYTES,
    MOST_KEYS,
    Kind,
    damaged,
)
from df_policy.errors import DfPolicyError

_SIGNATURE = b"\x89HDF\r\n\x1a\n"


def is_hdf5(path: Path) -> bool:
    """Whether the file begins as HDF5 does."""
    if not path.is_file():
        return False
    with path.open("rb") as file:
        return file.read(len(_SIGNATURE)) == _SIGNATURE


@contextmanager
def opened(path: Path) -> Iterator[h5py.File]:
    """The file, read-only.

    Raises:
        DfPolicyError: if it is damaged.
    """
    with damaged(path):
        file = h5py.File(path, "r", locking=False)
    try:
        yield file
    finally:
        file.close()


def child(group: Any, name: str) -> Any:
    """What stands in this very file under a name; links are not followed.

    Raises:
        DfPolicyError: if there is none, or a link, which might lead out of the file.
    """
    with damaged(f"{name} in {group.file.filename}"):
        link = group.get(name, getlink=True)
        if not isinstance(link, h5py.HardLink):
            raise DfPolicyError(
                f"expected {group.name}/{name} in {group.file.filename}, got "
                f"{'nothing' if link is None else 'a link'}; it is not read"
            )
        return group[name]


def group_in(group: Any, name: str) -> Any:
    """A group.

    Raises:
        DfPolicyError: if there is none.
    """
    found = child(group, name)
    if not isinstance(found, h5py.Group):
        raise DfPolicyError(f"expected the group {name} in {group.file.filename}, got an array")
    return found


def arrays(group: Any, most_depth: int = 3, prefix: str = "") -> dict[str, Any]:
    """All datasets below a group by their path."""
    found: dict[str, Any] = {}
    for name in group:
        if len(found) >= MOST_KEYS:
            raise DfPolicyError(f"expected at most {MOST_KEYS} arrays in {group.file.filename}")
        if not isinstance(group.get(name, getlink=True), h5py.HardLink):
            continue
        item = group[name]
        if isinstance(item, h5py.Dataset):
            found[f"{prefix}{name}"] = item
        elif most_depth > 1:
            found |= arrays(item, most_depth - 1, f"{prefix}{name}/")
    return found


def kind(array: Any) -> Kind:
    """What a row of it is.

    Raises:
        DfPolicyError: if it lies in another file, is not made of numbers, or its pieces are huge.
    """
    where = f"{array.name} of {array.file.filename}"
    if array.is_virtual or array.external:
        raise DfPolicyError(f"expected the numbers of {where} in the file, got a reference")
    if array.dtype.kind not in "biufS" or array.shape is None or len(array.shape) > 8:
        raise DfPolicyError(f"expected numbers in {where}, got {array.dtype} {array.shape}")
    size = int(np.prod(array.chunks or (), dtype=np.float64)) * array.dtype.itemsize
    if size > LARGEST_PIECE_BYTES:
        raise DfPolicyError(f"expected smaller chunks in {where}, got {array.chunks}")
    return Kind(array.shape[1:], array.dtype.name)


def kinds(found: Mapping[str, Any]) -> dict[str, Kind]:
    """The kinds of those that hold numbers, a row a frame."""
    return {
        name: kind(array)
        for name, array in found.items()
        if array.shape and array.dtype.kind in "biuf"
    }


def text(attributes: Any, name: str) -> str | None:
    """A text attribute, if there is one of decent size.

    Raises:
        DfPolicyError: if it is no text.
    """
    if name not in attributes:
        return None
    value = attributes[name]
    if isinstance(value, bytes):
        value = value.decode("utf-8", "replace")
    if not isinstance(value, str) or len(value) > LARGEST_TEXT_BYTES:
        raise DfPolicyError(f"expected a text as attribute {name}, got {type(value).__name__}")
    return value


def decode(rows: NDArray[np.uint8], size: tuple[int, int], where: str) -> NDArray[np.uint8]:
    """Images from padded JPEG or PNG files, a row each, all of `size` (height, width).

    Raises:
        DfPolicyError: naming the row that cannot be decoded, or has another size.
    """
    images = np.empty((len(rows), *size, 3), np.uint8)
    for index, row in enumerate(rows):
        images[index] = decoded(row.tobytes(), size, f"image {index} of {where}")
    return images


def decoded(content: bytes, size: tuple[int, int] | None, where: str) -> NDArray[np.uint8]:
    """One image; its size is looked at before it is decoded.

    Raises:
        DfPolicyError: if it cannot be decoded, or has another size.
    """
    from PIL import Image

    with damaged(where), Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
        found = (image.height, image.width)
        if (size is not None and found != size) or found[0] * found[1] * 3 > LARGEST_PIECE_BYTES:
            raise DfPolicyError(f"expected {size} pixels in {where}, got {found}; use a copy")
        return np.asarray(image.convert("RGB"))


def image_size(content: bytes, where: str) -> tuple[int, int]:
    """Height and width of a compressed image, without decoding it.

    Raises:
        DfPolicyError: if it is none.
    """
    from PIL import Image

    with damaged(where), Image.open(io.BytesIO(content), formats=("JPEG", "PNG")) as image:
        return image.height, image.width


def put(group: Any, name: str, rows: NDArray[Any]) -> None:
    """Write one array, a chunk for each image."""
    if rows.ndim == 4:
        group.create_dataset(
            name, data=rows, chunks=(1, *rows.shape[1:]), compression="gzip", compression_opts=1
        )
    else:
        group.create_dataset(name, data=rows)
