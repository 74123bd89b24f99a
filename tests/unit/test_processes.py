"""Processes end with their parent, and at once when there is nothing to save."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from df_policy.processes import STOP_SIGNALS, stopping


def start(program, *arguments):
    return subprocess.Popen(
        [sys.executable, "-c", program, *arguments],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize(
    ("number", "code", "word"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "terminated")],
)
def test_leaving_at_once_is_one_line_even_where_exceptions_get_lost(number, code, word):
    program = """if True:
        import signal, time
        from df_policy.processes import leave_at_once
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, leave_at_once)
        class Lost:
            def __del__(self):
                print("ready", flush=True)
                time.sleep(60)
        lost = Lost()
        del lost
        time.sleep(60)
    """
    with start(program) as process:
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, number)
        _, errors = process.communicate(timeout=20)
    assert (process.returncode, errors) == (code, f"df_policy: {word}\n")


@pytest.mark.parametrize("number", STOP_SIGNALS)
def test_a_request_to_stop_is_a_note_and_the_second_one_an_end(number):
    program = """if True:
        import time
        from df_policy.processes import stopping
        with stopping() as stop:
            print("ready", flush=True)
            stop.wait()
            print(stop.number, flush=True)
            time.sleep(60)
    """
    with start(program) as process:
        assert process.stdout.readline() == "ready\n"
        os.kill(process.pid, number)
        assert process.stdout.readline() == f"{int(number)}\n"
        os.kill(process.pid, number)
        assert process.wait(timeout=20) == -number


def test_signals_are_given_back_when_nothing_has_to_be_finished():
    before = [signal.getsignal(number) for number in STOP_SIGNALS]
    with stopping() as stop:
        assert not stop.is_set()
        signal.raise_signal(signal.SIGINT)
        assert stop.is_set()
        assert stop.number == signal.SIGINT
    assert [signal.getsignal(number) for number in STOP_SIGNALS] == before


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux can")
def test_a_child_ends_with_a_parent_that_is_killed():
    program = """if True:
        import subprocess, sys, time
        from df_policy.processes import die_with_parent
        sleep = [sys.executable, "-c", "import time; time.sleep(60)"]
        print(subprocess.Popen(sleep, preexec_fn=die_with_parent).pid, flush=True)
        time.sleep(60)
    """
    with start(program) as process:
        child = int(process.stdout.readline())
        process.kill()
    end = time.monotonic() + 20
    while runs(child):
        assert time.monotonic() < end, "it outlived its parent"
        time.sleep(0.02)


def runs(pid):
    try:
        stat = Path(f"/proc/{pid}/stat").read_text()
    except OSError:
        return False
    return stat.rpartition(")")[2].split()[0] != "Z"


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_a_thread_that_steps_back_leaves_the_others_where_they_are():
    program = """if True:
        import os, threading
        from df_policy.processes import step_back
        def work():
            step_back()
            print(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
        thread = threading.Thread(target=work)
        thread.start()
        thread.join()
        print(os.getpriority(os.PRIO_PROCESS, threading.get_native_id()))
    """
    out, err = start(program).communicate(timeout=60)
    behind, before = map(int, out.split())
    assert behind > before == os.getpriority(os.PRIO_PROCESS, 0), err


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_who_comes_first_does_so_alone_and_is_told_where_it_may_not():
    program = """if True:
        import os, resource, subprocess, threading
        from df_policy.processes import come_first
        may = come_first()
        here = os.sched_getscheduler(0) & ~os.SCHED_RESET_ON_FORK
        seen = []
        thread = threading.Thread(target=lambda: seen.append(os.sched_getscheduler(0)))
        thread.start()
        thread.join()
        tell = "import os; print(os.sched_getscheduler(0))"
        child = subprocess.run(["python3", "-c", tell], capture_output=True, text=True)
        print(may, here == os.SCHED_FIFO, seen == [os.SCHED_OTHER])
        print(int(child.stdout) == os.SCHED_OTHER)
    """
    out, err = start(program).communicate(timeout=60)
    may, first, *others = out.split()
    assert may == first, err
    assert others == ["True", "True"], err


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_who_computes_without_a_pause_comes_first_no_longer():
    program = """if True:
        import os, time
        from df_policy.processes import come_first
        may, end = come_first(), time.monotonic() + 20.0
        while os.sched_getscheduler(0) != os.SCHED_OTHER and time.monotonic() < end:
            pass
        print(may, os.sched_getscheduler(0) == os.SCHED_OTHER)
    """
    out, err = start(program).communicate(timeout=60)
    may, ordinary = out.split()
    assert ordinary == "True", err
    assert ("no real-time priority" in err) == (may == "True")


@pytest.mark.skipif(sys.platform != "linux", reason="priorities of threads are Linux's")
def test_priority_is_lent_to_what_is_started_within_and_kept_by_nobody_else():
    program = """if True:
        import os, threading
        from df_policy.processes import keeping_priority, lending_priority
        def mine():
            return os.sched_getscheduler(0), os.sched_getparam(0).sched_priority
        def started():
            seen = []
            thread = threading.Thread(target=lambda: seen.append(mine()))
            thread.start()
            thread.join()
            return seen[0]
        before = mine()
        with keeping_priority():
            try:
                os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(99))
                may = True
            except PermissionError:
                may = False
        kept = mine() == before
        with lending_priority(50):
            lent = started()
        print(may, lent == ((os.SCHED_FIFO, 50) if may else before))
        print(kept, mine() == before, started() == before)
    """
    out, err = start(program).communicate(timeout=60)
    may, *right = out.split()
    assert right == ["True"] * 4, err
    if may == "False":
        pytest.skip("this user may not have real-time priority: see `ulimit -r`")
