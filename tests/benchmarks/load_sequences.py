#!/usr/bin/env python3
"""Windows of observations a second: what training reads here, and LeRobot's dataset, in one run.

    python tests/benchmarks/load_sequences.py --lerobot PYTHON

PYTHON is one that has lerobot[dataset]. Both load the same episodes with two cameras of 240x320,
one thread each, page cache warm: windows of consecutive observations from random places, with
images, tool pose and actions. Ours come from the decoded copy as bytes, as the trainer sends them
to its device, and once more made floats on the CPU, as LeRobot hands them out. LeRobot's are read
from video (its default) and from PNG. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch

from df_policy.data.cache import load_cache
from df_policy.data.episode import Episode
from df_policy.data.formats import registry
from df_policy.data.reader import EpisodeStore
from df_policy.data.schema import columns
from df_policy.data.writer import EpisodeWriter
from df_policy.demonstrations import Demonstrations
from df_policy.encoder import InputMemory
from df_policy.robot import RobotSpec

CAMERAS = {"front": (240, 320), "wrist": (240, 320)}
SPEC = replace(RobotSpec("fr3", ("joint",), CAMERAS), action_rate_hz=10.0)
THEIRS = Path(__file__).resolve().parents[1] / "fakes" / "load_with_lerobot.py"


def record(path: Path, episodes: int, frames: int) -> None:
    """Smooth pictures that drift, with a sensor's noise."""
    draw = np.random.default_rng(0)
    with EpisodeWriter.open(path, SPEC, "loading") as writer:
        for seed in range(episodes):
            arrays: dict[str, np.ndarray] = {
                c.name: np.zeros((frames, *c.row_shape), c.dtype) for c in columns(SPEC)
            }
            arrays["stamp_ns"] = np.arange(frames) * SPEC.period_ns
            arrays["received_ns"] = 10**18 + arrays["stamp_ns"]
            arrays["arrivals"] -= 1
            arrays["tool_quat_xyzw"][:, 0] = 1.0
            arrays["action"][:] = draw.normal(size=(frames, 10)) * 0.01 + [0.5] * 10
            for camera, (height, width) in CAMERAS.items():
                coarse = draw.integers(0, 255, (12, 16, 3), dtype=np.uint8)
                scene = cv2.resize(coarse, (2 * width, height), interpolation=cv2.INTER_CUBIC)
                for frame in range(frames):
                    left = (2 * frame) % width
                    seen = scene[:, left : left + width] + draw.normal(0, 2, (height, width, 3))
                    arrays[f"image_{camera}"][frame] = np.clip(seen, 0, 255)
            writer.keep_episode(Episode(arrays, seed, True))


def ours(
    data: Demonstrations, observations: int, seconds: float, seed: int, floats: bool
) -> dict[str, Any]:
    """Windows as training reads them."""
    draw, proprioception = np.random.default_rng(seed), data.proprioception().astype(np.float32)
    inputs = InputMemory(torch.device("cpu"))
    count, begin, cpu = 0, time.monotonic(), time.process_time()
    while count < 3 or time.monotonic() - begin < seconds:
        episode = int(draw.integers(len(data.ends)))
        start = int(draw.integers(data.starts[episode], data.ends[episode] - observations + 1))
        rows = np.arange(start, start + observations)
        images = {c: torch.from_numpy(found[rows]) for c, found in data.images.items()}
        if floats:
            images = {camera: inputs(camera, image) for camera, image in images.items()}
        torch.from_numpy(proprioception[rows]), torch.from_numpy(data.action[rows])
        count += 1
    return {
        "windows": count,
        "wall_ms": 1e3 * (time.monotonic() - begin) / count,
        "cpu_ms": 1e3 * (time.process_time() - cpu) / count,
        "kind": str(images["front"].dtype),
    }


def theirs(python: Path, root: Path, observations: int, seconds: float, seed: int) -> Any:
    """LeRobot's."""
    words = [python, THEIRS, root, observations, seconds, seed]
    env = os.environ | {"HF_HUB_OFFLINE": "1", "OMP_NUM_THREADS": "1", "PYTHONPATH": ""}
    done = subprocess.run(
        list(map(str, words)), capture_output=True, text=True, env=env, check=False, timeout=1200
    )
    if done.returncode:
        raise RuntimeError(f"LeRobot does not load: {done.stderr[-2000:]}")
    return json.loads(done.stdout.splitlines()[-1])


def main() -> int:
    """Print the result as JSON."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--lerobot", type=Path, required=True, metavar="PYTHON")
    options.add_argument("--episodes", type=int, default=8)
    options.add_argument("--frames", type=int, default=160, help="of each")
    options.add_argument("--seconds", type=float, default=10.0, help="of each measurement")
    options.add_argument("--seed", type=int, default=0)
    options.add_argument("--observations", type=int, nargs="+", default=[64, 16, 1])
    chosen = options.parse_args()
    torch.set_num_threads(1)
    load, results = os.getloadavg()[0], []
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        record(folder / "a.zarr", chosen.episodes, chosen.frames)
        store, write = EpisodeStore.open(folder / "a.zarr"), registry.load("lerobot").write
        write(store, folder / "png", lambda: None)
        write(store, folder / "video", lambda: None, video=True)  # type: ignore[call-arg]
        data = load_cache(folder / "a.zarr", folder / "cache").demonstrations()
        for count in chosen.observations:
            how = (count, chosen.seconds, chosen.seed)
            found = {
                "bytes": ours(data, *how, floats=False),
                "floats": ours(data, *how, floats=True),
                "lerobot_video": theirs(chosen.lerobot, folder / "video", *how),
                "lerobot_png": theirs(chosen.lerobot, folder / "png", *how),
                "bytes_again": ours(data, *how, floats=False),
            }
            times = {
                f"{kind}_over_{mine}": found[kind]["cpu_ms"] / found[mine]["cpu_ms"]
                for kind in ("lerobot_video", "lerobot_png")
                for mine in ("bytes", "floats")
            }
            results.append({"observations": count, **found, "times_by_cpu": times})
    about = {**vars(chosen), "lerobot": None, "load": [load, os.getloadavg()[0]]}
    sys.stdout.write(json.dumps(about | {"results": results}, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
