"""What goes wrong while recording costs the open episode, and a hostile store costs nothing."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))
sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "benchmarks"))

import kill_recorder
import mutate_store
from tiny_world import SPEC, STEPS, TinyOperator, TinyWorld

from df_policy.data.reader import EpisodeStore
from df_policy.data.verify import verify
from df_policy.data.writer import EpisodeWriter
from df_policy.teleop.recorder import run_episode

BAD_DISK = Path(__file__).resolve().parents[1] / "fakes" / "bad_disk.py"
TIMEOUT_S = 120
OWN_DISK = "mount -t tmpfs -o size=8m,nr_inodes=4096 none '{folder}' && exec {command}"


@pytest.fixture
def open_folder() -> Iterator[Path]:
    """A folder that everybody may look into."""
    with tempfile.TemporaryDirectory() as folder:
        Path(folder).chmod(0o755)
        yield Path(folder)


def own_disks() -> bool:
    """Whether this machine lets us mount a disk where nobody else sees it."""
    test = ["unshare", "-rm", "mount", "-t", "tmpfs", "none", "/mnt"]
    if shutil.which("unshare") is None:
        return False
    return subprocess.run(test, capture_output=True, check=False).returncode == 0


def run(command: list[str]) -> list[str]:
    done = subprocess.run(command, capture_output=True, text=True, timeout=TIMEOUT_S, check=False)
    assert done.returncode == 0, done.stderr
    return done.stdout.splitlines()


@pytest.mark.parametrize(
    ("fault", "message"), [("full", "No space left"), ("readonly", "Read-only file system")]
)
def test_a_disk_that_fails_costs_the_open_episode(
    open_folder: Path, fault: str, message: str
) -> None:
    if not own_disks():
        pytest.skip("needs the right to mount a disk (unshare -rm)")
    words = f"'{sys.executable}' '{BAD_DISK}' {fault} '{open_folder}'"
    mounting = OWN_DISK.format(folder=open_folder, command=words)
    said = run(["unshare", "-rm", "sh", "-c", mounting])
    assert message in said[0]
    assert "the 1 episodes before it are safe" in said[0]
    assert said[-1] == "whole"


@pytest.mark.parametrize("form", ["robomimic", "aloha"])
def test_an_export_to_a_full_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, form: str
) -> None:
    """HDF5 crashes the process that closes a file on a full disk."""
    if not own_disks():
        pytest.skip("needs the right to mount a disk (unshare -rm)")
    world, folder = TinyWorld(), tmp_path / "disk"
    folder.mkdir()
    with EpisodeWriter.open(tmp_path / "a.zarr", SPEC, "tiny") as writer:
        for seed in range(5):
            run_episode(world, TinyOperator(world), seed, writer)
    export = f"'{sys.executable}' -m df_policy data export '{tmp_path}/a.zarr' '{folder}/out'"
    mount = f"mount -t tmpfs -o size=64k,nr_inodes=600 none '{folder}'"
    words = f"{mount} && {export} --format {form}; ls -A '{folder}'"
    done = subprocess.run(
        ["unshare", "-rm", "sh", "-c", words],
        capture_output=True,
        text=True,
        timeout=TIMEOUT_S,
        check=False,
    )
    assert done.stdout == "", "nothing is left there, and nothing is said to be made"
    last = done.stderr.strip().splitlines()[-1]
    assert last.startswith(f"df_policy: expected to write {folder}/out, got ")
    assert "make room on the disk" in last
    assert "Traceback" not in done.stderr


def test_a_right_that_is_lost_costs_the_open_episode(open_folder: Path) -> None:
    said = run([sys.executable, str(BAD_DISK), "denied", str(open_folder)])
    assert "Permission denied" in said[0]
    assert "the 1 episodes before it are safe" in said[0]
    assert said[-1] == "whole"


def test_a_clock_that_is_set_back_does_not_reach_the_data(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The system's clock loses a second at every look; the recorder's goes on."""
    wall = iter(range(2 * 10**18, 10**18, -(10**9)))
    monkeypatch.setattr(time, "time_ns", lambda: next(wall))
    world = TinyWorld()
    with EpisodeWriter.open(tmp_path / "a.zarr", SPEC, "tiny") as writer:
        run_episode(world, TinyOperator(world), 0, writer)
    proof = verify(tmp_path / "a.zarr")
    assert (proof.findings, proof.notes) == ((), ())
    arrays = EpisodeStore.open(tmp_path / "a.zarr").episode(0).arrays
    assert (arrays["received_ns"][1:] >= arrays["received_ns"][:-1]).all()
    assert 0 < arrays["received_ns"][-1] - arrays["received_ns"][0] < 60 * 10**9


def test_what_a_recorder_does_tells_how_every_stream_came(tmp_path: Path) -> None:
    world = TinyWorld()
    with EpisodeWriter.open(tmp_path / "a.zarr", SPEC, "tiny") as writer:
        run_episode(world, TinyOperator(world), 0, writer)
    store = EpisodeStore.open(tmp_path / "a.zarr")
    arrays = store.episode(0).arrays
    assert arrays["arrivals"].shape == (STEPS, 4, 3)
    assert (arrays["arrivals"][:, :, 0] == arrays["stamp_ns"][:, None]).all()
    assert (arrays["arrivals"][:, :, 1] == arrays["received_ns"][:, None]).all()
    assert store.about["dropped"].tolist() == [[0, 0, 0, 0]]
    assert store.about["late"].tolist() == [[0, 0, 0, 0, 0]]


@pytest.mark.slow
def test_kills_cost_the_open_episode(tmp_path: Path) -> None:
    result = kill_recorder.run(5, seed=1, longest_s=1.5, folder=tmp_path)
    assert result.kills == 5
    assert result.good, result


@pytest.mark.slow
def test_damaged_and_hostile_stores_are_refused(tmp_path: Path) -> None:
    """More of them: tests/benchmarks/mutate_store.py."""
    result = mutate_store.run(40, seed=10_000, folder=tmp_path)
    assert result.mutations == 40
    assert result.bad == []
    assert result.refused > 20
