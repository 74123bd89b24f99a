"""Run by a Python with zarr 2 and diffusion_policy's sources on its path: copies a buffer.

python read_with_replay_buffer.py BUFFER OUT.npz
"""

import sys

import numpy as np
import zarr
from diffusion_policy.common.replay_buffer import ReplayBuffer


def main(path: str, out: str) -> None:
    if path.endswith(".zip"):
        with zarr.ZipStore(path, mode="r") as store:
            buffer = ReplayBuffer.copy_from_store(src_store=store, store=zarr.MemoryStore())
    else:
        buffer = ReplayBuffer.copy_from_path(path)
    found = {key: buffer[key][:] for key in buffer.keys()}  # noqa: SIM118
    found["episode_ends"] = buffer.episode_ends[:]
    found["first"] = buffer.get_episode(0)["action"]
    np.savez(out, version=np.array(zarr.__version__), **found)


if __name__ == "__main__":
    main(*sys.argv[1:])
