"""The recorder as people run it: processes that are killed, interrupted, and run again."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).resolve().parents[1] / "fakes"))

from tiny_world import SPEC, TinyOperator, TinyWorld

from df_policy.data.episode import stack
from df_policy.data.reader import EpisodeStore
from df_policy.data.schema import columns
from df_policy.data.writer import EpisodeWriter
from df_policy.sim.tasks import find
from df_policy.teleop.workers import record_one

ROOT = Path(__file__).resolve().parents[2]
TINY = ROOT / "tests" / "fakes" / "tiny_world.py"
TIMEOUT_S = 60
KILLS = 8
WALL_CLOCK = ("received_ns", "arrivals")
"""Columns that no two recordings share."""


def start(out: Path, *options: object, **variables: object) -> subprocess.Popen[str]:
    command = [sys.executable, TINY, "--seed", 0, "--out", out, *options]
    return subprocess.Popen(
        list(map(str, command)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=os.environ | {name: str(value) for name, value in variables.items()},
        start_new_session=True,
    )


def run(out: Path, *options: object, **variables: object) -> tuple[int, str]:
    process = start(out, *options, **variables)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    return process.returncode, errors


def check(path: Path) -> int:
    """The store opens, and each episode in it is the one of its seed; returns how many."""
    store = EpisodeStore.open(path)
    for index in range(len(store)):
        episode = store.episode(index)
        for name, rows in expected(episode.seed).items():
            if name not in WALL_CLOCK:
                assert np.array_equal(episode.arrays[name], rows), (index, name)
    assert np.all(np.diff(store.seeds) > 0)
    return len(store)


def expected(seed: int) -> dict[str, np.ndarray]:
    world = TinyWorld()
    return stack(record_one((world, TinyOperator(world)), seed).frames, SPEC)


def kept(path: Path) -> int:
    return len(EpisodeStore.open(path)) if path.is_dir() else 0


def wait_for(path: Path, episodes: int) -> None:
    end = time.monotonic() + TIMEOUT_S
    while kept(path) < episodes:
        assert time.monotonic() < end, f"no {episodes} episodes in {TIMEOUT_S} s"
        time.sleep(0.02)


@pytest.mark.slow
def test_kills_at_any_moment_cost_at_most_the_open_episode(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    moments = random.Random(0)
    before = 0
    for kill in range(KILLS):
        process = start(path, "--episodes", 10_000, "--workers", 1 + kill % 2)
        wait_for(path, before + 1)
        time.sleep(moments.uniform(0.0, 0.6))
        seen = kept(path)
        os.kill(process.pid, signal.SIGKILL)
        process.communicate(timeout=TIMEOUT_S)
        before = check(path)
        assert before >= seen, "an episode that had been kept is gone"
    with EpisodeWriter.open(path, SPEC, "tiny") as writer:
        assert writer.episodes in (before, before + 1)  # one may be safe and not filed yet
        after = writer.episodes
    assert check(path) == after


def content(path: Path) -> dict[str, np.ndarray]:
    store = EpisodeStore.open(path)
    names = [column.name for column in columns(store.spec) if column.name not in WALL_CLOCK]
    return {name: store.rows(name, 0, store.frames) for name in names}


def test_how_many_processes_record_does_not_change_what_is_recorded(tmp_path: Path) -> None:
    for name, workers in (("one", 1), ("three", 3)):
        code, errors = run(tmp_path / name, "--episodes", 9, "--workers", workers)
        assert code == 0, errors
        assert "2 dropped" in errors
    one, three = (EpisodeStore.open(tmp_path / name) for name in ("one", "three"))
    assert list(one.seeds) == list(three.seeds) == [0, 1, 2, 4, 5, 6, 7, 9, 10]
    assert check(tmp_path / "one") == check(tmp_path / "three") == 9
    pairs = zip(content(one.path).items(), content(three.path).values(), strict=True)
    for (name, alone), together in pairs:
        assert alone.tobytes() == together.tobytes(), name


@pytest.mark.parametrize("workers", [1, 2])
@pytest.mark.parametrize(("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_it_cleanly_and_it_goes_on_later(
    tmp_path: Path, number: signal.Signals, code: int, workers: int
) -> None:
    path = tmp_path / "a.zarr"
    process = start(path, "--episodes", 10_000, "--workers", workers, TINY_STEP_S=0.01)
    wait_for(path, 2)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == code, errors
    assert "run the same command again" in errors
    assert "Traceback" not in errors
    before = check(path)
    assert before >= 2
    code, errors = run(path, "--episodes", before + 2, "--workers", workers)
    assert code == 0, errors
    assert check(path) == before + 2


def test_a_complete_recording_is_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    for _ in range(2):
        code, errors = run(path, "--episodes", 2, "--workers", 1)
        assert (code, check(path)) == (0, 2), errors


def test_a_process_that_dies_is_named(tmp_path: Path) -> None:
    code, errors = run(tmp_path / "a.zarr", "--workers", 2, TINY_DIE_AT=4)
    assert code == 1
    assert "expected seed 4 from a recording process" in errors
    assert "Traceback" not in errors
    check(tmp_path / "a.zarr")


def test_a_world_that_breaks_in_another_process_shows_its_traceback(tmp_path: Path) -> None:
    code, errors = run(tmp_path / "a.zarr", "--workers", 2, TINY_RAISE_AT=4)
    assert code == 1
    assert "the tiny world fell apart" in errors


def test_a_killed_recorder_leaves_no_process_behind(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    process = start(path, "--episodes", 10_000, "--workers", 2, TINY_STEP_S=0.01)
    wait_for(path, 1)
    os.kill(process.pid, signal.SIGKILL)
    process.communicate(timeout=TIMEOUT_S)
    end = time.monotonic() + 10
    while group_lives(process.pid):
        assert time.monotonic() < end, "a recording process outlived the recorder"
        time.sleep(0.05)


def group_lives(group: int) -> bool:
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, number = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:
            continue
        if int(number) == group and state != "Z":
            return True
    return False


def test_a_second_recorder_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "a.zarr"
    with EpisodeWriter.open(path, SPEC, "tiny", "tiny"):
        code, errors = run(path, "--episodes", 2)
    assert code == 1
    assert "only writer" in errors


def catches_sigterm(pid: int) -> bool:
    """Whether the process has a handler: Python itself sets none for SIGTERM."""
    status = (Path("/proc") / str(pid) / "status").read_text()
    (caught,) = (line.split()[1] for line in status.splitlines() if line.startswith("SigCgt"))
    return bool(int(caught, 16) >> (signal.SIGTERM - 1) & 1)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
@pytest.mark.parametrize("moment_s", [0.0, 0.4, 0.9, 1.5])
def test_a_signal_during_the_start_is_no_traceback(
    tmp_path: Path, number: signal.Signals, code: int, word: str, moment_s: float
) -> None:
    pytest.importorskip("mujoco")
    command = [sys.executable, ROOT / "teleop" / "record.py", "--workers", "2", "--episodes", "9"]
    process = subprocess.Popen(
        list(map(str, [*command, "--out", tmp_path / "a.zarr"])),
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    while not catches_sigterm(process.pid):
        time.sleep(0.005)
    time.sleep(moment_s)
    os.killpg(process.pid, number)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == code, errors
    assert errors == f"df_policy: {word}\n" or "run the same command again" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize("delay_s", [0.0, 0.03, 0.1, 0.3])
def test_a_process_that_is_interrupted_while_it_starts_says_nothing(
    tmp_path: Path, delay_s: float
) -> None:
    path = tmp_path / "a.zarr"
    process = start(path, "--episodes", 10_000, "--workers", 2)
    end = time.monotonic() + TIMEOUT_S
    while not path.is_dir():  # made just before the processes
        assert time.monotonic() < end
        time.sleep(0.002)
    time.sleep(delay_s)
    os.killpg(process.pid, signal.SIGINT)
    _, errors = process.communicate(timeout=TIMEOUT_S)
    assert process.returncode == 130, errors
    assert "Traceback" not in errors


def test_a_recording_below_a_file_is_refused_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "f.zarr").write_text("a file")
    code, errors = run(tmp_path / "f.zarr" / "x.zarr", "--episodes", 2)
    assert code == 1
    assert "expected to make a recording at" in errors
    assert "Traceback" not in errors


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--device", "scriptd"], "did you mean 'scripted'"),
        (["--device", "guide"], "did you mean 'guided'"),
        (["--task", "fruitswap"], "did you mean 'fruit_swap'"),
        (["--episodes", "0"], "--episodes of at least 1"),
        (["--workers", "0"], "--workers of at least 1"),
        (["--seed", "-1"], "--seed of at least 0"),
    ],
)
def test_a_wrong_option_is_named(tmp_path: Path, options: list[str], message: str) -> None:
    command = [sys.executable, str(ROOT / "teleop" / "record.py"), *options]
    done = subprocess.run(
        [*command, "--out", str(tmp_path / "a.zarr")], capture_output=True, text=True, check=False
    )
    assert (done.returncode, "Traceback" in done.stderr) == (1, False)
    assert message in done.stderr
    assert not (tmp_path / "a.zarr").exists()


@pytest.mark.parametrize(
    "command", [["teleop/record.py"], ["-m", "df_policy.teleop.record"]], ids=["file", "module"]
)
def test_help_comes_at_once(command: list[str]) -> None:
    started = time.monotonic()
    done = subprocess.run(
        [sys.executable, *command, "--help"], capture_output=True, text=True, cwd=ROOT, check=True
    )
    assert "--episodes" in done.stdout
    assert time.monotonic() - started < 2.0  # 0.1 s on an idle machine


@pytest.mark.slow
@pytest.mark.parametrize("task", ["fruit_swap", "fruit_swap_anywhere", "fruit_swap_regrasp"])
def test_the_script_records_a_task(tmp_path: Path, task: str) -> None:
    pytest.importorskip("mujoco")
    out = tmp_path / "fruit.zarr"
    command = [sys.executable, str(ROOT / "teleop" / "record.py"), "--out", str(out)]
    command += ["--episodes", "2", "--task", task]
    done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 0, done.stderr
    store = EpisodeStore.open(out)
    assert (len(store), store.spec.name) == (2, "fr3")
    assert store.episode(0).arrays["image_front"].shape[1:3] == find(task).cameras["front"]
    assert store.episode(0).arrays["image_front"].std() > 1.0
