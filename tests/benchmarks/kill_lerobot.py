#!/usr/bin/env python3
"""The test of `kill_recorder.py` on LeRobot's recorder, by a Python that has lerobot[dataset].

    HF_HUB_OFFLINE=1 PYTHON tests/benchmarks/kill_lerobot.py --kills 200

Episodes are as small (12 frames, images of 6x8 and 4x4 pixels, stored as images and not as video).
After each kill the set is loaded as training would, and its episodes are counted. The next process
goes on with the set where `LeRobotDataset.resume` can, else a new one is begun.
"""

import argparse
import json
import multiprocessing
import random
import shutil
import sys
import tempfile
import time
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset

FRAMES, KILLS_A_STORE, START_S = 12, 20, 120.0
SIZES = {"front": (6, 8, 3), "wrist": (4, 4, 3)}
FEATURES = {
    name: {"dtype": "float32", "shape": (10,), "names": [str(n) for n in range(10)]}
    for name in ("observation.state", "action")
} | {
    f"observation.images.{name}": {
        "dtype": "image",
        "shape": size,
        "names": ["height", "width", "channels"],
    }
    for name, size in SIZES.items()
}


@dataclass
class Result:
    """What the kills cost; as `kill_recorder.Result`."""

    kills: int = 0
    inside_save: int = 0
    saved: int = 0
    """Episodes that `save_episode` returned from."""
    lost: int = 0
    """Of those, not there when the set was loaded after the kill, or with other numbers."""
    not_opened: int = 0
    not_resumed: int = 0


def state(number, frame):
    """Numbers that tell which episode and frame they are of."""
    return np.full(10, 1000 * number + frame, np.float32)


def record(root, first, pipe, saving):
    """Record until killed."""
    if Path(root).exists():
        try:
            dataset = LeRobotDataset.resume("nobody/kills", root=root)
        except Exception as error:
            sys.stderr.write(f"does not resume: {error!r:.200}\n")
            return
    else:
        dataset = LeRobotDataset.create(
            "nobody/kills", fps=10, features=FEATURES, root=root, use_videos=False
        )
    rng = np.random.default_rng(first)
    pipe.send(None)
    for number in range(first, 2**31):
        for frame in range(FRAMES):
            images = {
                f"observation.images.{name}": rng.integers(0, 256, size, dtype=np.uint8)
                for name, size in SIZES.items()
            }
            row = {"observation.state": state(number, frame), "action": state(number, frame)}
            dataset.add_frame({**images, **row, "task": "tiny"})
        saving.value = 1
        dataset.save_episode()
        saving.value = 0
        pipe.send(number)


def load(root, pipe):
    """Send the numbers of the episodes that are whole."""
    found = {}
    try:
        dataset = LeRobotDataset("nobody/kills", root=root)
    except Exception as error:
        sys.stderr.write(f"does not open: {error!r:.200}\n")
        return
    for index in range(len(dataset)):
        row = dataset[index]
        number, frame = divmod(int(row["observation.state"][0]), 1000)
        found.setdefault(number, []).append(frame)
    pipe.send([n for n, frames in found.items() if frames == list(range(FRAMES))])


def answer(context, work, *args, wait_s=START_S):
    """What a process of its own answers; None if it cannot."""
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(target=work, args=(*args, theirs), daemon=True)
    process.start()
    theirs.close()
    try:
        return ours.recv() if ours.poll(wait_s) else None
    except EOFError:
        return None
    finally:
        process.kill()
        process.join()


def one_life(context, root, first, moments, longest_s):
    """Numbers that were saved, whether it began to record, whether it was killed in a save."""
    ours, theirs = context.Pipe(duplex=False)
    saving = context.Value("b", 0, lock=False)
    process = context.Process(target=record, args=(root, first, theirs, saving), daemon=True)
    process.start()
    theirs.close()
    numbers, began = [], False
    try:
        if ours.poll(START_S):
            ours.recv()
            began = True
            time.sleep(moments.uniform(0.0, longest_s))
    except EOFError:
        pass
    process.kill()
    process.join()
    try:
        while ours.poll():
            numbers.append(ours.recv())
    except EOFError:
        pass
    return numbers, began, bool(saving.value)


def run(kills, seed, longest_s, folder):
    """Kill so many recorders below `folder`."""
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(["kill_lerobot"])
    moments, result = random.Random(seed), Result()
    root, reported, first, lives = None, set(), 0, 0
    while result.kills < kills:
        if root is None or lives == KILLS_A_STORE:
            root, reported, first, lives = str(folder / str(result.kills)), set(), 0, 0
        numbers, began, inside = one_life(context, root, first, moments, longest_s)
        if not began and reported:
            result.not_resumed += 1
            root = None
            continue
        lives += 1
        result.kills += 1
        result.inside_save += inside
        result.saved += len(numbers)
        reported |= set(numbers)
        first = max(reported, default=-1) + 1
        there = answer(context, load, root)
        if there is None and reported:
            result.not_opened += 1
        result.lost += len(reported - set(there or []))
        reported &= set(there or [])
        if there is None:
            shutil.rmtree(root, ignore_errors=True)
            root = None
        sys.stderr.write(f"{result.kills} of {kills}: {asdict(result)}\n")
    return result


def main():
    """Print the result as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--kills", type=int, default=200)
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--longest-s", type=float, default=1.0)
    chosen = options.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        result = run(chosen.kills, chosen.seed, chosen.longest_s, Path(folder))
    sys.stdout.write(json.dumps(asdict(result)) + "\n")


if __name__ == "__main__":
    main()
