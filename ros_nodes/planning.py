"""Planning beside the control loop: one thread that gives the planner every job, in order.

A planner with a memory must hear of every token: a job left out would be a hole in what it
remembers, and time would seem to run faster. So no job of a session is ever replaced by a newer
one, and after a job that failed its session gets no further plans.
"""

from __future__ import annotations

import logging
import threading
import time
from collections import deque
from dataclasses import dataclass

import numpy as np

from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Observation
from df_policy.plan import Plan, Planner

LOG = logging.getLogger(__name__)

MOST_WAITING = 16
"""Jobs; a planner that is so far behind will not catch up."""


@dataclass(frozen=True)
class Job:
    """One observation to plan from."""

    session: int
    """Number of the run; the planner is reset whenever it changes."""
    seed: int
    observation: Observation
    executed: list[Action]
    committed: list[Action]


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    session: int
    plan: Plan | None
    problem: str
    """Why there is no plan, nor will be in this session; empty otherwise."""
    compute_s: float


class PlanningThread:
    """Runs a planner; jobs go in and outcomes come out without anyone waiting.

    Args:
        planner: used by this thread alone from `start` to `close`.
    """

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._change = threading.Condition()
        self._jobs: deque[Job] = deque()
        self._outcome: Outcome | None = None
        self._open = True
        self._session: int | None = None
        self._problem = ""
        self._thread = threading.Thread(target=self._work, name="planning", daemon=True)

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, job: Job) -> bool:
        """Plan this after all that waits; jobs of other sessions are dropped.

        Returns:
            Whether it was taken: not if too many wait already.
        """
        with self._change:
            if any(waiting.session != job.session for waiting in self._jobs):
                self._jobs.clear()
            if len(self._jobs) >= MOST_WAITING:
                return False
            self._jobs.append(job)
            self._change.notify()
            return True

    @property
    def waiting(self) -> int:
        """Jobs not yet begun."""
        with self._change:
            return len(self._jobs)

    def take(self) -> Outcome | None:
        """The newest outcome, once; older ones that nobody took are of no use any more."""
        with self._change:
            outcome, self._outcome = self._outcome, None
            return outcome

    def close(self, timeout_s: float = 5.0) -> bool:
        """End after the present job; whether that happened in time."""
        with self._change:
            self._open = False
            self._change.notify()
        if self._thread.ident is not None:
            self._thread.join(timeout_s)
        return not self._thread.is_alive()

    def _work(self) -> None:
        while True:
            with self._change:
                self._change.wait_for(lambda: self._jobs or not self._open)
                if not self._open:
                    return
                job = self._jobs.popleft()
            outcome = self._carry_out(job)
            with self._change:
                self._outcome = outcome

    def _carry_out(self, job: Job) -> Outcome:
        begin = time.perf_counter()
        plan = None
        try:
            if self._session != job.session:
                self._session, self._problem = job.session, ""
                self._planner.reset(job.seed)
            if not self._problem:
                plan = check(self._planner.plan(job.observation, job.executed, job.committed))
        except DfPolicyError as error:
            self._problem = str(error)
        except Exception as error:  # whatever a planner does, the robot must be held, and told why
            LOG.exception("the planner failed")
            self._problem = f"the planner failed: {type(error).__name__}: {error}"
        return Outcome(job.session, plan, self._problem, time.perf_counter() - begin)


def check(plan: Plan) -> Plan:
    """The plan, if each of its actions can be carried out.

    Raises:
        DfPolicyError: if it is empty, not finite, or a rotation is none.
    """
    if len(plan.actions) == 0 or not np.isfinite(plan.actions).all():
        raise DfPolicyError("expected a plan of finite actions, got an empty one or others")
    try:
        for index in range(len(plan.actions)):
            plan.action(index)
    except ValueError as error:
        raise DfPolicyError(
            f"expected proper rotations in the plan, got others: {error}"
        ) from error
    return plan
