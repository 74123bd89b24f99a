"""An MCAP file of all that a node saw and sent, and was asked for, written beside it.

The node only puts things into a queue. If the disk is too slow for them they are left out and
counted, and the node goes on. No file is ever written over.
"""

from __future__ import annotations

import contextlib
import json
import queue
import struct
import threading
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from df_policy.errors import DfPolicyError
from df_policy.ros_nodes import wire
from df_policy.ros_nodes.new_file import NewFile
from df_policy.ros_nodes.planning import Job, Outcome, Recall

RECORDS: dict[str, type] = {
    "planner/job": Job,
    "planner/recall": Recall,
    "planner/outcome": Outcome,
}
"""Topic of what went to the planner and came from it -> the record that its messages hold."""
ENCODING = "df_policy_record"
ABOUT = "df_policy"
"""Name of the metadata that say what was run."""
MOST_WAITING = 1024
"""Messages in the queue."""
CHUNK = 1 << 18
"""Bytes that are written together; so much at most is lost when the node is killed."""
NO_MCAP = "expected the package mcap for logs, got none: pip install df_policy[log]"

EVENTS = "events"
"""Topic of what the node was asked for."""
EVENT_SCHEMA = json.dumps(
    {
        "type": "object",
        "properties": {
            "kind": {"type": "string"},
            "name": {"type": "string"},
            "said": {"type": "string"},
            "done": {"type": "boolean"},
        },
    }
)

Record = Job | Recall | Outcome


@dataclass(frozen=True)
class Event:
    """Somebody called a service, set a parameter, or changed the node's state."""

    kind: str
    """`service`, `parameter` or `state`."""
    name: str
    said: str = ""
    """The service's answer, or the parameter's value."""
    done: bool = True
    """Whether it was done, or refused."""


@dataclass(frozen=True)
class _Entry:
    topic: str
    payload: Any
    """A message of ROS, a record, or an event."""
    log_ns: int


class NodeLog:
    """Writes a log until it is closed.

    Args:
        path: of the file; where there is one already, a number is put after its name. A pipe is
            written to as it is.
        about: what is run, for whoever replays it.

    Raises:
        DfPolicyError: if the package for it is missing, or the disk refuses.
    """

    def __init__(self, path: Path, about: Mapping[str, Any]) -> None:
        try:
            from mcap.writer import Writer
        except ImportError as error:
            raise DfPolicyError(NO_MCAP) from error
        self._file = NewFile(path)
        output: Any = self._file  # all that the writer asks of a file
        self._writer: Any = Writer(output, chunk_size=CHUNK)
        described = {name: json.dumps(value) for name, value in about.items()}
        try:
            self._writer.start(profile="ros2", library="df_policy")
            self._writer.add_metadata(ABOUT, described)
        except OSError as error:
            self._file.close()
            raise DfPolicyError(
                f"expected to write the log {path}, got {error.strerror}; make room on the disk"
            ) from error
        self._channels: dict[str, int] = {}
        self._queue: queue.Queue[_Entry | None] = queue.Queue(MOST_WAITING)
        self.left_out = 0
        self.problem = ""
        """Why nothing is written any more."""
        self._thread = threading.Thread(target=self._work, name="log", daemon=True)
        self._thread.start()

    @property
    def path(self) -> Path:
        """Of the file that is written."""
        return self._file.path

    def add(self, topic: str, payload: Any, log_ns: int) -> None:
        """Take in a message of ROS.

        Args:
            topic: its name.
            payload: the message, which nobody changes any more.
            log_ns: when it came or went, by the node's clock.
        """
        try:
            self._queue.put_nowait(_Entry(topic, payload, log_ns))
        except queue.Full:
            self.left_out += 1

    def record(self, record: Record, log_ns: int) -> None:
        """Take in what goes to the planner or comes from it."""
        topic = next(name for name, kind in RECORDS.items() if type(record) is kind)
        self.add(topic, record, log_ns)

    def event(self, event: Event, log_ns: int) -> None:
        """Take in what somebody asked of the node."""
        self.add(EVENTS, event, log_ns)

    def close(self, timeout_s: float = 10.0) -> None:
        """Write what waits, and end the file.

        Raises:
            DfPolicyError: if not all could be written.
        """
        with contextlib.suppress(queue.Full):
            self._queue.put(None, timeout=timeout_s)
        self._thread.join(timeout_s)
        if self._thread.is_alive() or self.problem:
            raise DfPolicyError(
                f"expected to write the log, got {self.problem or 'a disk that is too slow'}"
            )

    def _work(self) -> None:
        try:
            while (entry := self._queue.get()) is not None:
                if not self.problem:
                    self._write(entry)
            self._writer.finish()
        except (OSError, ValueError) as error:
            self.problem = str(error)
            while self._queue.get() is not None:
                self.left_out += 1
        finally:
            self._file.close()

    def _write(self, entry: _Entry) -> None:
        channel = self._channels.get(entry.topic)
        if channel is None:
            channel = self._channels[entry.topic] = self._open(entry)
        if type(entry.payload) in RECORDS.values():
            data = wire.pack(entry.payload)
        elif isinstance(entry.payload, Event):
            data = json.dumps(asdict(entry.payload)).encode()
        else:
            from rclpy.serialization import serialize_message

            data = serialize_message(entry.payload)
        self._writer.add_message(channel, entry.log_ns, data, entry.log_ns)

    def _open(self, entry: _Entry) -> int:
        """A channel for this topic."""
        kind = type(entry.payload)
        if kind in RECORDS.values():
            schema = self._writer.register_schema(kind.__name__, ENCODING, b"")
            return int(self._writer.register_channel(entry.topic, ENCODING, schema))
        if kind is Event:
            text = EVENT_SCHEMA.encode()
            schema = self._writer.register_schema("df_policy.Event", "jsonschema", text)
            return int(self._writer.register_channel(entry.topic, "json", schema))
        from df_policy.ros_nodes.message_schema import definition, name_of

        text = definition(kind).encode()
        schema = self._writer.register_schema(name_of(kind), "ros2msg", text)
        return int(self._writer.register_channel(entry.topic, "cdr", schema))


