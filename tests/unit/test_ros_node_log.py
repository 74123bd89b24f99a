"""The log: all that was put in comes out, a slow or full disk harms nobody but the log."""

import threading

import counting_planner
import numpy as np
import pytest

pytest.importorskip("mcap")

from df_policy.commands import replay
from df_policy.errors import DfPolicyError
from df_policy.frames import Observation
from df_policy.geometry import Pose
from df_policy.ros_nodes import node_log, wire
from df_policy.ros_nodes.node_log import NodeLog
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


def test_a_disk_that_is_full_is_told_at_the_end(tmp_path, monkeypatch):
    log = NodeLog(tmp_path / "a.mcap", {})

    def full(_):
        raise OSError("No space left on device")

    monkeypatch.setattr(log, "_write", full)
    for job in jobs(5):
        log.record(job, 0)
    with pytest.raises(DfPolicyError, match="No space left"):
        log.close()


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
