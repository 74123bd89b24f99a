"""A file that is written from its beginning, and never over another one."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from df_policy.errors import DfPolicyError
from df_policy.files import check_writable

_MOST = 10_000
"""Files of one name in a folder."""


class NewFile:
    """Written straight to the system: nothing waits in this process for a disk to take it.

    Args:
        path: of the file. Where there is one, `-2`, `-3` and so on is put after its name. What is
            no ordinary file, such as a pipe, has nothing that could be lost and is written to.

    Raises:
        DfPolicyError: if it cannot be written.
    """

    def __init__(self, path: Path) -> None:
        special = path.exists() and not path.is_dir() and not path.is_file()
        if not special:
            check_writable(path)
        try:
            self.path, self._file = (path, _open_special(path)) if special else _open_new(path)
        except OSError as error:
            raise DfPolicyError(
                f"expected to write {path}, got {error.strerror or error}; choose another place"
            ) from error
        self._written = 0

    def write(self, data: bytes) -> int:
        """Write all of it, however long that takes.

        Raises:
            OSError: if the disk refuses.
        """
        left = memoryview(data)
        while left:
            left = left[os.write(self._file, left) :]
        self._written += len(data)
        return len(data)

    def tell(self) -> int:
        """Bytes written so far, which a pipe would not know."""
        return self._written

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        """No more is written."""
        with contextlib.suppress(OSError):
            os.close(self._file)


def _open_new(path: Path) -> tuple[Path, int]:
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC
    for number in range(1, _MOST):
        name = path if number == 1 else path.with_name(f"{path.stem}-{number}{path.suffix}")
        with contextlib.suppress(FileExistsError):
            return name, os.open(name, flags, 0o666)
    raise DfPolicyError(f"expected fewer than {_MOST} files like {path}: move some elsewhere")


def _open_special(path: Path) -> int:
    """A pipe that nobody reads is refused, where an ordinary open would wait for a reader."""
    opened = os.open(path, os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
    os.set_blocking(opened, True)
    return opened
