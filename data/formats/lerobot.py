"""LeRobot datasets: reading version 3 and 2.1, writing version 3."""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data.formats import note
from df_policy.data.formats.conventions import Conventions
from df_policy.data.formats.lerobot_tables import (
    Row,
    column_rows,
    read_rows,
    rows_of_v2,
    rows_of_v3,
)
from df_policy.data.formats.source import (
    LARGEST_TEXT_BYTES,
    MOST_KEYS,
    Contents,
    Kind,
    Raw,
    Recording,
    Tick,
    Wanted,
    check_size,
    damaged,
)
from df_policy.data.formats.video import read_frames
from df_policy.errors import DfPolicyError

LOST = ("rates that are no whole number: those are refused",)

_MOST_HZ = 10_000.0
_INFO = Path("meta", "info.json")
_NUMBERS = ("float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8", "bool")
_TEMPLATE = re.compile(
    r"(?:[A-Za-z0-9_./-]|\{(?:episode_chunk|episode_index|chunk_index|file_index)(?::0\dd)?\}"
    r"|\{video_key\})+"
)


def recognises(path: Path) -> bool:
    """Whether that is a folder with LeRobot's description."""
    return (path / _INFO).is_file()


def text_of(path: Path) -> str:
    """A file of text.

    Raises:
        DfPolicyError: if it is missing, huge, or no text.
    """
    with damaged(path):
        if path.stat().st_size > LARGEST_TEXT_BYTES:
            raise DfPolicyError(f"expected less than {LARGEST_TEXT_BYTES} bytes in {path}")
        return path.read_text("utf-8")


@dataclass(frozen=True)
class Info:
    """What `meta/info.json` says, checked."""

    version: str
    fps: float
    keys: Mapping[str, Kind]
    videos: frozenset[str]
    images: frozenset[str]
    data_path: str
    video_path: str
    files_a_chunk: int

    @classmethod
    def read(cls, root: Path) -> Info:
        """The description of the dataset at `root`.

        Raises:
            DfPolicyError: if it is damaged or of another version.
        """
        where = root / _INFO
        with damaged(where):
            values = json.loads(text_of(where))
            version = str(values["codebase_version"])
            if version not in ("v3.0", "v2.1", "v2.0"):
                raise DfPolicyError(
                    f"expected version v3.0 or v2.1 in {where}, got {version[:20]!r}; convert it "
                    "with LeRobot's own tools"
                )
            fps = float(values["fps"])
            chunk = int(values.get("chunks_size", 1000))
            if not 0.0 < fps <= _MOST_HZ or chunk < 1:
                raise DfPolicyError(f"expected a rate above 0 in {where}, got {fps:g}")
            features = values["features"]
            if not 1 <= len(features) <= MOST_KEYS:
                raise DfPolicyError(f"expected features in {where}, got {len(features)}")
            kinds = {str(key): _kind(feature) for key, feature in features.items()}
            keys = {key: kind for key, kind in kinds.items() if kind is not None}
            return cls(
                version,
                fps,
                keys,
                _of(features, keys, "video"),
                _of(features, keys, "image"),
                _template(values["data_path"], where),
                _template(values.get("video_path") or "none", where),
                chunk,
            )


def _kind(feature: Mapping[str, Any]) -> Kind | None:
    """What a row of a feature is, if it is numbers or a picture."""
    dtype, shape = feature["dtype"], tuple(int(side) for side in feature["shape"])
    if any(side < 1 for side in shape) or len(shape) > 8:
        raise DfPolicyError(f"expected a shape of whole numbers, got {feature['shape']}")
    if dtype in ("video", "image"):
        names = feature.get("names")
        first = isinstance(names, list) and names and names[0] in ("channels", "channel", "c")
        return Kind((*shape[1:], shape[0]) if first else shape, "uint8")
    if dtype not in _NUMBERS:
        return None
    names = feature.get("names")
    called = tuple(str(n)[:80] for n in names) if isinstance(names, list) else ()
    return Kind(() if shape == (1,) else shape, dtype, called)


def _of(
    features: Mapping[str, Mapping[str, Any]], keys: Collection[str], dtype: str
) -> frozenset[str]:
    return frozenset(key for key in keys if features[key]["dtype"] == dtype)


def _template(text: object, where: Path) -> str:
    if not isinstance(text, str) or len(text) > 200 or not _TEMPLATE.fullmatch(text):
        raise DfPolicyError(f"expected the names of files in {where}, got {text!r:.80}")
    return text


