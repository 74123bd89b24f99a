"""Datasets of others: their conventions are asked for, their mistakes refused."""

from __future__ import annotations

import json
import os
from pathlib import Path

import h5py
import numpy as np
import pytest
import zarr
from numcodecs import Pickle
from scipy.spatial.transform import Rotation
from strange_episodes import SPEC, InMemory, episode

from df_policy.commands import data_import
from df_policy.data.formats import registry, rotation
from df_policy.data.formats.kinematics import Arm
from df_policy.data.reader import EpisodeStore
from df_policy.errors import DfPolicyError
from df_policy.geometry import quat_from_6d, rotation_6d

FRAMES = 6
ROBOT = {"name": "panda", "joint_names": ["one", "two"], "gripper_range_m": [0.0, 0.08]}


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """No test here cuts the power, nor needs a process of its own."""
    monkeypatch.setattr(os, "fsync", lambda handle: None)


def load(source: Path, out: Path, *options: str) -> EpisodeStore:
    robot = out.with_name("robot.json")
    robot.write_text(json.dumps(ROBOT))
    chosen = [str(source), str(out), "--robot", str(robot), *options]
    data_import.convert(data_import.parser().parse_args(chosen))
    return EpisodeStore.open(out)


def robosuite(path: Path, **spoilt: np.ndarray) -> dict[str, np.ndarray]:
    """A file as robosuite's demonstrations are converted; the base stands 1 m up, turned."""
    rng = np.random.default_rng(0)
    quat = Rotation.random(FRAMES, random_state=0).as_quat()
    rows = {
        "actions": rng.uniform(-1, 1, (FRAMES, 7)),
        "obs/robot0_joint_pos": rng.normal(size=(FRAMES, 2)),
        "obs/robot0_joint_vel": rng.normal(size=(FRAMES, 2)),
        "obs/robot0_eef_pos": rng.normal(size=(FRAMES, 3)),
        "obs/robot0_eef_quat": quat,
        "obs/robot0_gripper_qpos": np.tile([0.02, -0.01], (FRAMES, 1)),
        "obs/agentview_image": rng.integers(0, 256, (FRAMES, 8, 8, 3), dtype=np.uint8),
    } | spoilt
    reach = [0.05, 0.05, 0.05, 0.5, 0.5, 0.5]
    controller = {"type": "OSC_POSE", "control_delta": True, "output_max": reach}
    said = {
        "env_name": "Lift",
        "type": 1,
        "env_kwargs": {"control_freq": 20, "controller_configs": controller},
    }
    with h5py.File(path, "w") as file:
        file.create_group("data").attrs["env_args"] = json.dumps(said)
        for key, values in rows.items():
            file[f"data/demo_0/{key}"] = values
        file["data/demo_0"].attrs["num_samples"] = FRAMES
    return rows


def test_robosuites_steps_become_targets_in_the_base(tmp_path: Path) -> None:
    rows = robosuite(tmp_path / "a.hdf5")
    half = np.sqrt(0.5)
    base = ["--base", f"0,0,1,0,0,{half},{half}"]
    store = load(tmp_path / "a.hdf5", tmp_path / "a.zarr", *base, "--success", "yes")
    assert (store.header.task, store.spec.action_rate_hz) == ("Lift", 20.0)
    assert store.spec.cameras == {"agentview_image": (8, 8)}
    arrays = store.episode(0).arrays
    turned = Rotation.from_euler("z", -90, degrees=True)
    target = rows["obs/robot0_eef_pos"] + 0.05 * rows["actions"][:, :3]
    assert np.allclose(arrays["action"][:, :3], turned.apply(target - [0, 0, 1]), atol=1e-6)
    step = Rotation.from_rotvec(0.5 * rows["actions"][:, 3:6])
    wanted = turned * step * Rotation.from_quat(rows["obs/robot0_eef_quat"])
    assert np.allclose(arrays["action"][:, 3:9], rotation_6d(wanted.as_quat()), atol=1e-6)
    assert np.allclose(arrays["gripper"], 0.03)
    assert np.allclose(arrays["action"][:, 9], 0.04 * (1 - rows["actions"][:, 6]), atol=1e-6)
    assert np.array_equal(arrays["image_agentview_image"], rows["obs/agentview_image"])
    assert np.array_equal(arrays["stamp_ns"], np.arange(FRAMES) * 50_000_000)


