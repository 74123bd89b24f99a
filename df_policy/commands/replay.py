"""`python -m df_policy replay`: make the plans of a log once more, and compare bit for bit."""

from __future__ import annotations

import argparse
import itertools
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from df_policy.ros_nodes.node_log import Event, Record
    from df_policy.ros_nodes.planning import Job, Outcome, Worker


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    options = Options(
        prog="python -m df_policy replay",
        description="Say what was asked of a policy_node when, by its log; then give a planner "
        "what it was given, in the same order, and compare each plan with the one of then.",
    )
    options.add_argument("log", type=Path, help="an .mcap file that policy_node wrote")
    options.add_argument("--checkpoint", help="in place of the one of then")
    return options


@dataclass
class Tally:
    """How many plans came out as they were."""

    plans: int = 0
    same: int = 0
    remembered: int = 0
    """Tokens that no plan was made of."""
    farthest_m: float = 0.0
    """Between a plan of then and the one of now."""


def main(argv: list[str]) -> int:
    """Replay; exit code 0 if each plan is the same to the last bit."""
    options = parser().parse_args(argv)
    from df_policy import __version__
    from df_policy.ros_nodes import node_log, planner_process
    from df_policy.ros_nodes.planning import Worker

    about = node_log.about(options.log)
    if about.get("version") != __version__:
        print(f"the log is of version {about.get('version')}, this is {__version__}")
    checkpoint = options.checkpoint or about["checkpoint"]
    given = {name: about[name] for name in ("device", "threads", "every")}
    given["sampler"] = about.get("sampler", "")  # of 0.2 on
    chosen = argparse.Namespace(checkpoint=checkpoint, imagine=False, **given)
    worker = Worker(planner_process.load_policy(chosen))
    for line in timeline(node_log.events(options.log)):
        print(line)
    tally = replay(node_log.records(options.log), worker)
    print(
        f"{tally.same} of {tally.plans} plans are the same to the last bit"
        f" ({tally.remembered} tokens were only remembered)"
    )
    if tally.plans == 0:
        raise DfPolicyError(f"expected a log with plans, got none in {options.log}")
    if tally.same < tally.plans:
        print(f"the farthest point is {1e3 * tally.farthest_m:.3g} mm from where it was")
    return int(tally.same < tally.plans)


def timeline(events: Iterable[tuple[float, Event]]) -> Iterator[str]:
    """A line for whatever was asked of the node; the same again and again is one line."""
    for said, same in itertools.groupby(events, key=lambda timed: timed[1]):
        times = [at_s for at_s, _ in same]
        often = f" ({len(times)} times, until {times[-1]:.2f} s)" if len(times) > 1 else ""
        refused = "" if said.done else "refused: " * (not said.said.startswith("refused"))
        answer = f": {refused}{said.said}" if said.said or refused else ""
        yield f"{times[0]:10.2f} s  {said.kind} {said.name}{answer}{often}"


def replay(records: Iterable[Record], worker: Worker) -> Tally:
    """Carry out all jobs that had an answer.

    Raises:
        DfPolicyError: if the log does not hold a job that had one.
    """
    from df_policy.ros_nodes.planning import Job, Recall

    tally = Tally()
    waiting: dict[tuple[int, int], Job] = {}
    for record in records:
        if isinstance(record, Recall):
            worker.recall(record)
            waiting.clear()  # what had no answer is sent again
        elif isinstance(record, Job):
            waiting[record.session, record.number] = record
        else:
            job = waiting.pop((record.session, record.number), None)
            if job is None:
                raise DfPolicyError(
                    f"expected job {record.number} of session {record.session} before its answer, "
                    "got none: the disk was too slow when the log was written"
                )
            _compare(tally, record, worker, job)
    return tally


def _compare(tally: Tally, then: Outcome, worker: Worker, job: Job) -> None:
    import numpy as np

    planned = then.plan is not None or bool(then.problem)
    now = worker.carry_out(job, job.sent_ns, plan=planned)
    if then.plan is None or now.plan is None:
        tally.remembered += not planned
        tally.plans += planned
        tally.same += planned and (then.plan, then.problem) == (now.plan, now.problem)
        return
    tally.plans += 1
    same = then.plan.actions.tobytes() == now.plan.actions.tobytes()
    tally.same += same and dict(then.plan.trust) == dict(now.plan.trust)
    if then.plan.actions.shape == now.plan.actions.shape:
        far = np.abs(then.plan.actions[:, :3] - now.plan.actions[:, :3]).max()
        tally.farthest_m = max(tally.farthest_m, float(far))
