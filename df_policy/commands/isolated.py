"""Work of libraries that may crash, in a process of its own: it costs nothing else.

They do so over damaged files, and one of them over a disk that is full.
"""

from __future__ import annotations

import math
import multiprocessing
import resource
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from multiprocessing.connection import Connection
from pathlib import Path

from rich.console import Console

from df_policy.errors import DfPolicyError
from df_policy.processes import die_with_parent

_GB = 10**9
_DAMAGED = (
    "expected to read {what}, got a crash of the library that reads it ({name}); the file is "
    "damaged, use a copy"
)


def console() -> Console:
    """Where progress is shown."""
    return Console(stderr=True)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Within, this process may compute for so long; beyond, the system ends it.

    A library may go round in circles in a damaged file, deaf to all but the system.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_CPU)
    usage = resource.getrusage(resource.RUSAGE_SELF)
    used = usage.ru_utime + usage.ru_stime
    resource.setrlimit(resource.RLIMIT_CPU, (math.ceil(used + seconds), hard))
    try:
        yield
    finally:
        resource.setrlimit(resource.RLIMIT_CPU, (soft, hard))


def isolated(work: Callable[[], str], memory_gb: float, what: str, crash: str = _DAMAGED) -> str:
    """What `work` returns, done in a child process.

    Args:
        work: reads or writes the file.
        memory_gb: so much the child may use beyond what this process has.
        what: the file, for messages.
        crash: what to say where a library crashes.

    Raises:
        DfPolicyError: if `work` raises it, runs out of memory, or a library crashes.
    """
    if memory_gb <= 0.0:
        raise DfPolicyError(f"expected --memory-gb above 0, got {memory_gb:g}")
    context = multiprocessing.get_context("fork")
    receive, send = context.Pipe(duplex=False)
    child = context.Process(target=_child, args=(work, memory_gb, send))
    child.start()
    send.close()
    try:
        good, text = receive.recv_bytes(1), receive.recv_bytes().decode()
    except EOFError:
        child.join()
        code = child.exitcode or 0
        name = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        if code == -signal.SIGXCPU:
            raise DfPolicyError(
                f"expected to read {what}, got no end of it; the file is damaged, or say a larger "
                "--patience"
            ) from None
        raise DfPolicyError(crash.format(what=what, name=name)) from None
    finally:
        if child.is_alive():
            child.join(5.0)
        if child.is_alive():
            child.terminate()
            child.join()
        receive.close()
    if good == b"-":
        raise DfPolicyError(text)
    return text


def _data_bytes() -> int:
    """What the system counts against RLIMIT_DATA of this process."""
    status = Path("/proc/self/status").read_text()
    return int(status.partition("VmData:")[2].split()[0]) * 1024


def _child(work: Callable[[], str], memory_gb: float, send: Connection) -> None:
    die_with_parent()
    # What the parent already had came along with the fork and is not the file's doing.
    limit = _data_bytes() + int(memory_gb * _GB)
    resource.setrlimit(resource.RLIMIT_DATA, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        answer, text = b"+", work()
    except DfPolicyError as error:
        answer, text = b"-", str(error)
    except MemoryError:
        answer, text = (
            b"-",
            (
                f"expected to need at most {memory_gb:g} GB, got more; the file is damaged, or "
                "say a larger --memory-gb"
            ),
        )
    except KeyboardInterrupt:
        return
    send.send_bytes(answer)
    # The file's own words may stand in it: halves of letters, or commands to the terminal.
    plain = (c if c.isprintable() or c == "\n" else f"\\x{ord(c):02x}" for c in text)
    send.send_bytes("".join(plain).encode())
