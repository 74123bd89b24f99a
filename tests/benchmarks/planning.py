"""How long one decision takes, by sampler: `python tests/benchmarks/planning.py`.

One CPU thread; memory update and all denoising; images and poses are made up. Ratios are to the
first row. Then the same late in an episode, by how many decisions came before: a ratio of 1 says
that a decision costs no more the longer an episode lasts.
"""

import argparse
import time
from dataclasses import replace

import numpy as np
import torch
from rich.console import Console
from rich.table import Table

from df_policy import checkpoint
from df_policy.config import SamplerConfig
from df_policy.frames import Action, Observation
from df_policy.geometry import Pose
from df_policy.policy import Policy

SAMPLERS = (
    SamplerConfig(),
    SamplerConfig(samples=1),
    SamplerConfig(samples=16),
    SamplerConfig(horizon=1),
    SamplerConfig(horizon=4),
    SamplerConfig(steps=2),
    SamplerConfig(steps=4),
    SamplerConfig(steps=10),
    SamplerConfig(steps=20),
    SamplerConfig(matrix="full_sequence"),
    SamplerConfig(matrix="autoregressive"),
)


LATE = (448, 1792)
"""Decisions before those that are measured: in one episode of four lengths, and of sixteen."""


def measure(policy: Policy, decisions: int, before: int = 10) -> np.ndarray:
    """Milliseconds of each decision of one episode, after some that do not count."""
    policy.reset(0)
    rng = np.random.default_rng(0)
    images = {
        name: rng.integers(0, 255, (*size, 3), dtype=np.uint8)
        for name, size in policy.spec.cameras.items()
    }
    joints = np.zeros(len(policy.spec.joint_names))
    pose = Pose.of([0.4, 0.0, 0.3], [1.0, 0.0, 0.0, 0.0])
    seen = Observation(0, images, dict.fromkeys(images, 0), joints, joints, pose, 0.08)
    seen = replace(seen, before=seen)  # policies of two frames ask for it
    executed: list[Action] = []
    taken = []
    for _ in range(before + decisions):
        begin = time.perf_counter()
        plan = policy.plan(seen, executed)
        taken.append(1e3 * (time.perf_counter() - begin))
        executed = [plan.action(index) for index in range(policy.every)]
    return np.array(taken[before:])


def main() -> None:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--checkpoint", default="fruit_swap")
    options.add_argument("--decisions", type=int, default=200)
    given = options.parse_args()
    torch.set_num_threads(1)
    trained = checkpoint.load(given.checkpoint)
    table = Table("samples", "horizon", "steps", "matrix", "p50 [ms]", "p99 [ms]", "ratio")
    first = None
    for sampler in SAMPLERS:
        p50, p99 = np.percentile(measure(Policy(trained, sampler), given.decisions), [50, 99])
        first = first or p50
        row = (sampler.samples, sampler.horizon, sampler.steps, sampler.matrix)
        table.add_row(*map(str, row), f"{p50:.2f}", f"{p99:.2f}", f"{p50 / first:.2f}")
    late = Table("decisions before", "p50 [ms]", "ratio")
    policy = Policy(trained)
    early = float(np.percentile(measure(policy, given.decisions), 50))
    for before in LATE:
        p50 = float(np.percentile(measure(policy, given.decisions, before), 50))
        late.add_row(str(before), f"{p50:.2f}", f"{p50 / early:.2f}")
    Console().print(table, late)


if __name__ == "__main__":
    main()