def test_all_that_is_not_known_is_asked_for_at_once(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "episode_0.hdf5", "w") as file:
        file["action"] = np.zeros((3, 14))
        file["observations/qpos"] = np.zeros((3, 14))
        file["observations/images/top"] = np.zeros((3, 4, 4, 3), np.uint8)
    with pytest.raises(DfPolicyError, match="does not say everything") as caught:
        load(tmp_path, tmp_path / "a.zarr")
    said = str(caught.value)
    for wanted in ("q", "dq", "tool_rotation", "gripper", "action_position"):
        assert f"--field {wanted}=KEY:KIND" in said
    for option in ("--action absolute", "--action-row after", "--base", "--colour", "--rate"):
        assert option in said
    assert "quat_wxyz" in said
    assert "observations/qpos: float64[14]" in said
    assert not (tmp_path / "a.zarr").exists()


ABSOLUTE = [
    *("--task", "t", "--rate", "10", "--base", "base", "--colour", "bgr", "--success", "no"),
    *("--field", "q=data[0:2]:deg", "--field", "dq=absent"),
    *("--field", "tool_position=data[2:5]:mm", "--field", "tool_rotation=turn:quat_wxyz"),
    *("--field", "gripper=data[5]:closed_1"),
]
COMMANDED = [
    *("--action", "absolute", "--field", "action_position=command[0:3]:m"),
    *("--field", "action_rotation=command[3:9]:rot6d_rows"),
    *("--field", "action_gripper=command[9]:open_plus"),
]


def buffer(path: Path) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    turns = Rotation.random(FRAMES, random_state=1)
    rows = {
        "data": np.c_[rng.normal(size=(FRAMES, 5)), np.linspace(0, 1, FRAMES)],
        "turn": turns.as_quat()[:, [3, 0, 1, 2]],
        "command": np.c_[
            rng.normal(size=(FRAMES, 3)),
            turns.as_matrix()[:, :2].reshape(-1, 6),
            np.linspace(-1, 1, FRAMES),
        ],
        "cam": rng.integers(0, 256, (FRAMES, 4, 4, 3), dtype=np.uint8),
    }
    group = zarr.create_group(path, zarr_format=2)
    for name, values in rows.items():
        group.create_array(f"data/{name}", data=values)
    group.create_array("meta/episode_ends", data=np.array([2, FRAMES]))
    return rows


@pytest.mark.parametrize("row", ["after", "before"])
def test_units_orders_and_rows_are_those_that_were_named(tmp_path: Path, row: str) -> None:
    rows = buffer(tmp_path / "b.zarr")
    options = [*ABSOLUTE, *COMMANDED, "--action-row", row]
    store = load(tmp_path / "b.zarr", tmp_path / "a.zarr", *options)
    late = row == "before"
    assert list(store.lengths) == ([1, 3] if late else [2, 4])
    arrays = store.episode(1).arrays
    seen, sent = slice(2, 5 if late else 6), slice(3 if late else 2, 6)
    assert np.allclose(arrays["q"], np.deg2rad(rows["data"][seen, :2]), atol=1e-6)
    assert not arrays["dq"].any()
    assert np.allclose(arrays["tool_position"], rows["data"][seen, 2:5] / 1000, atol=1e-6)
    assert np.allclose(arrays["gripper"][:, 0], 0.08 * (1 - rows["data"][seen, 5]), atol=1e-6)
    assert np.array_equal(arrays["image_cam"], rows["cam"][seen][..., ::-1])
    expected = rows["command"][sent]
    assert np.allclose(arrays["action"][:, :3], expected[:, :3], atol=1e-6)
    columns = rotation_6d(rotation.to_quat(rows["turn"][sent], "quat_wxyz"))
    assert np.allclose(arrays["action"][:, 3:9], columns, atol=1e-6)
    assert np.allclose(arrays["action"][:, 9], 0.04 * (1 + expected[:, 9]), atol=1e-6)
    assert np.array_equal(arrays["action"], arrays["action_requested"])
    assert list(store.success) == [False, False]


def test_where_there_are_no_actions_the_next_pose_is_one(tmp_path: Path) -> None:
    buffer(tmp_path / "b.zarr")
    store = load(tmp_path / "b.zarr", tmp_path / "a.zarr", *ABSOLUTE, "--action", "next_tool")
    assert list(store.lengths) == [1, 3]
    arrays = store.episode(1).arrays
    assert np.allclose(arrays["action"][:-1, :3], arrays["tool_position"][1:])


