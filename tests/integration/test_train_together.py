"""Several processes train what one would: the same losses, the same files, resumed exactly."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from train_together import CONFIG
from training_data import make_grasps

from df_policy import checkpoint
from df_policy.errors import DfPolicyError
from df_policy.sharing import Share
from df_policy.train import Hooks, Training

ROOT = Path(__file__).resolve().parents[2]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--nproc-per-node", "2"]
TIMEOUT_S = 300


def torchrun(*words):
    env = os.environ | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(ROOT)}
    command = [*TORCHRUN, "--rdzv-backend", "c10d", "--rdzv-endpoint", "localhost:0", *words]
    return subprocess.run(
        list(map(str, command)),
        env=env,
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )


def tensors(folder):
    loaded = checkpoint.load(str(folder))
    return loaded.denoiser.state_dict() | loaded.codec.state_dict()


@pytest.mark.parametrize(("batch", "world"), [(5, 2), (16, 3), (4, 4)])
def test_every_row_is_computed_once(batch, world):
    rows = [np.arange(batch)[Share(rank, world).rows(batch)] for rank in range(world)]
    assert list(np.concatenate(rows)) == list(range(batch))
    assert all(len(one) for one in rows)


def test_a_batch_smaller_than_the_processes_is_refused():
    with pytest.raises(DfPolicyError, match="at least 3 for as many processes, got 2"):
        Share(0, 3).rows(2)


@pytest.mark.slow
def test_two_processes_train_what_one_does_and_go_on_where_they_stopped(tmp_path):
    alone = []
    watch = Hooks(on_step=lambda _stage, _step, _of, values: alone.append(values["loss"]))
    Training(make_grasps(), CONFIG, tmp_path / "alone", {}, watch).run()
    done = torchrun(ROOT / "tests" / "fakes" / "train_together.py", tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    first, second = (json.loads((tmp_path / f"losses_{n}.json").read_text()) for n in (0, 1))
    assert first == second
    assert len(first) == len(alone)
    assert np.allclose(first, alone, rtol=1e-3)
    assert np.allclose(first[:20], alone[:20], rtol=1e-5)
    want, got = tensors(tmp_path / "whole"), tensors(tmp_path / "parts")
    assert all(torch.equal(want[name], got[name]) for name in want)
