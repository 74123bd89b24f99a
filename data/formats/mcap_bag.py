"""ROS 2 bags in MCAP: a folder with a file for each episode, on the topics of our nodes.

Bags of others are streams and no table of frames: ticks are laid over them at the rate that is
asked for, and each takes the newest message not after it, as recorder and policy do.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import IO, Any

from mcap.reader import SeekingReader
from mcap_ros2.decoder import DecoderFactory

from df_policy.data.formats import note, ros_messages
from df_policy.data.formats.conventions import Conventions, Field
from df_policy.data.formats.mcap_streams import Streams, Topic, sampled, table
from df_policy.data.formats.mcap_write import ORIGIN, REMARK, SEED, SUCCESS, write_episode
from df_policy.data.formats.source import (
    LARGEST_EPISODE_BYTES,
    LARGEST_PIECE_BYTES,
    MOST_EPISODES,
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
from df_policy.errors import DfPolicyError

LOST: tuple[str, ...] = ("the sixth to seventh digit of rotations: actions go as quaternions",)

_MAGIC = b"\x89MCAP0\r\n"


def _files(path: Path) -> list[Path]:
    """Bags below `path`, in the order of the numbers in their names."""
    if path.is_file():
        return [path]
    found = [*path.glob("*.mcap"), *path.glob("*/*.mcap")]

    def order(place: Path) -> list[Any]:
        parts = re.split(r"(\d+)", place.relative_to(path).as_posix())
        return [(int(part), "") if part.isdigit() else (-1, part) for part in parts]

    return sorted(found, key=order)


def recognises(path: Path) -> bool:
    """Whether there are bags in MCAP."""
    files = _files(path)
    if not files:
        return False
    with files[0].open("rb") as file:
        return file.read(len(_MAGIC)) == _MAGIC


@dataclass(frozen=True)
class Bags:
    """The bags of a folder."""

    contents: Contents
    files: list[Path]
    topics: Mapping[str, Topic]
    ours: bool = field(default=False)

    def read(self, index: int, wanted: Wanted) -> Raw:
        """One episode."""
        path = self.files[index]
        asked = {topic_of(key, self.topics) for key in wanted.keys} - {""}
        with damaged(path), path.open("rb") as file:
            reader = _reader(file)
            said = _metadata(reader)
            streams = Streams({name: self.topics[name] for name in asked}, str(path))
            size = 0
            for decoded in reader.iter_decoded_messages(topics=asked, log_time_order=False):
                size += len(decoded.message.data)
                if size > LARGEST_EPISODE_BYTES:
                    raise DfPolicyError(
                        f"expected at most {LARGEST_EPISODE_BYTES} bytes in {path}"
                    )
                streams.add(
                    decoded.channel.topic, decoded.message.log_time, decoded.decoded_message
                )
            if self.ours:
                rows = table(streams, wanted, int(said[ORIGIN]))
            else:
                rows = sampled(streams, wanted)
            frames = max(len(values) for values in rows.values())
            check_size({key: self.contents.keys[key] for key in wanted.keys}, frames, str(path))
            success, seed = said.get(SUCCESS), said.get(SEED)
            return Raw(
                rows,
                None if success is None else success == "true",
                None if seed is None else int(seed),
                said.get(REMARK, ""),
            )


def topic_of(key: str, topics: Iterable[str]) -> str:
    """The topic that a key belongs to; nothing for what belongs to all."""
    own = [name for name in topics if key == name or key.startswith(f"{name}.")]
    return max(own, key=len, default="")


def _reader(file: IO[bytes]) -> SeekingReader:
    return SeekingReader(
        file,
        validate_crcs=True,
        decoder_factories=[DecoderFactory()],
        record_size_limit=LARGEST_PIECE_BYTES,
    )


def _metadata(reader: SeekingReader) -> dict[str, str]:
    for record in reader.iter_metadata():
        if record.name == note.KEY:
            return dict(record.metadata)
    return {}


@contextmanager
def open_source(path: Path) -> Iterator[Bags]:
    """Look at a bag or a folder of bags, an episode each.

    Raises:
        DfPolicyError: if they are damaged, or there is none.
    """
    files = _files(path)
    if not 1 <= len(files) <= MOST_EPISODES:
        raise DfPolicyError(f"expected bags (*.mcap) in {path}, got {len(files)}")
    with damaged(files[0]), files[0].open("rb") as file:
        reader = _reader(file)
        said = _metadata(reader)
        topics, keys = _look(reader)
    header, told = None, Conventions(action_row="after", colour="rgb")
    if "note" in said:
        header, told = note.read_note(said["note"], str(files[0]))
    else:
        fields = {"stamp": Field("tick", "ns"), "received": Field("received", "ns")}
        told = replace(told, fields=fields)
        keys |= {"tick": Kind((), "int64"), "received": Kind((), "int64")}
    rate = None if header is None else header.spec.action_rate_hz
    task = None if header is None else header.task
    contents = Contents(len(files), keys, told, header, rate, task)
    yield Bags(contents, files, topics, header is not None)


def _look(reader: SeekingReader) -> tuple[dict[str, Topic], dict[str, Kind]]:
    """Topics and what the first message of each holds."""
    summary = reader.get_summary()
    if summary is None:
        raise DfPolicyError(
            "the bag has no summary: it was not closed; `ros2 bag reindex` mends it"
        )
    topics: dict[str, Topic] = {}
    keys: dict[str, Kind] = {}
    for name in sorted({channel.topic for channel in summary.channels.values()}):
        schemas = [summary.schemas.get(c.schema_id) for c in summary.channels.values()]
        if all(schema is None or schema.encoding != "ros2msg" for schema in schemas):
            continue
        message = next(
            (m.decoded_message for m in reader.iter_decoded_messages(topics=[name])), None
        )
        if message is None or len(keys) > MOST_KEYS:
            continue
        topics[name] = Topic(name, ros_messages.names_of(message))
        keys |= _keys(name, message, topics[name].joints)
    return topics, keys


def _keys(topic: str, message: Any, joints: tuple[str, ...]) -> dict[str, Kind]:
    keys = {f"{topic}.log": Kind((), "int64"), f"{topic}.stamp": Kind((), "int64")}
    if ros_messages.is_image(message):
        shape = ros_messages.picture(message, topic).shape
        return keys | {topic: Kind(shape, "uint8")}
    for path, values in ros_messages.numbers(message, joints, topic).items():
        called = joints if len(joints) == len(values) else ()
        keys[topic + path] = Kind(values.shape, values.dtype.name, called)
    return keys


def write(recording: Recording, target: Path, tick: Tick) -> None:
    """A bag for each episode; `ros2 bag play` and Foxglove take each as it is."""
    target.mkdir()
    for index in range(len(recording)):
        episode = recording.episode(index)
        write_episode(target / f"episode_{index:06d}.mcap", recording.header, episode)
        tick()
