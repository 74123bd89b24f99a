"""How long a run has been trained, whatever number of times it was stopped."""

from __future__ import annotations

import time
from pathlib import Path

from df_policy.files import write_text


class Stopwatch:
    """Runs from when it is made, on top of what its file says of earlier parts."""

    def __init__(self, file: Path) -> None:
        """Starts; a file that cannot be read counts for nothing.

        Args:
            file: holds the minutes of the newest lap.
        """
        self._file, self._begin = file, time.monotonic()
        try:
            self._before = float(file.read_text())
        except (OSError, ValueError):
            self._before = 0.0
        self.minutes = self._before
        """Of all parts, at the newest lap."""

    def lap(self) -> None:
        """Take the time, and store it, so that a later part goes on from here."""
        self.minutes = self._before + (time.monotonic() - self._begin) / 60.0
        write_text(self._file, f"{self.minutes}\n")
