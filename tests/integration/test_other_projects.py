"""What other projects' own code reads from our exports is what was recorded.

They need environments of their own, so these tests run only where two variables name them:
DF_POLICY_LEROBOT, a Python with `lerobot[dataset]`, and DF_POLICY_ZARR2, a Python with zarr 2 to
which diffusion_policy's sources belong (a .pth file in its site-packages).
"""

from __future__ import annotations

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from strange_episodes import SPEC, InMemory, episode

from df_policy.data.formats import lerobot, replay_buffer, umi

FAKES = Path(__file__).resolve().parents[1] / "fakes"
VIDEO = replace(SPEC, cameras={"front": (64, 80)})


def read(variable: str, script: str, path: Path) -> dict[str, np.ndarray]:
    python = os.environ.get(variable)
    if python is None:
        pytest.skip(
            f"{variable} names no Python to read with; see tests/integration/{__name__}.py"
        )
    out = path.with_name("read.npz")
    environment = os.environ | {"HF_HUB_OFFLINE": "1", "HF_HOME": str(path.with_name("hf"))}
    command = [python, str(FAKES / script), str(path), str(out)]
    subprocess.run(command, env=environment, check=True, timeout=600)
    with np.load(out) as found:
        return dict(found)


def joined(source: InMemory, name: str) -> np.ndarray:
    return np.concatenate([one.arrays[name] for one in source.episodes])


def smooth(source: InMemory) -> None:
    """Pictures that a video can hold: a slope that wanders."""
    for one in source.episodes:
        for images in one.arrays.values():
            if images.ndim == 4:
                frames, height, width, _ = images.shape
                slope = np.arange(height)[:, None] + np.arange(width)[None, :]
                for index in range(frames):
                    images[index] = (slope // 2 + 7 * index + 20)[..., None]


@pytest.mark.parametrize("video", [False, True])
def test_lerobot_reads_what_was_recorded(tmp_path: Path, video: bool) -> None:
    spec = VIDEO if video else SPEC
    source = InMemory([episode(spec, 7, 0), episode(spec, 12, 1), episode(spec, 3, 2)], spec)
    if video:
        smooth(source)
    lerobot.write(source, tmp_path / "set", lambda: None, video=video)
    found = read("DF_POLICY_LEROBOT", "read_with_lerobot.py", tmp_path / "set")
    sys.stderr.write(f"lerobot {found['version']}\n")
    state = ("tool_position", "tool_quat_xyzw", "gripper", "q", "dq")
    expected = np.concatenate([joined(source, name) for name in state], axis=1)
    assert np.array_equal(found["observation.state"][:, 1], expected)
    assert np.array_equal(found["observation.state"][1:7, 0], expected[:6])
    for key, name in (
        ("action", "action"),
        ("requested.action", "action_requested"),
        ("stamp_ns", "stamp_ns"),
        ("received_ns", "received_ns"),
        ("image_stamp_ns.front", "image_front_stamp_ns"),
    ):
        assert np.array_equal(found[key], joined(source, name)), key
    assert np.array_equal(found["episodes"][:, 0], [7, 12, 3])
    assert np.array_equal(found["episode_index"], np.repeat([0, 1, 2], [7, 12, 3]))
    assert set(found["tasks"]) == {"sort the fruit"}
    assert np.array_equal(found["next.success"][[6, 18, 21]], [e.success for e in source.episodes])
    for camera in spec.cameras:
        images = joined(source, f"image_{camera}").transpose(0, 3, 1, 2)
        got = found[f"observation.images.{camera}"] * 255.0
        assert got.shape == images.shape
        off = np.abs(got - images.astype(np.float64))
        assert off.max() <= (24.0 if video else 1e-3)
        assert off.mean() <= (2.0 if video else 1e-4)
    assert np.allclose(found["stats/action/mean"], joined(source, "action").mean(0), atol=1e-5)
    assert np.allclose(found["stats/action/std"], joined(source, "action").std(0), atol=1e-5)
    assert found["stats/observation.images.front/mean"].shape == (3, 1, 1)


@pytest.mark.parametrize("name", ["a.zarr", "a.zarr.zip", "umi.zarr.zip"])
def test_replay_buffers_hold_what_was_recorded(tmp_path: Path, name: str) -> None:
    source = InMemory([episode(SPEC, 7, 0), episode(SPEC, 12, 1)])
    form = umi if name.startswith("umi") else replay_buffer
    form.write(source, tmp_path / name, lambda: None)
    found = read("DF_POLICY_ZARR2", "read_with_replay_buffer.py", tmp_path / name)
    sys.stderr.write(f"zarr {found['version']}\n")
    called = {"image_front": "camera0_rgb", "tool_position": "robot0_eef_pos"}
    for column in ("image_front", "tool_position", "action", "q", "stamp_ns"):
        key = called.get(column, column) if form is umi else column
        assert np.array_equal(found[key], joined(source, column)), key
    assert np.array_equal(found["episode_ends"], [7, 19])
    assert np.array_equal(found["first"], source.episodes[0].arrays["action"])
