"""A recorder whose disk fails it, as a program: `full`, `readonly` or `denied`, and a folder.

It keeps an episode, meets the fault in the next, prints the message, looks at the store, mends the
fault, and goes on. The last line is `whole` if every kept episode came back and is proven.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np

if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from tiny_world import SPEC, frames

from df_policy.data.episode import stack
from df_policy.data.reader import EpisodeStore
from df_policy.data.verify import verify
from df_policy.data.writer import EpisodeWriter
from df_policy.errors import DfPolicyError

NOBODY = 65534
COUNT = 60


def say(line: str) -> None:
    """For the test that reads it."""
    sys.stdout.write(line + "\n")


def keep(writer: EpisodeWriter, seed: int) -> bool:
    """Record an episode; False, with the message printed, if the disk refuses."""
    for frame in frames(seed, COUNT):
        writer.append(frame)
    try:
        writer.keep(seed)
    except DfPolicyError as error:
        say(str(error))
        return False
    return True


def check(path: Path, seeds: list[int]) -> None:
    """The store holds these and nothing else, proven."""
    store = EpisodeStore.open(path)
    assert list(store.seeds) == seeds, store.seeds
    assert verify(path).findings == (), verify(path).findings
    for index, seed in enumerate(seeds):
        expected = stack(frames(seed, COUNT), SPEC)
        found = store.episode(index).arrays
        assert all(np.array_equal(found[name], expected[name]) for name in expected)


def recorder(path: Path, harm: Callable[[], None], mend: Callable[[], None]) -> None:
    """Keep, fail, look, mend, keep."""
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        assert keep(writer, 0)
        harm()
        assert not keep(writer, 1)
        check(path, [0])
        mend()
        assert keep(writer, 2)
    check(path, [0, 2])
    say("whole")


def full(folder: Path) -> None:
    """FOLDER is a small disk: fill it."""
    filler = folder / "filler"

    def fill() -> None:
        with filler.open("wb", buffering=0) as file:
            try:
                while file.write(bytes(4096)):
                    pass
            except OSError:
                return

    recorder(folder / "a.zarr", fill, filler.unlink)


def readonly(folder: Path) -> None:
    """FOLDER is a disk of its own: let it turn read-only, as after an error."""

    def remount(how: str) -> Callable[[], None]:
        command = ["mount", "-o", f"remount,{how}", str(folder)]
        return lambda: subprocess.run(command, check=True) and None

    recorder(folder / "a.zarr", remount("ro"), remount("rw"))


def denied(folder: Path) -> None:
    """Take the right to write in FOLDER away."""
    with EpisodeWriter.open(folder / "warm.zarr", SPEC, "tiny") as writer:
        keep(writer, 0)
    check(folder / "warm.zarr", [0])  # all is imported now
    folder.chmod(0o777)
    if os.geteuid() == 0:
        os.seteuid(NOBODY)  # nothing is denied to root
    path = folder / "a.zarr"

    def chmod(mode: int) -> None:
        for place in (path, *path.rglob("*")):
            if place.is_dir():
                place.chmod(mode)

    recorder(path, lambda: chmod(0o555), lambda: chmod(0o755))


if __name__ == "__main__":
    {"full": full, "readonly": readonly, "denied": denied}[sys.argv[1]](Path(sys.argv[2]))
