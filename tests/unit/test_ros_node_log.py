"""The log: all that was put in comes out, a slow or full disk harms nobody but the log."""

import fcntl
import os
import subprocess
import sys
import threading
import uuid
from pathlib import Path

import counting_planner
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("mcap")

from df_policy.commands import replay
from df_policy.errors import DfPolicyError
from df_policy.frames import Observation
from df_policy.geometry import Pose
from df_policy.ros_nodes import node_log, wire
from df_policy.ros_nodes.new_file import NewFile
from df_policy.ros_nodes.node_log import Event, NodeLog
from df_policy.ros_nodes.planning import Job, Recall, Worker

TOOL = Pose.of([0.5, 0.0, 0.3], [1, 0, 0, 0])


def jobs(count):
    """Of one session."""
    rng = np.random.default_rng(0)
    images = {"front": rng.integers(0, 256, (8, 8, 3), dtype=np.uint8)}
    made = []
    for n in range(count):
        seen = Observation(n, images, {"front": n}, np.ones(2), np.ones(2), TOOL, 0.08)
        made.append(Job(0, 7, n, seen, [], [], n))
    return made


def written(path, count=20):
    """A log of so many jobs and their outcomes."""
    log, worker = NodeLog(path, {"seed": 7}), Worker(counting_planner.CountingPlanner())
    for job in jobs(count):
        log.record(job, job.sent_ns)
        log.record(worker.carry_out(job, 0, plan=job.number % 3 > 0), job.sent_ns)
    log.record(Recall(0, [b"token"], b"rest"), count)
    log.close()
    return path


def test_what_was_put_in_comes_out_in_order(tmp_path):
    path = written(tmp_path / "a.mcap")
    assert node_log.about(path) == {"seed": 7}
    found = list(node_log.records(path))
    assert len(found) == 41
    again = [record for record in found if isinstance(record, Job)]
    assert [wire.pack(job) for job in again] == [wire.pack(job) for job in jobs(20)]
    assert found[-1] == Recall(0, [b"token"], b"rest")


def test_what_was_asked_of_the_node_comes_out_with_its_time(tmp_path):
    asked = (
        Event("service", "policy/start", "not yet: no camera", False),
        Event("service", "policy/start", "started with seed 7"),
        Event("parameter", "costs", '[{"kind": "speed_limit", "speed_m_s": 0.2}]'),
        Event("state", "inactive"),
    )
    log = NodeLog(tmp_path / "a.mcap", {})
    log.record(jobs(1)[0], 5_000_000_000)
    for number, event in enumerate(asked):
        log.event(event, 6_000_000_000 + number)
    log.close()
    found = list(node_log.events(tmp_path / "a.mcap"))
    assert tuple(event for _, event in found) == asked
    assert [at_s for at_s, _ in found] == pytest.approx([1.0] * 4)
    said = list(replay.timeline([(1.0, asked[0]), (2.0, asked[0]), (3.5, asked[1])]))
    assert said == [
        "      1.00 s  service policy/start: refused: not yet: no camera (2 times, until 2.00 s)",
        "      3.50 s  service policy/start: started with seed 7",
    ]


