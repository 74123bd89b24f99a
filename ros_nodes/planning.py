"""What the control side and the planner's process tell each other, and how the planner works.

A planner with a memory must hear of every token: one left out would be a hole in what it
remembers, and time would seem to run faster. So each job is remembered, in order; but a plan is
made from the newest alone, so that the memory keeps pace however long a plan takes.
"""

from __future__ import annotations

import json
import logging
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

import numpy as np

from df_policy.costs import parse
from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Image, Observation
from df_policy.plan import Guided, Plan, Rejoining, Trace
from df_policy.robot import RobotSpec

LOG = logging.getLogger(__name__)

MOST_WAITING = 16
"""Jobs without an answer; a planner that is so far behind will not catch up."""


@dataclass(frozen=True)
class Hello:
    """What the planner's process says first: whom it can drive, or why it cannot."""

    robot: str
    """`RobotSpec` in JSON."""
    every: int
    commit: int
    problem: str

    def spec(self) -> RobotSpec:
        """The robot that it can drive."""
        return RobotSpec.from_json(json.loads(self.robot))


@dataclass(frozen=True)
class Job:
    """One observation to plan from."""

    session: int
    """Number of the run; the planner is reset whenever it changes."""
    seed: int
    number: int
    """Of this job in its session, from 0."""
    observation: Observation
    executed: list[Action]
    committed: list[Action]
    sent_ns: int
    """Monotonic clock, as all times here but those of observations and plans."""
    costs: str = ""
    """What the plan is bent by, as `df_policy.costs` writes it; empty for nothing."""


@dataclass(frozen=True)
class Recall:
    """To a planner that was started anew in the middle of a session: what it remembers."""

    session: int
    tokens: list[bytes]
    rest: bytes
    """Empty while more tokens follow."""


@dataclass(frozen=True)
class Outcome:
    """What became of a job."""

    session: int
    number: int
    plan: Plan | None
    """None too where the job was only remembered, since a newer one waited."""
    problem: str
    """Why there is no plan, nor will be in this session; empty otherwise."""
    got_ns: int
    """When the planner had the job."""
    begun_ns: int
    ready_ns: int
    trace: Trace | None

    @property
    def compute_s(self) -> float:
        """How long the planner worked on it."""
        return (self.ready_ns - self.begun_ns) * 1e-9


@dataclass(frozen=True)
class Picture:
    """What a plan expects one camera to see; comes after the plan's outcome, or not at all."""

    stamp_ns: int
    """For when: the first of the plan's `foreseen_ns`."""
    camera: str
    rgb: Image


@runtime_checkable
class Planning(Protocol):
    """Who makes plans of looks; see `planner_link.PlannerLink`."""

    @property
    def down(self) -> str:
        """Why nobody plans now; empty while somebody does."""
        ...

    @property
    def waiting(self) -> int:
        """Jobs without an answer."""
        ...

    def submit(self, job: Job) -> bool:
        """Plan this; whether it was taken."""
        ...

    def take(self) -> Outcome | None:
        """The newest answer, once."""
        ...


class Worker:
    """Gives a planner its jobs, and makes an answer of whatever becomes of them.

    Args:
        planner: used by this worker alone.
        now_ns: the monotonic clock.
    """

    def __init__(self, planner: Rejoining, now_ns: Callable[[], int] = time.monotonic_ns) -> None:
        self._planner, self._now_ns = planner, now_ns
        self._session: int | None = None
        self._problem = ""
        self._tokens: list[bytes] = []
        self._costs = ""

    def recall(self, message: Recall) -> None:
        """Take a session up where another planner left it."""
        self._tokens += message.tokens
        if not message.rest:
            return
        tokens, self._tokens = self._tokens, []
        self._session, self._problem = message.session, ""
        self._problem = self._attempt(lambda: self._planner.recall(tokens, message.rest))

    def carry_out(self, job: Job, got_ns: int, *, plan: bool = True) -> Outcome:
        """Remember the job and plan from it.

        Args:
            job: the next one.
            got_ns: when it came.
            plan: otherwise it is only remembered.
        """
        begun_ns = self._now_ns()
        made: list[Plan] = []
        traces: list[Trace] = []

        def work() -> None:
            self._bend_by(job.costs)
            if plan:
                made.append(
                    check(self._planner.plan(job.observation, job.executed, job.committed))
                )
            else:
                self._planner.remember(job.observation, job.executed)
            traces.append(self._planner.trace())

        if self._session != job.session:
            self._session = job.session
            self._problem = self._attempt(lambda: self._planner.reset(job.seed))
        if not self._problem:
            self._problem = self._attempt(work)
        answer = made[0] if made and not self._problem else None
        trace = traces[0] if traces else None
        ids = (job.session, job.number)
        return Outcome(
            *ids, answer, self._problem, got_ns, begun_ns, ready_ns=self._now_ns(), trace=trace
        )

    def _bend_by(self, costs: str) -> None:
        if costs == self._costs:
            return
        if not isinstance(self._planner, Guided):
            raise DfPolicyError("expected no costs: this planner's plans cannot be bent")
        self._planner.costs = parse(costs)
        self._costs = costs

    @staticmethod
    def _attempt(work: Callable[[], None]) -> str:
        """Nothing, or what is wrong."""
        try:
            work()
        except DfPolicyError as error:
            return str(error)
        except Exception as error:  # whatever a planner does, the robot must be held, and told why
            LOG.exception("the planner failed")
            return f"the planner failed: {type(error).__name__}: {error}"
        return ""


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
