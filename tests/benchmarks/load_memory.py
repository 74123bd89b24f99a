#!/usr/bin/env python3
"""How much memory decoding and reading take, by the size of the recording.

    python tests/benchmarks/load_memory.py --times 1 8

For each size a process of its own decodes a recording with two cameras of 240x320 and reads
windows of 64 observations from random places, as training does. Prints one JSON object; sizes in
MiB. `own` is the most that the process held of its own while it worked, less what it held before;
`mapped` are pages of the decoded copy that the system keeps for it, and takes back when it likes.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import sys
import tempfile
import threading
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from load_sequences import ours, record

from df_policy.data.cache import load_cache

FRAMES = 128
"""Of an episode; two of them are the smallest recording."""
OBSERVATIONS, SECONDS = 64, 8.0


def held_mib(field: str) -> float:
    """What this process holds, by a field of /proc/self/status."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) / 1024
    raise RuntimeError(f"no {field} in /proc/self/status")


class Peak:
    """The most that was held, looked at every 5 ms."""

    def __init__(self) -> None:
        self._before = held_mib("RssAnon")
        self.own = self.mapped = 0.0
        self._end = threading.Event()
        self._thread = threading.Thread(target=self._look)
        self._thread.start()

    def _look(self) -> None:
        while not self._end.wait(0.005):
            self.own = max(self.own, held_mib("RssAnon") - self._before)
            self.mapped = max(self.mapped, held_mib("RssFile"))

    def stop(self) -> dict[str, float]:
        """The figures."""
        self._end.set()
        self._thread.join()
        return {"own": round(self.own, 1), "mapped": round(self.mapped, 1)}


def _measure(store: str, cache: str, pipe: Connection) -> None:
    load_cache(store, cache).demonstrations()  # what is imported once
    found: dict[str, Any] = {}
    for name in ("decode", "read"):
        peak = Peak()
        if name == "decode":
            load_cache(store, cache + "_anew")
        else:
            data = load_cache(store, cache).demonstrations()
            ours(data, OBSERVATIONS, SECONDS, seed=0, floats=True)
        found[name] = peak.stop()
    pipe.send(found)


def main() -> int:
    """Print the result as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--times", type=int, nargs="+", default=[1, 8])
    chosen = options.parse_args()
    results = {}
    for times in chosen.times:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name)
            record(folder / "a.zarr", 2 * times, FRAMES)
            context = multiprocessing.get_context("spawn")
            mine, theirs = context.Pipe(duplex=False)
            words = (str(folder / "a.zarr"), str(folder / "cache"), theirs)
            process = context.Process(target=_measure, args=words)
            process.start()
            theirs.close()
            decoded = 2 * times * FRAMES * 2 * 240 * 320 * 3 / 2**20
            results[f"{times}x"] = {"decoded": round(decoded), **mine.recv()}
            process.join()
    sys.stdout.write(json.dumps(results, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
