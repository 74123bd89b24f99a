"""The planner's process: no ROS, and no lock that the control side could wait for.

`policy_node` starts it as `python -m df_policy.ros_nodes.planner_process SOCKET CHECKPOINT ...`,
and it ends by itself when the node is gone.
"""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import json
import os
import signal
import socket
import sys
import time
from collections import deque
from collections.abc import Callable

from df_policy.errors import DfPolicyError
from df_policy.plan import Rejoining
from df_policy.processes import die_with_parent
from df_policy.ros_nodes.channel import Channel, PlannerGoneError
from df_policy.ros_nodes.imagining import Painter
from df_policy.ros_nodes.planning import Hello, Job, Recall, Worker

NICER = 3
"""By how much the planner stands back: the control side's ticks come first."""


def serve(make: Callable[[], Rejoining], end: socket.socket, *, imagine: bool = False) -> None:
    """Make a planner and give it jobs until the other end hangs up.

    Args:
        make: makes it; an error that the user can mend is told to the other end.
        end: this end of the line.
        imagine: draw what plans foresee.
    """
    channel = Channel(end)
    try:
        with contextlib.suppress(PlannerGoneError):
            try:
                planner = make()
                painter = Painter(planner) if imagine else None
            except DfPolicyError as error:
                channel.send_all(Hello("{}", 0, 0, str(error)))
                return
            channel.share(planner.spec)
            robot = json.dumps(dataclasses.asdict(planner.spec))
            channel.send_all(Hello(robot, planner.every, planner.commit, ""))
            _work(Worker(planner), painter, channel)
    finally:
        channel.close()


def _work(worker: Worker, painter: Painter | None, channel: Channel) -> None:
    """Job by job; of those that wait together only the newest is planned from.

    Pictures are drawn while no job waits.

    Raises:
        PlannerGoneError: when nobody listens any more.
    """
    waiting: deque[tuple[Job, int]] = deque()
    while True:
        drawing = painter is not None and painter.busy
        message = channel.receive(wait=not waiting and not drawing)
        if isinstance(message, Recall):
            waiting.clear()
            worker.recall(message)
        elif isinstance(message, Job):
            if waiting and waiting[-1][0].session != message.session:
                waiting.clear()  # nobody wants to know any more
            waiting.append((message, time.monotonic_ns()))
        elif waiting:  # all that was sent is here
            job, got_ns = waiting.popleft()
            outcome = worker.carry_out(job, got_ns, plan=not waiting)
            channel.send_all(outcome)
            if painter is not None:
                painter.offer(outcome.plan)
        elif painter is not None and (picture := painter.draw()) is not None:
            channel.offer(picture)


def load_policy(options: argparse.Namespace) -> Rejoining:
    """The policy behind a checkpoint, with so many threads.

    Raises:
        DfPolicyError: if there is none, or it does not allow what was asked for.
    """
    import torch

    from df_policy import checkpoint
    from df_policy.config import resampled
    from df_policy.device import pick
    from df_policy.policy import Policy

    torch.set_num_threads(options.threads)
    trained = checkpoint.load(options.checkpoint, pick(options.device))
    if options.imagine:
        trained.need_imagination()
    sampler = resampled(trained.config.sampler, options.sampler)
    if options.every:
        sampler = dataclasses.replace(sampler, every=options.every)
    dataclasses.replace(trained.config, sampler=sampler)  # refuses what does not fit
    policy = Policy(trained, sampler, pick(options.device))
    policy.warm_up()
    return policy


def command(
    line: int,
    checkpoint: str,
    device: str = "cpu",
    threads: int = 1,
    every: int = 0,
    sampler: str = "",
    *,
    imagine: bool = False,
) -> list[str]:
    """How to start this program with a planner for a checkpoint."""
    program = [sys.executable, "-m", "df_policy.ros_nodes.planner_process", str(line), checkpoint]
    program += ["--device", device, "--threads", str(threads), "--every", str(every)]
    program += ["--sampler", sampler]
    return [*program, "--imagine"] if imagine else program


def run(make: Callable[[], Rejoining], line: int, *, imagine: bool = False) -> int:
    """The life of a planner's process; returns its exit code.

    Args:
        make: makes the planner.
        line: number of the inherited socket.
        imagine: draw what plans foresee.
    """
    # Ctrl-C goes to everyone in the terminal; the node decides when its planner ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    die_with_parent()
    os.nice(NICER)
    serve(make, socket.socket(fileno=line), imagine=imagine)
    return 0


def main(argv: list[str] | None = None) -> int:
    """Run the planner; returns the exit code."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("line", type=int, help="number of the inherited socket")
    options.add_argument("checkpoint")
    options.add_argument("--device", default="cpu")
    options.add_argument("--threads", type=int, default=1)
    options.add_argument("--every", type=int, default=0)
    options.add_argument("--sampler", default="")
    options.add_argument("--imagine", action="store_true")
    chosen = options.parse_args(argv)
    return run(lambda: load_policy(chosen), chosen.line, imagine=chosen.imagine)


if __name__ == "__main__":
    code = main()
    sys.stderr.flush()
    # Nothing is to be saved, and whoever ends the node waits: taking torch down takes a second.
    os._exit(code)
