#!/usr/bin/env python3
"""Kill a recorder at random moments: `python tests/benchmarks/kill_recorder.py --kills 200`.

A process records small episodes as fast as it can and reports each that `keep` has returned from.
It gets SIGKILL at a random moment, and the next one goes on with the same store. After each kill
the store must open, hold every reported episode as it was recorded, and at most one more: that
whose `keep` had done all but return.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

import numpy as np
from rich.console import Console
from tiny_world import SPEC, TinyOperator, TinyWorld

from df_policy.data.episode import stack
from df_policy.data.reader import EpisodeStore
from df_policy.data.verify import verify
from df_policy.data.writer import EpisodeWriter
from df_policy.teleop.recorder import run_episode
from df_policy.teleop.workers import record_one

_SAY = Console(stderr=True, soft_wrap=True, highlight=False)
KILLS_A_STORE = 20
"""Then a new one is begun, so that looking at all of it stays cheap."""
START_S = 120.0


@dataclass
class Result:
    """What the kills cost."""

    kills: int = 0
    inside_keep: int = 0
    """Kills between the first and the last write of an episode."""
    kept: int = 0
    """Episodes that `keep` returned from."""
    lost: int = 0
    """Of those, not in the store afterwards, or not as they were recorded."""
    unreported: int = 0
    """Episodes in the store whose `keep` had not returned yet."""
    not_opened: int = 0
    faults: int = 0
    """What `verify` found in the end."""

    @property
    def good(self) -> bool:
        """Whether episodes were kept, and nothing was lost but open ones."""
        return (
            self.kept > 0
            and self.lost == self.not_opened == self.faults == 0
            and self.unreported <= self.kills
        )


class _Sink:
    """The writer, telling what it does."""

    def __init__(self, writer: EpisodeWriter, pipe: Connection, keeping: Any) -> None:
        self._writer, self._pipe, self._keeping = writer, pipe, keeping
        self.append, self.drop = writer.append, writer.drop

    def keep(self, seed: int, success: bool, note: str = "") -> None:
        self._keeping.value = 1
        self._writer.keep(seed, success, note=f"episode of seed {seed}")
        self._keeping.value = 0
        self._pipe.send(seed)


def _record(path: str, pipe: Connection, keeping: Any) -> None:
    world = TinyWorld()
    with EpisodeWriter.open(path, SPEC, "tiny", "kills") as writer:
        pipe.send(None)
        for seed in range(writer.next_seed, 2**31):
            run_episode(world, TinyOperator(world), seed, _Sink(writer, pipe, keeping))


def _expected(seed: int) -> dict[str, Any]:
    world = TinyWorld()
    return stack(record_one((world, TinyOperator(world)), seed).frames, SPEC)


def _as_recorded(store: EpisodeStore, index: int) -> bool:
    episode = store.episode(index)  # proves the checksums
    rows = _expected(episode.seed)
    same = (np.array_equal(episode.arrays[name], rows[name]) for name in rows if _repeats(name))
    return all(same) and episode.note == f"episode of seed {episode.seed}"


def _repeats(column: str) -> bool:
    """Whether it holds no wall clock."""
    return column not in ("received_ns", "arrivals")


def _drain(pipe: Connection) -> list[int]:
    seeds = []
    try:
        while pipe.poll():
            seeds.append(pipe.recv())
    except EOFError:
        pass
    return [seed for seed in seeds if seed is not None]


def _one_life(
    context: Any, path: Path, moments: random.Random, longest_s: float
) -> tuple[list[int], bool]:
    """Record until killed; returns the reported seeds, and whether it was within a keep."""
    ours, theirs = context.Pipe(duplex=False)
    keeping = context.Value("b", 0, lock=False)
    process = context.Process(target=_record, args=(str(path), theirs, keeping), daemon=True)
    process.start()
    theirs.close()
    if moments.random() < 0.9:  # else anywhere, in the opening too
        ours.poll(START_S)
    time.sleep(moments.uniform(0.0, longest_s))
    process.kill()
    process.join()
    return _drain(ours), bool(keeping.value)


def run(kills: int, seed: int, longest_s: float, folder: Path, talk: bool = False) -> Result:
    """Kill so many recorders below `folder`.

    Args:
        kills: how many.
        seed: of the moments.
        longest_s: a recorder lives at most so long once it records.
        folder: an empty one.
        talk: print a line now and then.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__ if __name__ != "__main__" else "kill_recorder"])
    moments, result = random.Random(seed), Result()
    reported: set[int] = set()
    checked = 0
    for kill in range(kills):
        path = folder / f"{kill // KILLS_A_STORE}.zarr"
        if kill % KILLS_A_STORE == 0:
            reported, checked = set(), 0
        seeds, inside = _one_life(context, path, moments, longest_s)
        reported |= set(seeds)
        result.kills, result.inside_keep = kill + 1, result.inside_keep + inside
        result.kept += len(seeds)
        if path.exists():
            checked, more = _check(path, reported, checked, result)
            reported |= more
        last = kill % KILLS_A_STORE == KILLS_A_STORE - 1 or kill == kills - 1
        if last and path.exists():
            result.faults += len(verify(path).findings)
            shutil.rmtree(path)
        if talk:
            _SAY.print(f"{kill + 1} of {kills}: {asdict(result)}")
    return result


def _check(path: Path, reported: set[int], checked: int, result: Result) -> tuple[int, set[int]]:
    """Look at the episodes from `checked` on; returns how many there are, and the unreported."""
    try:
        store = EpisodeStore.open(path)
    except Exception as error:
        result.not_opened += 1
        _SAY.print(f"does not open: {error}")
        return checked, set()
    there = set(store.seeds.tolist())
    result.lost += len(reported - there)
    result.unreported += len(there - reported)
    for index in range(checked, len(store)):
        if not _as_recorded(store, index):
            result.lost += 1
    return len(store), there - reported


def main() -> int:
    """Print the result as JSON; exit code 1 if anything but open episodes was lost."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--longest-s", type=float, default=1.0)
    options.add_argument(
        "--folder", type=Path, help="where to record; a temporary one if left out"
    )
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory(dir=chosen.folder) as folder:
        result = run(chosen.kills, chosen.seed, chosen.longest_s, Path(folder), talk=True)
    sys.stdout.write(json.dumps(asdict(result) | {"good": result.good}) + "\n")
    return 0 if result.good else 1


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parent))
    raise SystemExit(main())
