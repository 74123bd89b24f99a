#!/usr/bin/env python3
"""One decision: the shipped policy beside two others, one CPU thread each, in turn in one run.

    python tests/benchmarks/decision_peers.py --python PYTHON --release FOLDER

PYTHON is one that has lerobot[diffusion] and einops; FOLDER a checkout of the branch `paper` of
buoyancy99/diffusion-forcing. Measured are its transition model as its robot configuration has it
(two cameras and 15 actions at 32x32: the posterior update and 25 steps of DDIM), and LeRobot's
diffusion policy at its defaults (two cameras of 96x96 cropped to 84x84, 100 steps of DDPM). Their
weights are untrained: that changes no time. What is counted is from an observation to actions;
images of ours are 64x64. Prints one JSON object.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import torch
from planning import measure

from df_policy import checkpoint
from df_policy.config import SamplerConfig
from df_policy.policy import Policy

ROUNDS = 2


def main() -> int:
    """Print the result."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--python", required=True, help="has lerobot[diffusion] and einops")
    options.add_argument("--release", type=Path, required=True, help="branch paper")
    options.add_argument("--checkpoint", default="fruit_swap")
    options.add_argument("--decisions", type=int, default=200)
    chosen = options.parse_args()
    torch.set_num_threads(1)
    trained = checkpoint.load(chosen.checkpoint)
    as_shipped = trained.config.sampler
    ours: dict[str, SamplerConfig] = {
        "as shipped": as_shipped,
        "horizon 1": replace(as_shipped, horizon=1),
        "rolling": replace(as_shipped, matrix="rolling", horizon=2),
    }
    taken: dict[str, list[float]] = {name: [] for name in (*ours, "release", "lerobot")}
    for _ in range(ROUNDS):  # in turn: a host that slows down slows all of them
        for name, sampler in ours.items():
            taken[name] += list(measure(Policy(trained, sampler), chosen.decisions))
        for name in ("release", "lerobot"):
            program = [chosen.python, str(Path(__file__).with_name("decision_of_peer.py")), name]
            said = subprocess.run(
                [*program, str(chosen.release)],
                env={**os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": ""},
                stdout=subprocess.PIPE,
                check=True,
            )
            taken[name] += json.loads(said.stdout.splitlines()[-1])
    p50 = {name: float(np.median(values)) for name, values in taken.items()}
    result = {
        "p50_ms": p50,
        "p99_ms": {name: float(np.percentile(values, 99)) for name, values in taken.items()},
        "n": {name: len(values) for name, values in taken.items()},
        "times as fast": {
            name: {peer: p50[peer] / p50[name] for peer in ("release", "lerobot")} for name in ours
        },
        "torch": torch.__version__,
        "platform": platform.platform(),
        "load": os.getloadavg()[0],
    }
    sys.stdout.write(json.dumps(result, indent=1) + "\n")
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
