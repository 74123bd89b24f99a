"""Planning beside the control loop: one thread, one job at a time, the newest waits."""

from __future__ import annotations

import logging
import threading
import time
from dataclasses import dataclass

import numpy as np

from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Observation
from df_policy.plan import Plan, Planner

LOG = logging.getLogger(__name__)


@dataclass(frozen=True)
class Job:
    """One observation to plan from."""

    session: int
    """Number of the run; the planner is reset whenever it changes."""
    seed: int
    observation: Observation
    executed: list[Action]


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    session: int
    plan: Plan | None
    problem: str
    """Why there is no plan; empty otherwise."""
    compute_s: float


class PlanningThread:
    """Runs a planner; jobs go in and outcomes come out without anyone waiting.

    Args:
        planner: used by this thread alone from `start` to `close`.
    """

    def __init__(self, planner: Planner) -> None:
        self._planner = planner
        self._change = threading.Condition()
        self._job: Job | None = None
        self._outcome: Outcome | None = None
        self._open = True
        self._session: int | None = None
        self._thread = threading.Thread(target=self._work, name="planning", daemon=True)
        self.dropped = 0
        """Jobs replaced by newer ones before they were begun."""

    def start(self) -> None:
        """Begin to work."""
        self._thread.start()

    def submit(self, job: Job) -> None:
        """Plan this next; a job still waiting is dropped."""
        with self._change:
            self.dropped += self._job is not None
            self._job = job
            self._change.notify()

    def take(self) -> Outcome | None:
        """The newest outcome, once."""
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
                self._change.wait_for(lambda: self._job is not None or not self._open)
                job, self._job = self._job, None
                if job is None or not self._open:
                    return
            outcome = self._carry_out(job)
            with self._change:
                self._outcome = outcome

    def _carry_out(self, job: Job) -> Outcome:
        begin = time.perf_counter()
        plan, problem = None, ""
        try:
            if self._session != job.session:
                self._planner.reset(job.seed)
                self._session = job.session
            plan = check(self._planner.plan(job.observation, job.executed))
        except DfPolicyError as error:
            problem = str(error)
        except Exception as error:  # whatever a planner does, the robot must be held, and told why
            LOG.exception("the planner failed")
            problem = f"the planner failed: {type(error).__name__}: {error}"
        return Outcome(job.session, plan, problem, time.perf_counter() - begin)


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
