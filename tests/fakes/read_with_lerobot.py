"""Run by a Python that has lerobot: reads a dataset with it, writes what it got as .npz.

python read_with_lerobot.py DATASET OUT.npz
"""

import sys
from pathlib import Path

import lerobot
import numpy as np
from lerobot.datasets.lerobot_dataset import LeRobotDataset


def main(root: str, out: str) -> None:
    history = {"observation.state": [-0.1, 0.0]}
    dataset = LeRobotDataset("nobody/nothing", root=Path(root), delta_timestamps=history)
    rows = [dataset[index] for index in range(len(dataset))]
    found = {
        key: np.stack([np.asarray(row[key]) for row in rows])
        for key, value in rows[0].items()
        if key != "task"
    }
    found["tasks"] = np.array([row["task"] for row in rows])
    found["episodes"] = np.array([[e["length"]] for e in dataset.meta.episodes])
    for key, stats in dataset.meta.stats.items():
        found |= {f"stats/{key}/{name}": np.asarray(value) for name, value in stats.items()}
    found["version"] = np.array(lerobot.__version__)
    np.savez(out, **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