@dataclass(frozen=True)
class Dataset:
    """An open dataset."""

    contents: Contents
    root: Path
    info: Info
    rows: list[Row]

    def read(self, index: int, wanted: Wanted) -> Raw:
        """One episode."""
        keys = wanted.keys
        row, info = self.rows[index], self.info
        where = f"episode {row.episode} of {self.root}"
        check_size({key: info.keys[key] for key in keys}, row.length, where)
        fields = {"chunk_index": row.data[0], "file_index": row.data[1]}
        path = self._inside(info.data_path, row, fields)
        seeded = self.contents.header is not None and "seed" in info.keys
        columns = {key for key in keys if key not in info.videos} | {"frame_index", "timestamp"}
        columns |= {"seed"} if seeded else set()
        with damaged(where):
            table = read_rows(path, columns, row)
            arrays: dict[str, NDArray[Any]] = {}
            for key in sorted(columns):
                kind = info.keys.get(key) or Kind((), "float32" if key == "timestamp" else "int64")
                picture = key in info.images
                arrays[key] = column_rows(table, key, kind, picture, where)
        times = arrays["timestamp"].astype(np.float64)
        self._check_times(arrays["frame_index"], times, where)
        for key in keys:
            if key in info.videos:
                arrays[key] = self._frames(key, row, times)
        seed = int(arrays["seed"][0]) if seeded else None
        return Raw({key: arrays[key] for key in keys}, None, seed, row.note)

    def _check_times(self, counted: NDArray[Any], times: NDArray[Any], where: str) -> None:
        if not np.array_equal(counted, np.arange(len(counted))):
            row = int(np.flatnonzero(counted != np.arange(len(counted)))[0])
            raise DfPolicyError(
                f"expected frame_index {row} in row {row} of {where}, got {counted[row]}; "
                "leave this episode out"
            )
        if not np.isfinite(times).all() or np.any(np.diff(times) <= 0.0):
            raise DfPolicyError(f"expected growing timestamps in {where}, got others")

    def _frames(self, key: str, row: Row, times: NDArray[np.float64]) -> NDArray[np.uint8]:
        chunk, file, start = row.videos.get(key, (*row.data, 0.0))
        fields = {"chunk_index": chunk, "file_index": file, "video_key": key}
        path = self._inside(self.info.video_path, row, fields)
        height, width, _ = self.info.keys[key].shape
        return read_frames(path, start + times, (height, width))

    def _inside(self, template: str, row: Row, fields: Mapping[str, Any]) -> Path:
        """A file of this dataset, and no other."""
        chunk = row.episode // self.info.files_a_chunk
        try:
            name = template.format(episode_index=row.episode, episode_chunk=chunk, **fields)
        except (KeyError, IndexError, ValueError) as error:
            raise DfPolicyError(
                f"expected names of files in {self.root}, got {template!r}"
            ) from error
        path = (self.root / name).resolve()
        if not path.is_relative_to(self.root.resolve()):
            raise DfPolicyError(f"expected files in {self.root}, got {name!r}; it is not read")
        return path


@contextmanager
def open_source(path: Path) -> Iterator[Dataset]:
    """Look at a dataset.

    Raises:
        DfPolicyError: if it is damaged, empty, or of another version.
    """
    info = Info.read(path)
    with damaged(path / "meta"):
        if info.version == "v3.0":
            rows = rows_of_v3(path / "meta", info.videos)
        else:
            rows = rows_of_v2(text_of(path / "meta" / "episodes.jsonl"))
    if not rows:
        raise DfPolicyError(f"expected episodes in {path}, got none")
    header, told = None, Conventions(colour="rgb")
    said = path / "meta" / f"{note.KEY}.json"
    if said.is_file():
        header, told = note.read_note(text_of(said), str(said))
    tasks = {task for row in rows for task in row.tasks}
    task = header.task if header else next(iter(tasks)) if len(tasks) == 1 else None
    yield Dataset(Contents(len(rows), info.keys, told, header, info.fps, task), path, info, rows)


def write(recording: Recording, target: Path, tick: Tick, video: bool = False) -> None:
    """A dataset that LeRobot 0.6 reads; images are exact, or with `video` AV1."""
    from df_policy.data.formats.lerobot_write import DatasetWriter

    DatasetWriter(recording, target, video).write(tick)
