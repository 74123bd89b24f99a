"""Says when the machine itself stood still, so that nothing else is blamed for it.

On each core a process of real-time priority sleeps for a millisecond again and again. No load of
ordinary priority delays it: where it wakes late, the core was taken away, as hosts of virtual
machines do, and firmware.
"""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
import time
from types import TracebackType

from df_policy.processes import come_first

NAP_S = 1e-3
LATE_S = 2e-3
"""A nap that took so much longer is a stall."""
_PRIORITY = 60
"""Above that of whatever is watched."""


class Witness:
    """Within, watches the cores that this process may use.

    Afterwards `stalls` has from when to when a core stood still, seconds of this machine's clock.
    Where the user has no right to real-time priority nobody can tell: `knows` is false.
    """

    def __init__(self) -> None:
        self.stalls: list[tuple[float, float]] = []
        self.knows = False

    def __enter__(self) -> Witness:
        self._watchers = [
            subprocess.Popen(
                [sys.executable, "-m", "df_policy.witness", str(core)],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
            )
            for core in sorted(os.sched_getaffinity(0))
        ]
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        at: TracebackType | None,
    ) -> None:
        # The end of its input ends a watcher.
        said = [watcher.communicate()[0] for watcher in self._watchers]
        self.knows = all(said)
        each = (json.loads(one) for one in said if one)
        self.stalls = sorted((first, last) for found in each for first, last in found)

    def stalled_s(self, first_s: float, last_s: float) -> float:
        """How long some core stood still between two times of this machine's clock."""
        total_s, until_s = 0.0, first_s
        for begin_s, end_s in self.stalls:
            begin_s, end_s = max(begin_s, until_s), min(end_s, last_s)
            if end_s > begin_s:
                total_s, until_s = total_s + end_s - begin_s, end_s
        return total_s


def _watch(core: int) -> None:
    """Print the stalls of a core when the input ends."""
    if not come_first(_PRIORITY):
        return
    os.sched_setaffinity(0, {core})
    found, last_s = [], time.time()
    while not select.select([sys.stdin], [], [], 0)[0]:
        time.sleep(NAP_S)
        now_s = time.time()
        if now_s - last_s > NAP_S + LATE_S:
            found.append((last_s + NAP_S, now_s))
        last_s = now_s
    json.dump(found, sys.stdout)


if __name__ == "__main__":
    _watch(int(sys.argv[1]))