@given(st.lists(st.binary(min_size=1, max_size=8), min_size=1, max_size=5))
@settings(max_examples=20, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_no_file_is_ever_written_over(tmp_path, contents):
    folder = tmp_path / uuid.uuid4().hex
    for data in contents:
        file = NewFile(folder / "a.mcap")
        assert file.write(data) == file.tell() == len(data)
        file.close()
    names = ["a.mcap", *(f"a-{number}.mcap" for number in range(2, len(contents) + 1))]
    assert [(folder / name).read_bytes() for name in names] == contents
    assert len(list(folder.iterdir())) == len(contents)


def test_a_second_log_of_the_same_name_leaves_the_first_as_it_was(tmp_path):
    path = written(tmp_path / "a.mcap", 3)
    before = path.read_bytes()
    log = NodeLog(path, {"seed": 8})
    log.close()
    assert path.read_bytes() == before
    assert log.path == tmp_path / "a-2.mcap"
    assert node_log.about(log.path) == {"seed": 8}


@pytest.fixture
def pipe(tmp_path):
    """A pipe that takes a page, and its reader's end: a disk that hangs until it is read."""
    if not hasattr(fcntl, "F_SETPIPE_SZ"):
        pytest.skip("needs Linux")
    path = tmp_path / "pipe"
    os.mkfifo(path)
    with os.fdopen(os.open(path, os.O_RDWR), "rb", buffering=0) as reader:
        fcntl.fcntl(reader, fcntl.F_SETPIPE_SZ, 4096)
        yield path, reader


def test_a_disk_that_hangs_stops_nobody_and_gets_all_that_was_kept_once_it_goes_on(
    pipe, tmp_path, monkeypatch
):
    monkeypatch.setattr(node_log, "CHUNK", 1)
    monkeypatch.setattr(node_log, "MOST_WAITING", 8)
    path, reader = pipe
    log = NodeLog(path, {})
    for job in jobs(200):
        log.record(job, 0)  # would never return if it waited
    assert log.left_out > 0
    kept = tmp_path / "kept.mcap"
    with kept.open("wb") as file, path.open("rb", buffering=0) as end:
        disk = subprocess.Popen(["cat"], stdin=end, stdout=file)
        reader.close()
        log.close()
        disk.wait(30.0)
    found = [record.number for record in node_log.records(kept)]
    assert found == sorted(found)
    assert len(found) == 200 - log.left_out


def test_a_disk_that_hangs_for_good_is_told_and_the_program_ends_all_the_same(pipe):
    """As a program: the thread that hangs must not keep it from ending."""
    path, _ = pipe
    program = """
import pathlib, sys
from df_policy.ros_nodes import node_log
node_log.CHUNK = 1
log = node_log.NodeLog(pathlib.Path(sys.argv[1]), {})
for n in range(200):
    log.event(node_log.Event("state", str(n), 100 * "x"), 0)
try:
    log.close(0.2)
except node_log.DfPolicyError as error:
    sys.exit(str(error))
"""
    said = subprocess.run(
        [sys.executable, "-c", program, str(path)],
        env={**os.environ, "PYTHONPATH": str(Path(__file__).parents[2])},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert said.returncode == 1, said.stderr
    assert said.stderr.strip() == "expected to write the log, got a disk that is too slow"


def test_a_disk_that_goes_away_is_told_at_the_end(pipe, monkeypatch):
    monkeypatch.setattr(node_log, "CHUNK", 1)
    path, reader = pipe
    log = NodeLog(path, {})
    reader.close()
    for job in jobs(5):
        log.record(job, 0)
    with pytest.raises(DfPolicyError, match="Broken pipe"):
        log.close()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="needs Linux")
def test_a_disk_that_is_full_from_the_beginning_is_refused():
    with pytest.raises(DfPolicyError, match="No space left on device; make room"):
        NodeLog(Path("/dev/full"), {})


def test_a_log_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path, monkeypatch):
    monkeypatch.setattr(node_log, "CHUNK", 1 << 12)
    path = written(tmp_path / "a.mcap", 100)
    data, read = path.read_bytes(), []
    for length in np.linspace(1000, len(data), 25).astype(int):
        path.write_bytes(data[:length])
        read.append(len(list(node_log.records(path))))
    assert read == sorted(read)
    assert 0 < read[len(read) // 2] < read[-1] == 201


@pytest.mark.parametrize("data", [b"", b"junk" * 100])
def test_anything_else_is_refused(tmp_path, data):
    path = tmp_path / "a.mcap"
    path.write_bytes(data)
    with pytest.raises(DfPolicyError, match="expected a log"):
        node_log.about(path)
    with pytest.raises(DfPolicyError, match="expected a log"):
        node_log.about(tmp_path / "nothing.mcap")


def test_a_disk_that_is_too_slow_stops_nobody_and_what_is_left_out_is_counted(
    tmp_path, monkeypatch
):
    monkeypatch.setattr(node_log, "MOST_WAITING", 8)
    log = NodeLog(tmp_path / "a.mcap", {})
    go = threading.Event()
    write = log._write
    monkeypatch.setattr(log, "_write", lambda entry: go.wait(30.0) and write(entry))
    for job in jobs(30):
        log.record(job, 0)
    assert log.left_out >= 21
    go.set()
    log.close()
    found = [record.number for record in node_log.records(tmp_path / "a.mcap")]
    assert len(found) == 30 - log.left_out


def test_replay_makes_each_plan_again_and_tells_those_that_differ(tmp_path):
    records = [r for r in node_log.records(written(tmp_path / "a.mcap")) if type(r) is not Recall]
    tally = replay.replay(records, Worker(counting_planner.CountingPlanner()))
    assert (tally.plans, tally.same, tally.remembered) == (13, 13, 7)

    class Higher(counting_planner.CountingPlanner):
        def plan(self, seen, executed, committed=()):
            plan = super().plan(seen, executed, committed)
            plan.actions[:, 2] += 0.001 * (seen.stamp_ns > 10)
            return plan

    tally = replay.replay(records, Worker(Higher()))
    assert tally.same == 7
    assert tally.farthest_m == pytest.approx(0.001)


def test_a_log_that_leaves_a_job_out_cannot_be_replayed(tmp_path):
    records = list(node_log.records(written(tmp_path / "a.mcap")))[1:]
    with pytest.raises(DfPolicyError, match="expected job 0 of session 0"):
        replay.replay(records, Worker(counting_planner.CountingPlanner()))


def test_without_the_package_one_line_says_what_to_install(tmp_path, monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "mcap.writer", None)
    with pytest.raises(DfPolicyError, match=r"pip install df_policy\[log\]"):
        NodeLog(tmp_path / "a.mcap", {})
