"""Writing a LeRobot dataset of version 3, one episode at a time."""

from __future__ import annotations

import json
from fractions import Fraction
from pathlib import Path
from typing import Any

import imagecodecs
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

from df_policy.data.episode import Episode
from df_policy.data.formats import lerobot_layout as layout
from df_policy.data.formats import lerobot_stats, note
from df_policy.data.formats.source import Recording, Tick
from df_policy.data.formats.video import CODEC, OPTIONS, PIXELS, VideoWriter
from df_policy.data.schema import image_column
from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec

_MB = 2**20
_EPISODES_A_GROUP = 100


class _DataFiles:
    """The parquet files of the rows: a row group for each episode, a new file when one is full."""

    def __init__(self, root: Path) -> None:
        self._root = root
        self._writer: pq.ParquetWriter | None = None
        self.file = -1

    def append(self, table: pa.Table) -> None:
        """Write one episode."""
        if self._writer is None or self._path.stat().st_size >= layout.DATA_MB * _MB:
            self.close()
            self.file += 1
            self._path.parent.mkdir(parents=True, exist_ok=True)
            self._writer = pq.ParquetWriter(self._path, table.schema, compression="snappy")
        self._writer.write_table(table, row_group_size=max(1, len(table)))

    def close(self) -> None:
        """Write the footer."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None

    @property
    def _path(self) -> Path:
        return self._root / place(layout.DATA_PATH, self.file)


class _Videos:
    """The videos of one camera: a new file when one is full."""

    def __init__(self, root: Path, key: str, rate: Fraction, size: tuple[int, int]) -> None:
        self._root, self._key, self._rate, self._size = root, key, rate, size
        self._writer: VideoWriter | None = None
        self._file = -1

    def append(self, images: NDArray[np.uint8]) -> dict[str, Any]:
        """Write one episode; says where it stands."""
        writer = self._writer
        if writer is None or writer.size >= layout.VIDEO_MB * _MB:
            self.close()
            self._file += 1
            path = place(layout.VIDEO_PATH, self._file, video_key=self._key)
            writer = self._writer = VideoWriter(self._root / path, self._rate, self._size)
        start = writer.frames / self._rate
        writer.append(images)
        return {
            f"videos/{self._key}/chunk_index": self._file // layout.FILES_A_CHUNK,
            f"videos/{self._key}/file_index": self._file % layout.FILES_A_CHUNK,
            f"videos/{self._key}/from_timestamp": float(start),
            f"videos/{self._key}/to_timestamp": float(writer.frames / self._rate),
        }

    def close(self) -> None:
        """End the open file."""
        if self._writer is not None:
            self._writer.close()
        self._writer = None


class DatasetWriter:
    """One dataset being written."""

    def __init__(self, recording: Recording, root: Path, video: bool) -> None:
        """Nothing is written yet.

        Raises:
            DfPolicyError: if the rate is no whole number.
        """
        spec = recording.header.spec
        rate = Fraction(spec.action_rate_hz)
        if rate.denominator != 1:
            raise DfPolicyError(
                f"expected a whole number of actions a second for LeRobot, got "
                f"{spec.action_rate_hz:g}; export to another format"
            )
        self._recording, self._root, self._rate = recording, root, rate
        self._data = _DataFiles(root)
        self._videos = {
            camera: _Videos(root, layout.image_key(camera), rate, size)
            for camera, size in (spec.cameras.items() if video else ())
        }
        self._total = lerobot_stats.Total()
        self._rows: list[dict[str, Any]] = []
        self._episodes: pq.ParquetWriter | None = None
        self._frames = 0

    def write(self, tick: Tick) -> None:
        """All of it."""
        try:
            for index in range(len(self._recording)):
                self._episode(index, self._recording.episode(index))
                tick()
            self._flush()
        finally:
            for closing in (self._data, self._episodes, *self._videos.values()):
                if closing is not None:
                    closing.close()
        self._meta()

    @property
    def _spec(self) -> RobotSpec:
        return self._recording.header.spec

    def _episode(self, index: int, episode: Episode) -> None:
        numbers = layout.numbers(episode, self._spec, index, self._frames)
        images = {c: episode.arrays[image_column(c)] for c in self._spec.cameras}
        table = {key: _column(rows) for key, rows in numbers.items()}
        stats = {k: lerobot_stats.of_numbers(r.reshape(len(r), -1)) for k, r in numbers.items()}
        where: dict[str, Any] = {}
        for camera, rows in images.items():
            key = layout.image_key(camera)
            stats[key] = lerobot_stats.of_images(rows)
            if camera in self._videos:
                where |= self._videos[camera].append(rows)
            else:
                table[key] = _images(rows)
        self._data.append(pa.table(table))
        self._total.add(stats)
        frames = len(numbers["index"])
        self._rows.append(
            {
                "episode_index": index,
                "tasks": [self._recording.header.task],
                "length": frames,
                layout.NOTE: episode.note,
                "data/chunk_index": self._data.file // layout.FILES_A_CHUNK,
                "data/file_index": self._data.file % layout.FILES_A_CHUNK,
                "dataset_from_index": self._frames,
                "dataset_to_index": self._frames + frames,
                **where,
                **{
                    f"stats/{key}/{name}": value
                    for key, values in stats.items()
                    for name, value in lerobot_stats.as_lists(values).items()
                },
                "meta/episodes/chunk_index": 0,
                "meta/episodes/file_index": 0,
            }
        )
        self._frames += frames
        if len(self._rows) >= _EPISODES_A_GROUP:
            self._flush()

    def _flush(self) -> None:
        if not self._rows:
            return
        table = pa.Table.from_pylist(self._rows)
        if self._episodes is None:
            path = self._root / place(layout.EPISODES_PATH, 0)
            path.parent.mkdir(parents=True)
            self._episodes = pq.ParquetWriter(path, table.schema, compression="snappy")
        self._episodes.write_table(table)
        self._rows = []

    def _meta(self) -> None:
        header, meta = self._recording.header, self._root / "meta"
        video = bool(self._videos)
        episodes = len(self._recording)
        info = {
            "codebase_version": layout.VERSION,
            "robot_type": header.spec.name,
            "total_episodes": episodes,
            "total_frames": self._frames,
            "total_tasks": 1,
            "chunks_size": layout.FILES_A_CHUNK,
            "data_files_size_in_mb": layout.DATA_MB,
            "video_files_size_in_mb": layout.VIDEO_MB,
            "fps": int(self._rate),
            "splits": {"train": f"0:{episodes}"},
            "data_path": layout.DATA_PATH,
            "video_path": layout.VIDEO_PATH if video else None,
            "features": layout.features(header.spec, video, _video_info(int(self._rate))),
        }
        (meta / "info.json").write_text(json.dumps(info, indent=4), "utf-8")
        (meta / "stats.json").write_text(json.dumps(self._total.values(), indent=4), "utf-8")
        tasks = pa.table({"task_index": pa.array([0], pa.int64()), "task": [header.task]})
        tasks = tasks.replace_schema_metadata(layout.tasks_metadata())
        pq.write_table(tasks, meta / "tasks.parquet")
        said = note.write_note(header, layout.conventions(header))
        (meta / f"{note.KEY}.json").write_text(said, "utf-8")


def place(template: str, number: int, **names: str) -> str:
    """The path of a file by its number among all."""
    chunk, file = divmod(number, layout.FILES_A_CHUNK)
    return template.format(chunk_index=chunk, file_index=file, **names)


def _column(rows: NDArray[Any]) -> pa.Array:
    if rows.ndim == 1:
        return pa.array(rows)
    flat = pa.array(np.ascontiguousarray(rows).reshape(-1))
    return pa.FixedSizeListArray.from_arrays(flat, rows.shape[1])


def _images(rows: NDArray[np.uint8]) -> pa.Array:
    files = [bytes(imagecodecs.png_encode(np.ascontiguousarray(image), level=1)) for image in rows]
    kind = pa.struct([("bytes", pa.binary()), ("path", pa.string())])
    return pa.array([{"bytes": content, "path": None} for content in files], kind)


def _video_info(rate: int) -> dict[str, Any]:
    return {
        "video.codec": "av1",
        "video.pix_fmt": PIXELS,
        "video.fps": rate,
        "video.channels": 3,
        "video.is_depth_map": False,
        "has_audio": False,
        "video.encoder": CODEC,
        **{f"video.{name}": int(value) for name, value in OPTIONS.items()},
    }
