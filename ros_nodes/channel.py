"""The line between the control side and the planner: records over a socket, images in memory.

The socket keeps packets apart and never makes its user wait: what does not fit stays in a queue
here. Images go through memory that both processes see, in as many slots as jobs may wait.
"""

from __future__ import annotations

import contextlib
import mmap
import os
import socket
import sys
import tempfile
from collections import deque
from math import prod
from typing import Any

import numpy as np

from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec
from df_policy.ros_nodes import wire
from df_policy.ros_nodes.planning import MOST_WAITING, Hello, Job, Outcome, Picture, Recall

SLOTS = 2 * MOST_WAITING
"""Those of a session that has just ended may still be in use."""
KINDS: tuple[type, ...] = (Hello, Job, Recall, Outcome, Picture)
PACKET = 1 << 17
"""Bytes; what Linux lets a socket hold unless it is told otherwise is a little more."""


class PlannerGoneError(DfPolicyError):
    """The other end of the line is not there any more."""


def pair() -> tuple[socket.socket, socket.socket]:
    """Both ends of a line that nobody else can reach."""
    return socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)


class Slots:
    """Memory for the images of the jobs that wait, without a name that others could open.

    Args:
        handle: of a file that `make` made.
    """

    def __init__(self, handle: int) -> None:
        self._memory = mmap.mmap(handle, 0)
        self._size = len(self._memory) // SLOTS
        self._begin = self._used = 0

    @staticmethod
    def make(spec: RobotSpec) -> int:
        """A file for the images of this robot: of each job two observations."""
        size = SLOTS * max(1, 2 * sum(3 * prod(shape) for shape in spec.cameras.values()))
        if sys.platform == "linux":
            handle = os.memfd_create("df_policy_images")
        else:
            with tempfile.TemporaryFile() as file:
                handle = os.dup(file.fileno())
        os.ftruncate(handle, size)
        return handle

    def begin(self, slot: int) -> None:
        """The next images go to this slot."""
        self._begin, self._used = slot * self._size, 0

    def place(self, image: np.ndarray) -> int:
        """Copy an image in; see `wire.Place`."""
        at = self._begin + self._used
        self._used += image.nbytes
        if self._used > self._size:
            raise DfPolicyError(f"expected images of {self._size} bytes in all, got more")
        self._memory[at : at + image.nbytes] = image.tobytes()
        return at

    def fetch(self, at: int, shape: tuple[int, ...]) -> np.ndarray:
        """The image as it lies there, not copied; see `wire.Fetch`."""
        return np.frombuffer(self._memory, np.uint8, prod(shape), at).reshape(shape)


class Channel:
    """One end of the line.

    Args:
        end: the socket.
    """

    def __init__(self, end: socket.socket) -> None:
        self._end = end
        self._out: deque[bytes] = deque()
        self.slots: Slots | None = None

    def share(self, spec: RobotSpec) -> None:
        """Make the images' memory and hand it to the other end, before anything else."""
        handle = Slots.make(spec)
        try:
            socket.send_fds(self._end, [b"slots"], [handle])
            self.slots = Slots(handle)
        finally:
            os.close(handle)

    def pack(self, record: Any, slot: int | None = None) -> bytes:
        """A packet; with a slot its images lie there."""
        place = None
        if slot is not None and self.slots is not None:
            self.slots.begin(slot)
            place = self.slots.place
        packet = bytes([KINDS.index(type(record))]) + wire.pack(record, place)
        if len(packet) > PACKET:
            raise DfPolicyError(f"expected messages of up to {PACKET} bytes, got {len(packet)}")
        return packet

    def send(self, packet: bytes) -> None:
        """Send it as soon as there is room."""
        self._out.append(packet)
        self.flush()

    def flush(self) -> None:
        """Send what waits, as far as there is room.

        Raises:
            PlannerGoneError: if nobody is there any more.
        """
        try:
            while self._out:
                self._end.send(self._out[0], socket.MSG_DONTWAIT)
                self._out.popleft()
        except BlockingIOError:
            return
        except OSError as error:
            raise PlannerGoneError(f"the planner's line is cut: {error}") from error

    def send_all(self, record: Any) -> None:
        """Send it, however long that takes: for the planner's end."""
        try:
            self._end.sendall(self.pack(record))
        except OSError as error:
            raise PlannerGoneError(f"the control side is gone: {error}") from error

    def offer(self, record: Any) -> None:
        """Send it if there is room for it at once, and forget it if not."""
        try:
            self._end.send(self.pack(record), socket.MSG_DONTWAIT)
        except BlockingIOError:
            return
        except OSError as error:
            raise PlannerGoneError(f"the control side is gone: {error}") from error

    def receive(self, *, wait: bool) -> Any | None:
        """The next record, None if there is none yet.

        Raises:
            PlannerGoneError: if nobody is there any more.
            DfPolicyError: if what came is no record.
        """
        try:
            # Not `recv_fds`: in Python 3.11 it knows no flags.
            packet, extra, _, _ = self._end.recvmsg(
                PACKET + 1, socket.CMSG_LEN(4), 0 if wait else socket.MSG_DONTWAIT
            )
        except BlockingIOError:
            return None
        except OSError as error:
            raise PlannerGoneError(f"the planner's line is cut: {error}") from error
        if not packet:
            raise PlannerGoneError("the planner's line was closed")
        for handle in (int.from_bytes(data[:4], sys.byteorder) for _, _, data in extra):
            self.slots = Slots(handle)
            os.close(handle)
        if packet == b"slots":
            return self.receive(wait=wait)
        if packet[0] >= len(KINDS):
            raise DfPolicyError(f"expected a record, got one of kind {packet[0]}")
        fetch = None if self.slots is None else self.slots.fetch
        return wire.unpack(KINDS[packet[0]], packet[1:], fetch)

    def close(self) -> None:
        """Hang up: the other end is told."""
        with contextlib.suppress(OSError):
            self._end.shutdown(socket.SHUT_RDWR)
        self._end.close()