URDF = """<robot name="arm">
  <link name="base"/><link name="upper"/><link name="lower"/><link name="tool"/>
  <joint name="one" type="revolute"><parent link="base"/><child link="upper"/>
    <axis xyz="0 0 1"/><limit lower="-3" upper="3" effort="1" velocity="1"/></joint>
  <joint name="two" type="revolute"><parent link="upper"/><child link="lower"/>
    <origin xyz="1 0 0"/><axis xyz="0 0 1"/>
    <limit lower="-3" upper="3" effort="1" velocity="1"/></joint>
  <joint name="end" type="fixed"><parent link="lower"/><child link="tool"/>
    <origin xyz="0.5 0 0"/></joint>
</robot>"""


def test_joints_alone_become_poses_by_a_urdf(tmp_path: Path) -> None:
    pytest.importorskip("pinocchio")
    (tmp_path / "arm.urdf").write_text(URDF)
    (tmp_path / "aloha").mkdir()
    rng = np.random.default_rng(3)
    qpos, command = rng.uniform(0, 1, (2, FRAMES, 6))
    with h5py.File(tmp_path / "aloha" / "episode_0.hdf5", "w") as file:
        file["action"], file["observations/qpos"] = command, qpos
    store = load(
        tmp_path / "aloha",
        tmp_path / "a.zarr",
        *("--task", "t", "--rate", "50", "--base", "base", "--success", "yes"),
        *("--field", "q=observations/qpos[3:5]:rad", "--field", "dq=absent"),
        *("--field", "gripper=observations/qpos[5]:open_1"),
        *("--action", "joints", "--action-row", "after"),
        *(
            "--field",
            "action_joints=action[3:5]:rad",
            "--field",
            "action_gripper=action[5]:open_1",
        ),
        *("--urdf", str(tmp_path / "arm.urdf"), "--tool-frame", "tool"),
    )
    arrays = store.episode(0).arrays
    for rows, position, rotated in (
        (qpos, arrays["tool_position"], rotation_6d(arrays["tool_quat_xyzw"].astype(float))),
        (command, arrays["action"][:, :3], arrays["action"][:, 3:9]),
    ):
        first, both = rows[:, 3], rows[:, 3] + rows[:, 4]
        expected = np.c_[np.cos(first), np.sin(first)] + 0.5 * np.c_[np.cos(both), np.sin(both)]
        assert np.allclose(position[:, :2], expected, atol=1e-6)
        assert np.allclose(rotated[:, :2], np.c_[np.cos(both), np.sin(both)], atol=1e-6)
    with pytest.raises(DfPolicyError, match="did you mean 'tool'"):
        Arm(tmp_path / "arm.urdf", "tol", ["one", "two"])


@pytest.mark.parametrize("name", rotation.WIDTHS)
def test_every_rotation_comes_back(name: str) -> None:
    quat = rotation.to_quat(Rotation.random(50, random_state=2).as_quat(), "quat_xyzw")
    rows = rotation.from_quat(quat, name)
    assert rows.shape == (50, rotation.WIDTHS[name])
    assert np.allclose(rotation.to_quat(rows, name), quat)
    assert np.allclose(quat_from_6d(rotation_6d(quat)), quat)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--field", "q=data[0:3]:rad"], "expected 2 numbers for q"),
        (["--field", "q=dta[0:2]:rad"], "did you mean 'data'"),
        (["--field", "q=data[0:2]:turns"], "kind of rad, deg"),
        (["--field", "qq=data:rad"], "unknown field"),
        (["--field", "tool_rotation=command[0:4]:quat_xyzw"], "of length"),
        (["--field", "gripper=data[3]:open_1"], "between 0 and 1"),
        (["--action", "relative"], "expected --action of absolute"),
        (["--base", "1,2"], "expected 7 finite numbers"),
        (["--base", "0,0,0,0,0,0,2"], "unit quaternion"),
        (["--camera", "../cam=cam"], "letters, digits"),
        (["--camera", "cam=data"], r"expected images \(H, W, 3\) uint8"),
        (["--rate", "nan"], "action_rate_hz of 0.001 to"),
        (["--rate", "1e9"], "action_rate_hz of 0.001 to"),
    ],
)
def test_what_does_not_fit_is_refused(tmp_path: Path, options: list[str], message: str) -> None:
    buffer(tmp_path / "b.zarr")
    whole = [*ABSOLUTE, *COMMANDED, "--action-row", "after", *options]
    with pytest.raises(DfPolicyError, match=message):
        load(tmp_path / "b.zarr", tmp_path / "a.zarr", *whole)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["b.zarr", "robot.json"]


def test_numbers_that_are_none_are_named_with_episode_and_row(tmp_path: Path) -> None:
    rows = np.ones((FRAMES, 3))
    rows[4, 1] = np.nan
    robosuite(tmp_path / "a.hdf5", **{"obs/robot0_eef_pos": rows})
    with pytest.raises(DfPolicyError, match=r"robot0_eef_pos of episode 0, got .* in row 4"):
        load(tmp_path / "a.hdf5", tmp_path / "a.zarr", "--base", "base", "--success", "yes")
    assert not (tmp_path / "a.zarr").exists()


