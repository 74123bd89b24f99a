"""The parquet and JSON tables of LeRobot datasets."""

from __future__ import annotations

import json
from collections.abc import Collection, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq
from numpy.typing import NDArray

from df_policy.data.formats.hdf5 import decoded
from df_policy.data.formats.lerobot_layout import NOTE
from df_policy.data.formats.source import MOST_EPISODES, Kind
from df_policy.errors import DfPolicyError


@dataclass(frozen=True)
class Row:
    """Where one episode stands."""

    episode: int
    length: int
    tasks: tuple[str, ...]
    data: tuple[int, int] = (0, 0)
    """Chunk and file; version 2 has a file for each episode."""
    videos: dict[str, tuple[int, int, float]] = field(default_factory=dict)
    """Key -> chunk, file, and the time in it [s] at which the episode begins."""
    note: str = ""


def rows_of_v3(meta: Path, videos: Iterable[str]) -> list[Row]:
    """The episodes of a dataset of version 3.

    Raises:
        DfPolicyError: if the table is damaged.
    """
    names = ["episode_index", "length", "tasks", "data/chunk_index", "data/file_index"]
    for key in videos:
        names += [f"videos/{key}/{n}" for n in ("chunk_index", "file_index", "from_timestamp")]
    found: list[Row] = []
    for path in sorted((meta / "episodes").glob("chunk-*/file-*.parquet")):
        with pq.ParquetFile(path) as file:
            if file.metadata.num_rows + len(found) > MOST_EPISODES:
                raise DfPolicyError(f"expected at most {MOST_EPISODES} episodes in {meta}")
            noted = [NOTE] if NOTE in file.schema_arrow.names else []
            for batch in file.iter_batches(columns=[*names, *noted]):
                found += [_row_v3(values, videos) for values in batch.to_pylist()]
    return _in_order(found, meta)


def _row_v3(values: dict[str, Any], videos: Iterable[str]) -> Row:
    return Row(
        int(values["episode_index"]),
        int(values["length"]),
        tuple(str(task) for task in values["tasks"]),
        (int(values["data/chunk_index"]), int(values["data/file_index"])),
        {
            key: (
                int(values[f"videos/{key}/chunk_index"]),
                int(values[f"videos/{key}/file_index"]),
                float(values[f"videos/{key}/from_timestamp"]),
            )
            for key in videos
        },
        str(values.get(NOTE) or ""),
    )


def rows_of_v2(text: str) -> list[Row]:
    """The episodes of a dataset of version 2, from its lines of JSON.

    Raises:
        DfPolicyError: if they are damaged.
    """
    found = []
    for line in text.splitlines():
        if line.strip():
            values = json.loads(line)
            tasks = tuple(str(task) for task in values["tasks"])
            found.append(Row(int(values["episode_index"]), int(values["length"]), tasks))
    return _in_order(found, Path("meta/episodes.jsonl"))


def _in_order(found: list[Row], where: Path) -> list[Row]:
    if [row.episode for row in found] != list(range(len(found))):
        raise DfPolicyError(f"expected episodes 0 to {len(found) - 1} in {where}, got others")
    return found


def read_rows(path: Path, keys: Collection[str], row: Row) -> pa.Table:
    """The rows of one episode.

    Raises:
        DfPolicyError: if they are not as many as the table of episodes says.
    """
    columns = sorted({*keys, "episode_index"})
    parts = []
    with pq.ParquetFile(path, memory_map=True) as file:
        missing = [name for name in columns if name not in file.schema_arrow.names]
        if missing:
            raise DfPolicyError(f"expected the columns {', '.join(missing)} in {path}, got none")
        for group in range(file.num_row_groups):
            if _may_hold(file, group, row.episode):
                table = file.read_row_group(group, columns=columns)
                mine = pc.equal(table["episode_index"], row.episode)
                parts.append(table.filter(mine))
    table = pa.concat_tables(parts) if parts else None
    if table is None or len(table) != row.length:
        got = 0 if table is None else len(table)
        raise DfPolicyError(
            f"expected {row.length} rows of episode {row.episode} in {path}, got {got}; "
            "leave this episode out"
        )
    return table


def _may_hold(file: Any, group: int, episode: int) -> bool:
    """Whether a row group can have rows of the episode, by its statistics."""
    metadata = file.metadata.row_group(group)
    for number in range(metadata.num_columns):
        described = metadata.column(number)
        if described.path_in_schema == "episode_index":
            stats = described.statistics
            if stats is None or not stats.has_min_max:
                return True
            return bool(stats.min <= episode <= stats.max)
    return True


def column_rows(table: pa.Table, key: str, kind: Kind, picture: bool, where: str) -> NDArray[Any]:
    """One column as an array of (frames, *kind.shape).

    Raises:
        DfPolicyError: if a value is missing or a row has another width.
    """
    column = table[key].combine_chunks()
    if picture:
        size = (kind.shape[0], kind.shape[1])
        images = np.empty((len(column), *size, 3), np.uint8)
        for index in range(len(column)):
            content = column[index].as_py() or {}
            if not isinstance(content, dict) or not content.get("bytes"):
                raise DfPolicyError(f"expected {key} in row {index} of {where}, got no image")
            images[index] = decoded(content["bytes"], size, f"{key} in row {index} of {where}")
        return images
    flat, frames = column, len(column)
    while pa.types.is_list(flat.type) or pa.types.is_fixed_size_list(flat.type):
        flat = flat.flatten()
    width = int(np.prod(kind.shape))
    if column.null_count or flat.null_count or len(flat) != frames * width:
        raise DfPolicyError(
            f"expected {width} numbers of {key} in each row of {where}, got {len(flat)} in "
            f"{frames} rows; leave this episode out"
        )
    rows = flat.to_numpy(zero_copy_only=False)
    if rows.dtype.kind not in "biuf":
        raise DfPolicyError(f"expected numbers in {key} of {where}, got {rows.dtype}")
    return np.asarray(rows).reshape(frames, *kind.shape)
