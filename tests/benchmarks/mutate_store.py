#!/usr/bin/env python3
"""Damage recordings in every way and read them: `python tests/benchmarks/mutate_store.py`.

Each mutation is given to `verify` and to what training reads with. Allowed are a DfPolicyError, a
report of faults, or, where the mutation does no harm, the data as they were recorded. Anything
else counts: another exception, a crash, other data without a word, a file outside of the target,
memory or time without bound.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import random
import resource
import shutil
import signal
import sys
import tempfile
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict, dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

import numpy as np
import zarr
from rich.console import Console
from tiny_world import SPEC, frames

from df_policy.data.cache import Episodes, load_cache
from df_policy.data.verify import verify
from df_policy.data.writer import EpisodeWriter
from df_policy.errors import DfPolicyError

_SAY = Console(stderr=True, soft_wrap=True, highlight=False)
EPISODES, FRAMES = 3, 20
MOST_SECONDS = 120
MOST_MEMORY_MIB = 400
"""Above what the process has after reading the whole store."""

Mutation = Callable[[Path, random.Random], None]

HOSTILE: tuple[Any, ...] = (
    -1, 0, 1, 2**31, 2**62, 2**64, -(2**70), 1e308, float("nan"), "", "../../../escape",
    "/tmp/escape", "a\x00b", "x" * 100_000, None, True, [], {}, [10**12], [10**12] * 4, [[]],
    {"name": "../../x"}, {"name": "gzip", "configuration": {"level": 5}}, "float64", "object",
)  # fmt: skip


def make(path: Path) -> None:
    """The recording that is damaged."""
    with EpisodeWriter.open(path, SPEC, "tiny", "mutations") as writer:
        for seed in range(EPISODES):
            for frame in frames(seed, FRAMES):
                writer.append(frame)
            writer.keep(seed, note=f"note {seed}")


def _files(path: Path, name: str = "*") -> list[Path]:
    return sorted(file for file in path.rglob(name) if file.is_file())


def _data_files(path: Path) -> list[Path]:
    return [file for file in _files(path) if file.name != "zarr.json"]


def flip_bits(path: Path, rng: random.Random) -> None:
    file = rng.choice(_files(path))
    content = bytearray(file.read_bytes())
    for _ in range(rng.choice((1, 1, 1, 8, 64))):
        content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def flip_data_bits(path: Path, rng: random.Random) -> None:
    file = rng.choice(_data_files(path))
    content = bytearray(file.read_bytes())
    content[rng.randrange(len(content))] ^= 1 << rng.randrange(8)
    file.write_bytes(content)


def truncate(path: Path, rng: random.Random) -> None:
    file = rng.choice(_files(path))
    file.write_bytes(file.read_bytes()[: rng.randrange(file.stat().st_size)])


def grow(path: Path, rng: random.Random) -> None:
    file = rng.choice(_files(path))
    file.write_bytes(file.read_bytes() + rng.randbytes(rng.choice((1, 100, 1_000_000))))


def overwrite(path: Path, rng: random.Random) -> None:
    file = rng.choice(_files(path))
    file.write_bytes(rng.randbytes(rng.randrange(1, 2_000)))


def blank(path: Path, rng: random.Random) -> None:
    file = rng.choice(_data_files(path))
    content = bytearray(file.read_bytes())
    start = rng.randrange(len(content))
    stop = min(len(content), start + rng.choice((4, 64, 4096)))
    content[start:stop] = bytes(stop - start)
    file.write_bytes(content)


def delete(path: Path, rng: random.Random) -> None:
    rng.choice(_files(path)).unlink()


def delete_folder(path: Path, rng: random.Random) -> None:
    folders = sorted(folder for folder in path.rglob("*") if folder.is_dir())
    shutil.rmtree(rng.choice(folders))


def swap(path: Path, rng: random.Random) -> None:
    one, other = rng.sample(_files(path), 2)
    held = one.read_bytes()
    one.write_bytes(other.read_bytes())
    other.write_bytes(held)


def link(path: Path, rng: random.Random) -> None:
    file = rng.choice(_files(path))
    file.unlink()
    file.symlink_to(rng.choice(("/dev/zero", "/etc/passwd", "../../../../outside", str(file))))


def link_folder(path: Path, rng: random.Random) -> None:
    folder = rng.choice(sorted(folder for folder in path.rglob("c") if folder.is_dir()))
    shutil.rmtree(folder)
    folder.symlink_to(path.parent.parent / "outside")


def pipe(path: Path, rng: random.Random) -> None:
    file = rng.choice(_files(path))
    file.unlink()
    os.mkfifo(file)


def folder_for_file(path: Path, rng: random.Random) -> None:
    file = rng.choice(_files(path))
    file.unlink()
    file.mkdir()


def _places(node: Any, place: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    inner = node.items() if isinstance(node, dict) else enumerate(node)
    for key, value in inner:
        yield (*place, key)
        if isinstance(value, dict | list):
            yield from _places(value, (*place, key))


def _edit(file: Path, change: Callable[[Any], None]) -> None:
    node = json.loads(file.read_text())
    change(node)
    file.write_text(json.dumps(node))


def metadata(path: Path, rng: random.Random) -> None:
    """Any value of any metadata becomes something hostile."""
    file = rng.choice(_files(path, "zarr.json"))

    def change(node: Any) -> None:
        *way, last = rng.choice(list(_places(node)))
        for key in way:
            node = node[key]
        if rng.random() < 0.2:
            del node[last]
        else:
            node[last] = rng.choice(HOSTILE)

    _edit(file, change)


def robot(path: Path, rng: random.Random) -> None:
    """The attributes that a recording is described by."""
    names = ("../../../escape", "/tmp/escape", "..", "a/b", "", "x" * 300, "wrist\x00")
    sizes = ([10**9, 10**9], [0, 0], [-1, 5], [16000, 16000], [1.5, 2], "ab", [6, 8, 3])

    def change(node: Any) -> None:
        described = node["attributes"]["robot"]
        kind = rng.randrange(5)
        if kind == 0:
            described["cameras"][rng.choice(names)] = described["cameras"].pop("wrist")
        elif kind == 1:
            described["cameras"]["front"] = rng.choice(sizes)
        elif kind == 2:
            described["joint_names"] = rng.choice((["x"] * 10**6, [], ["a"], "ab", 5))
        elif kind == 3:
            described[rng.choice(list(described))] = rng.choice(HOSTILE)
        else:
            described["action_rate_hz"] = rng.choice((0, -1, 1e-300, 1e300, "10", None))

    _edit(path / "zarr.json", change)


def huge_shape(path: Path, rng: random.Random) -> None:
    """A length, and perhaps chunks, without end; sometimes of all arrays alike."""
    files = [file for file in _files(path, "zarr.json") if "shape" in json.loads(file.read_text())]
    length = rng.choice((10**6, 10**12, 2**62))
    chosen = files if rng.random() < 0.3 else [rng.choice(files)]
    chunks = rng.random() < 0.5

    def change(node: Any) -> None:
        node["shape"][0] = length
        if chunks:
            node["chunk_grid"]["configuration"]["chunk_shape"][0] = length

    for file in chosen:
        _edit(file, change)


def wrong_type(path: Path, rng: random.Random) -> None:
    files = [file for file in _files(path, "zarr.json") if "shape" in json.loads(file.read_text())]
    kinds = ("float64", "int8", "uint8", "bool", "complex128", "string", "r8192", "int64")
    _edit(rng.choice(files), lambda node: node.update(data_type=rng.choice(kinds)))


def wrong_numbers(path: Path, rng: random.Random) -> None:
    """Well encoded rows that are not those recorded."""
    group = zarr.open_group(path, mode="r+")
    names = [f"data/{name}" for name in group["data"]] + [f"meta/{n}" for n in group["meta"]]
    stored: Any = group[rng.choice(sorted(names))]
    rows = np.asarray(stored[:])
    flat = rows.reshape(-1)
    kinds: dict[str, tuple[Any, ...]] = {
        "f": (np.nan, np.inf, 1e30, 0.25),
        "i": (-1, 0, 2**62, -(2**63), 7),
        "u": (0, 255, 17),
        "b": (True, False),
    }
    flat[rng.randrange(len(flat))] = rng.choice(kinds[rows.dtype.kind])
    stored[:] = rows


MUTATIONS: tuple[tuple[Mutation, int], ...] = (
    (flip_bits, 3), (flip_data_bits, 4), (truncate, 3), (grow, 1), (overwrite, 2), (blank, 3),
    (delete, 3), (delete_folder, 1), (swap, 1), (link, 2), (link_folder, 1), (pipe, 1),
    (folder_for_file, 1), (metadata, 6), (robot, 3), (huge_shape, 2), (wrong_type, 2),
    (wrong_numbers, 4),
)  # fmt: skip


@dataclass
class Result:
    """What became of the mutations."""

    mutations: int = 0
    refused: int = 0
    """By verify, or by what training reads with."""
    harmless: int = 0
    """Both read the data as they were recorded."""
    bad: list[str] = field(default_factory=list)
    memory_mib: int = 0
    """Most that was taken above what the undamaged store needs."""
    kinds: dict[str, int] = field(default_factory=dict)


def _same(one: Episodes, other: Episodes) -> bool:
    names = ("tool_position", "tool_quat_xyzw", "gripper", "action", "stamp_ns", "ends", "seeds")
    return (
        all(np.array_equal(getattr(one, name), getattr(other, name)) for name in names)
        and one.images.keys() == other.images.keys()
        and all(np.array_equal(one.images[c], other.images[c]) for c in other.images)
    )


def _listing(folder: Path) -> list[str]:
    return sorted(str(file.relative_to(folder)) for file in folder.rglob("*"))


def _too_long(number: int, frame: object) -> None:
    raise TimeoutError(f"more than {MOST_SECONDS} s")


class Bench:
    """A folder with the recording, and damaged copies of it one after the other."""

    def __init__(self, folder: Path) -> None:
        """Make the recording in an empty folder."""
        self._folder = folder
        self._source = folder / "source.zarr"
        make(self._source)
        self._good = load_cache(self._source, folder / "good")
        (folder / "room").mkdir()
        (folder / "outside").mkdir()

    def try_one(self, seed: int) -> tuple[str, str]:
        """Do what `seed` says; returns the kind of damage and what came of it."""
        rng = random.Random(seed)
        kinds, weights = zip(*MUTATIONS, strict=True)
        (mutate,) = rng.choices(kinds, weights)
        target, room = self._folder / "room" / "target.zarr", self._folder / "room"
        shutil.rmtree(room)
        room.mkdir()
        shutil.copytree(self._source, target)
        mutate(target, rng)
        damaged, before = _listing(target), _listing(self._folder)
        signal.alarm(MOST_SECONDS)
        try:
            came = self._read(target)
        except Exception as error:
            came = f"bad: {type(error).__name__}: {str(error)[:300]}"
        finally:
            signal.alarm(0)
        shutil.rmtree(room / "cache", ignore_errors=True)
        if _listing(target) != damaged or _listing(self._folder) != before:
            came = "bad: files were written"
        return mutate.__name__, came

    def _read(self, target: Path) -> str:
        proof = verify(target)
        try:
            loaded = load_cache(target, target.parent / "cache")
        except DfPolicyError as error:
            if not proof.findings:
                return f"bad: verify found nothing, but training refuses: {error}"
            return "refused"
        if not _same(loaded, self._good):
            return "bad: other data for training"
        return "refused" if proof.findings else "harmless"


def _work(folder: str, first: int, last: int, pipe_end: Connection) -> None:
    signal.signal(signal.SIGALRM, _too_long)
    bench = Bench(Path(folder))
    base = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    for seed in range(first, last):
        kind, came = bench.try_one(seed)
        used = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - base) // 1024
        pipe_end.send((seed, kind, came, used))
    pipe_end.close()


def run(mutations: int, seed: int, folder: Path, talk: bool = False) -> Result:
    """Try so many below `folder`, in a process that may crash without ending this one."""
    context = multiprocessing.get_context("spawn")
    result, kinds = Result(), Counter[str]()
    first, last = seed, seed + mutations
    while first < last:
        room = folder / f"from_{first}"
        room.mkdir()
        ours, theirs = context.Pipe(duplex=False)
        process = context.Process(target=_work, args=(str(room), first, last, theirs))
        process.start()
        theirs.close()
        began = first
        try:
            while True:
                first, kind, came, used = ours.recv()
                first += 1
                _count(result, kinds, first - 1, kind, came, used)
                if talk and result.mutations % 25 == 0:
                    _SAY.print(f"{result.mutations} of {mutations}, {len(result.bad)} bad")
        except EOFError:
            process.join()
        if first < last:
            result.bad.append(f"{first}: the process ended with {process.exitcode}")
            result.mutations += 1
            first = max(first, began) + 1
    result.kinds = dict(sorted(kinds.items()))
    if result.memory_mib > MOST_MEMORY_MIB:
        result.bad.append(f"{result.memory_mib} MiB of memory")
    return result


def _count(
    result: Result, kinds: Counter[str], seed: int, kind: str, came: str, used: int
) -> None:
    result.mutations += 1
    kinds[kind] += 1
    result.memory_mib = max(result.memory_mib, used)
    if came == "refused":
        result.refused += 1
    elif came == "harmless":
        result.harmless += 1
    else:
        result.bad.append(f"{seed} {kind}: {came}")


def main() -> int:
    """Print the result as JSON; exit code 1 if anything went wrong."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--mutations", type=int, default=1000)
    options.add_argument("--seed", type=int, default=0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(chosen.mutations, chosen.seed, Path(folder), talk=True)
    sys.stdout.write(json.dumps(asdict(result), indent=1) + "\n")
    return 1 if result.bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