def about(path: Path) -> dict[str, Any]:
    """What was run when this log was written.

    Raises:
        DfPolicyError: if the package for it is missing, or this is no log of ours.
    """
    for found in _stream(path):
        if getattr(found, "name", "") == ABOUT:
            return {name: json.loads(value) for name, value in found.metadata.items()}
    raise DfPolicyError(f"expected a log of policy_node in {path}, got one of something else")


def records(path: Path) -> Iterator[Record]:
    """What went to the planner and came from it, in order, as far as the log goes.

    Raises:
        DfPolicyError: if the package for it is missing, or this is no log of ours.
    """
    from mcap.records import Channel, Message

    kinds: dict[int, type] = {}
    for found in _stream(path):
        if isinstance(found, Channel) and found.topic in RECORDS:
            kinds[found.id] = RECORDS[found.topic]
        elif isinstance(found, Message) and found.channel_id in kinds:
            yield wire.unpack(kinds[found.channel_id], found.data)


def events(path: Path) -> Iterator[tuple[float, Event]]:
    """What was asked of the node, each with the seconds since the log began, by its clock.

    Raises:
        DfPolicyError: if the package for it is missing, or this is no log of ours.
    """
    from mcap.records import Channel, Message

    channel, begin_ns = None, None
    for found in _stream(path):
        if isinstance(found, Channel) and found.topic == EVENTS:
            channel = found.id
        elif isinstance(found, Message):
            begin_ns = found.log_time if begin_ns is None else begin_ns
            if found.channel_id == channel:
                yield (found.log_time - begin_ns) * 1e-9, Event(**json.loads(found.data))


def _stream(path: Path) -> Iterator[Any]:
    """All that stands in a file."""
    try:
        from mcap.exceptions import EndOfFile, McapError
        from mcap.stream_reader import StreamReader
    except ImportError as error:
        raise DfPolicyError(NO_MCAP) from error
    try:
        with path.open("rb") as file:
            yield from StreamReader(file).records
    except (EndOfFile, struct.error):
        return  # whoever wrote it was killed, perhaps in the middle of a number
    except (OSError, McapError) as error:
        raise DfPolicyError(f"expected a log in {path}, got something else: {error}") from error