def test_a_missing_row_is_named(tmp_path: Path) -> None:
    robosuite(tmp_path / "a.hdf5", **{"obs/robot0_joint_vel": np.zeros((FRAMES - 2, 2))})
    with pytest.raises(DfPolicyError, match=r"demo_0 .* row 4 is missing"):
        load(tmp_path / "a.hdf5", tmp_path / "a.zarr", "--base", "base", "--success", "yes")


def test_a_verdict_is_asked_for_where_there_is_none(tmp_path: Path) -> None:
    robosuite(tmp_path / "a.hdf5")
    with pytest.raises(DfPolicyError, match="--success yes"):
        load(tmp_path / "a.hdf5", tmp_path / "a.zarr", "--base", "base")


def test_compressed_images_of_aloha_are_decoded(tmp_path: Path) -> None:
    import imagecodecs

    source = InMemory([episode(SPEC, 4, 0)])
    registry.load("aloha").write(source, tmp_path / "aloha", lambda: None)
    smooth = np.tile(np.arange(0, 240, 30, dtype=np.uint8)[:, None], (4, 6, 1, 3))
    with h5py.File(tmp_path / "aloha" / "episode_0.hdf5", "r+") as file:
        del file["observations/images/front"]
        files = [bytes(imagecodecs.jpeg_encode(image, level=95)) for image in smooth]
        width = max(map(len, files))
        rows = [np.frombuffer(f.ljust(width, b"\0"), np.uint8) for f in files]
        file["observations/images/front"] = np.stack(rows)
        del file["observations/images/wrist"]
        file["observations/images/wrist"] = np.stack(rows)
        file.attrs["compress"] = True
    with pytest.raises(DfPolicyError, match="expected images of"):
        data_import.convert(
            data_import.parser().parse_args([str(tmp_path / "aloha"), str(tmp_path / "a.zarr")])
        )
    with registry.load("aloha").open_source(tmp_path / "aloha") as opened:
        from df_policy.data.formats.source import Wanted

        key = "observations/images/front"
        images = opened.read(0, Wanted(frozenset([key]))).arrays[key]
    assert images.shape == (4, 6, 8, 3)
    assert np.abs(images.astype(int) - smooth).max() <= 3


def test_a_codec_that_runs_code_is_not_let_in(tmp_path: Path) -> None:
    buffer(tmp_path / "b.zarr")
    place = tmp_path / "b.zarr" / "data" / "turn" / ".zarray"
    described = json.loads(place.read_text())
    place.write_text(json.dumps(described | {"compressor": Pickle().get_config()}))
    with pytest.raises(DfPolicyError, match="pickle"):
        load(tmp_path / "b.zarr", tmp_path / "a.zarr", *ABSOLUTE)


def test_links_out_of_a_file_are_not_followed(tmp_path: Path) -> None:
    robosuite(tmp_path / "a.hdf5")
    with h5py.File(tmp_path / "secret.hdf5", "w") as file:
        file["x"] = np.ones((FRAMES, 2))
    with h5py.File(tmp_path / "a.hdf5", "r+") as file:
        del file["data/demo_0/obs/robot0_joint_vel"]
        link = h5py.ExternalLink("secret.hdf5", "/x")
        file["data/demo_0/obs/robot0_joint_vel"] = link
    with pytest.raises(DfPolicyError, match="--field dq"):
        load(tmp_path / "a.hdf5", tmp_path / "a.zarr", "--base", "base", "--success", "yes")


@pytest.mark.parametrize(
    "template",
    [
        "../../etc/{chunk_index}{file_index}",
        "/etc/passwd",
        "{chunk_index:0999999999d}",
        "{chunk_index.__class__}",
        "{video_key!r}",
    ],
)
def test_lerobots_names_of_files_lead_nowhere_else(tmp_path: Path, template: str) -> None:
    pytest.importorskip("pyarrow")
    registry.load("lerobot").write(InMemory([episode(SPEC, 3, 0)]), tmp_path / "set", lambda: None)
    info = tmp_path / "set" / "meta" / "info.json"
    described = json.loads(info.read_text())
    info.write_text(json.dumps(described | {"data_path": template}))
    with pytest.raises(DfPolicyError, match=r"names of files|expected files in"):
        data_import.convert(
            data_import.parser().parse_args([str(tmp_path / "set"), str(tmp_path / "a.zarr")])
        )
