"""The recording live in rerun, or into a file that rerun opens."""

from __future__ import annotations

import queue
import threading
from types import TracebackType
from typing import Any

from df_policy.errors import DfPolicyError
from df_policy.frames import Observation
from df_policy.teleop.status import Status

LIVE = "live"
"""In place of a file: opens rerun's window."""

_MOST_WAITING = 8
_FAREWELL_S = 5.0


class RerunView:
    """Logs every tick in a thread of its own; what it cannot keep up with it leaves out.

    Args:
        target: a file `*.rrd`, or `live`.
    """

    def __init__(self, target: str) -> None:
        try:
            import rerun
        except ImportError as error:
            raise DfPolicyError(
                f"expected rerun-sdk for --rerun, got {error}; pip install 'df_policy[view]'"
            ) from error
        self._rerun: Any = rerun
        self._stream: Any = rerun.RecordingStream("df_policy_record")
        self._waiting: queue.Queue[tuple[Status, Observation] | None] = queue.Queue(_MOST_WAITING)
        try:
            if target == LIVE:
                self._stream.spawn()
            else:
                self._stream.save(target)
        except (OSError, RuntimeError) as error:
            raise DfPolicyError(f"expected to show in rerun ({target}), got {error}") from error
        self._thread = threading.Thread(target=self._log, name="rerun", daemon=True)
        self.left_out = 0
        """Ticks that came too fast."""

    def __enter__(self) -> RerunView:
        """Begin to log."""
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        """Log what waits, and close the file."""
        self._waiting.put(None, timeout=_FAREWELL_S)
        self._thread.join(_FAREWELL_S)
        self._stream.flush()
        self._stream.disconnect()

    def show(self, status: Status, observation: Observation) -> None:
        """Take note."""
        try:
            self._waiting.put_nowait((status, observation))
        except queue.Full:
            self.left_out += 1

    def _log(self) -> None:
        rerun, stream = self._rerun, self._stream
        while (latest := self._waiting.get()) is not None:
            status, seen = latest
            stream.set_time("robot", duration=1e-9 * seen.stamp_ns)
            for name, image in seen.images.items():
                stream.log(f"camera/{name}", rerun.Image(image).compress())
            x, y, z = seen.tool.position_m
            stream.log("tool/position_m", rerun.Scalars([x, y, z]))
            stream.log("tool/gripper_m", rerun.Scalars([seen.gripper_m]))
            stream.log("control", rerun.Scalars([int(status.control)]))
            stream.log("status", rerun.TextLog(status.problem or status.message or "-"))
