"""Run by a Python that has lerobot: how fast its dataset loads windows of observations.

python load_with_lerobot.py DATASET OBSERVATIONS SECONDS SEED
"""

import json
import sys
import time
from pathlib import Path

import lerobot
import numpy as np
import torch
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main(root: str, observations: int, seconds: float, seed: int) -> None:
    torch.set_num_threads(1)
    plain = LeRobotDataset("nobody/nothing", root=Path(root))
    history = [-n / plain.fps for n in range(observations - 1, -1, -1)]
    keys = [*plain.meta.camera_keys, "observation.state", "action"]
    dataset = LeRobotDataset(
        "nobody/nothing", root=Path(root), delta_timestamps=dict.fromkeys(keys, history)
    )
    ends = np.cumsum([episode["length"] for episode in dataset.meta.episodes])
    last = [
        row
        for start, end in zip([0, *ends[:-1]], ends, strict=True)
        for row in range(start + observations - 1, end)
    ]
    draw = np.random.default_rng(seed)
    dataset[int(draw.choice(last))]  # what is opened once
    count, begin, cpu = 0, time.monotonic(), time.process_time()
    while count < 3 or time.monotonic() - begin < seconds:
        row = dataset[int(draw.choice(last))]
        count += 1
    found = {
        "windows": count,
        "wall_ms": 1e3 * (time.monotonic() - begin) / count,
        "cpu_ms": 1e3 * (time.process_time() - cpu) / count,
        "images": {key: list(row[key].shape) for key in plain.meta.camera_keys},
        "kind": str(row[plain.meta.camera_keys[0]].dtype),
        "version": lerobot.__version__,
    }
    sys.stdout.write(json.dumps(found) + "\n")


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), float(sys.argv[3]), int(sys.argv[4]))
