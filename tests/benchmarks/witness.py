"""Says when the machine itself stood still, so that nothing else is blamed for it.

On each core a process of real-time priority sleeps for a millisecond again and again. No load of
ordinary priority delays it: where it wakes late, the core was taken away, as hosts of virtual
machines do. `python tests/benchmarks/witness.py --seconds 60` says how good a machine is.
"""

from __future__ import annotations

import argparse
import json
import os
import select
import subprocess
import sys
import time
from pathlib import Path
from types import TracebackType

NAP_S = 1e-3
LATE_S = 2e-3
"""A nap that took so much longer is a stall."""
_MARGIN_S = 1e-3


class Witness:
    """Within, watches the cores that this process may use.

    Afterwards `stalls` has from when to when [s of `time.monotonic`] a core stood still. Without
    the right to real-time priority there is nobody to ask, and it stays empty.
    """

    def __init__(self) -> None:
        self.stalls: list[tuple[float, float]] = []

    def __enter__(self) -> Witness:
        self._watchers = [
            subprocess.Popen(
                [sys.executable, str(Path(__file__).resolve()), "--core", str(core)],
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
        for watcher in self._watchers:
            said, _ = watcher.communicate()  # the end of its input ends it
            self.stalls += [(first, last) for first, last in json.loads(said or b"[]")]
        self.stalls.sort()

    def blames(self, first_s: float, last_s: float) -> bool:
        """Whether a core stood still at some time from `first_s` to `last_s`."""
        return any(a <= last_s + _MARGIN_S and b >= first_s - _MARGIN_S for a, b in self.stalls)

    def summary(self) -> dict[str, float]:
        """How often, and the longest [ms]."""
        lengths = [b - a for a, b in self.stalls]
        return {"stalls": len(lengths), "longest_ms": 1e3 * max(lengths, default=0.0)}


def _watch(core: int) -> None:
    """Print the stalls of a core when the input ends."""
    os.sched_setaffinity(0, {core})
    try:
        os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(50))
    except PermissionError:
        sys.stderr.write("no right to real-time priority (ulimit -r): stalls are not told\n")
        return
    found, last_s = [], time.monotonic()
    while not select.select([sys.stdin], [], [], 0)[0]:
        time.sleep(NAP_S)
        now_s = time.monotonic()
        if now_s - last_s > NAP_S + LATE_S:
            found.append((last_s, now_s))
        last_s = now_s
    json.dump(found, sys.stdout)


def main() -> int:
    """Print what a machine did by itself."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--seconds", type=float, default=60.0)
    options.add_argument("--core", type=int, help=argparse.SUPPRESS)
    chosen = options.parse_args()
    if chosen.core is not None:
        _watch(chosen.core)
        return 0
    with Witness() as witness:
        time.sleep(chosen.seconds)
    sys.stdout.write(json.dumps({"seconds": chosen.seconds} | witness.summary()) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
