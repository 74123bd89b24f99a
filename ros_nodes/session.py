"""One run of a policy, from start to stop: when to look, what to plan from, what to send."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from df_policy.align import LateStreamError, RobotStreams
from df_policy.costs import Pending, parse, write
from df_policy.frames import Action, Observation
from df_policy.plan import Plan
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.figures import Figures
from df_policy.ros_nodes.follower import PlanFollower
from df_policy.ros_nodes.planning import Job, Planning
from df_policy.ros_nodes.stages import Chain, Look, chain, look_at

WAITING = "waiting for the first plan"
PATIENCE_NS = 2_000_000_000
"""How long waiting for a plan is nothing to tell of."""
LEAP_NS = 1_000_000_000
"""Where a clock is set back by more, what lies ahead of it is forgotten; by less, waited for."""
AGAIN = "call policy/start again"


@dataclass(frozen=True)
class Timing:
    """How a session keeps time."""

    tick_ns: int
    """Between two targets."""
    every: int
    """Actions between two looks."""
    commit: int
    """Actions at least that are decided already when a plan is asked for."""
    gather_ns: int
    """How long a look waits for samples that are under way."""
    plan_age_ns: int
    """How old what a plan was made of may be while it is followed."""


class PolicySession:
    """Looks each `every` actions on a fixed grid, plans beside, follows the newest plan.

    The grid begins at the first images that came after the start. All times are by the robot's
    clock.

    The planner's memory must get every token of the time in which the robot moves. Where that
    cannot be, since a stream was late at a look or the planner died, the session pauses: it holds,
    follows no plan that was made before, and once all is there again begins a new grid with the
    memory as it was. If the planner fails at a job, the session is at fault until there is a new
    one.

    Args:
        number: tells sessions apart.
        seed: for the planner.
        spec: the robot.
        timing: see there.
        streams: filled by whoever hears the robot.
        planning: who plans.
        now_ns: the start.

    Raises:
        LateStreamError: if the robot has not said lately where it is.
    """

    def __init__(
        self,
        number: int,
        seed: int,
        spec: RobotSpec,
        timing: Timing,
        streams: RobotStreams,
        planning: Planning,
        now_ns: int,
        *,
        mono_ns: Callable[[], int] = time.monotonic_ns,
    ) -> None:
        self.number = number
        self._seed = seed
        self._spec = spec
        self._timing = timing
        self._streams = streams
        self._planning = planning
        self._mono_ns = mono_ns
        heard = [stream.newest_ns or 0 for stream in streams.all()]
        self._after_ns = max(now_ns, *heard)
        self.here = Action(
            streams.tool.at(self._after_ns).value,
            streams.joints.at(self._after_ns).value.gripper_m,
        )
        """Where the robot was at the start."""
        self._follower = PlanFollower(spec, timing.tick_ns, now_ns, self.here)
        self._since_ns = self._latest_ns = now_ns
        self._look_ns: int | None = None
        self._fault = self._pause = ""
        self._trust: Mapping[str, float] = {}
        self._under_way: dict[int, Look] = {}
        self._plan_image_ns: int | None = None
        self._costs = Pending(())
        self.chain: Chain | None = None
        """Of the plan that is followed."""
        self.figures = Figures()

    def bend(self, costs: str) -> None:
        """Ask for plans that cost little from now on.

        Args:
            costs: as `df_policy.costs` writes them.
        """
        self._costs = Pending(parse(costs))

    @property
    def fault(self) -> str:
        """Why it holds until there is a new session; empty if it does not."""
        return self._fault

    def report(self) -> dict[str, object]:
        """What diagnostics tell of this session."""
        trust = {f"trust {camera}": round(share, 2) for camera, share in self._trust.items()}
        return self.figures.report() | trust

    def look(self, now_ns: int) -> None:
        """Hand the planner the observation of the grid's present time, once it is complete."""
        if self._fault or self._planning.down:
            return
        if self._look_ns is None:
            stamps = [stream.newest_ns or 0 for stream in self._streams.images.values()]
            if not stamps or min(stamps) <= self._after_ns:
                return
            if self.figures.looks and not self._has_forerunner(max(stamps)):
                self._after_ns = max(stamps)
                return
            self._look_ns = max(stamps)
        look_ns = self._look_ns
        if not self._streams.settled(look_ns) and now_ns < self._patience_ns(look_ns, now_ns):
            return
        try:
            observation = self._observe(look_ns)
        except LateStreamError as late:
            self._interrupt(late.stream, f"lost a look: {late}", now_ns)
            return
        looks = self.figures.looks
        executed = self._follower.executed(look_ns, self._timing.every if looks else 0)
        committed = self._follower.coming(look_ns, self._decided(look_ns, now_ns))
        sent_ns = self._mono_ns()
        ids = (self.number, self._seed, looks)
        job = Job(*ids, observation, executed, committed, sent_ns, write(self._costs.now))
        look = look_at(observation, self._streams, now_ns, sent_ns, len(committed))
        if not self._planning.submit(job):
            behind = f"the planner is {self._planning.waiting} tokens behind: use a faster device"
            self._interrupt("planner", self._planning.down or behind, now_ns)
            return
        self._under_way[looks] = look
        self.figures.looked(observation)
        # Never a later one: if time has leapt, the streams tell whether it can still be taken.
        self._look_ns = look_ns + self._timing.every * self._spec.period_ns

    def _patience_ns(self, look_ns: int, now_ns: int) -> int:
        """Until when a look waits: as long as samples usually take to be here, and a bit."""
        at_least_ns = look_ns + self._timing.gather_ns
        return at_least_ns if now_ns < at_least_ns else at_least_ns + self._streams.delay_ns

    def _decided(self, look_ns: int, now_ns: int) -> int:
        """Actions after a look that begin before a plan made of it can be there."""
        ready_ns = now_ns + round(self.figures.usual_ms.most * 1e6)
        return max(self._timing.commit, -(-(ready_ns - look_ns) // self._spec.period_ns))

    def _has_forerunner(self, look_ns: int) -> bool:
        """Whether it is known what was seen an action before, which some planners ask for."""
        try:
            self._streams.observe(look_ns - self._spec.period_ns)
        except LateStreamError:
            return False
        return True

    def _observe(self, look_ns: int) -> Observation:
        observation = self._streams.observe(look_ns)
        before = None
        if self.figures.looks:
            with suppress(LateStreamError):  # a planner that cannot do without it says so
                before = self._streams.observe(look_ns - self._spec.period_ns)
        return replace(observation, before=before)

    def target(self, now_ns: int) -> tuple[Action, Plan | None, str]:
        """What to send now: the target for the end of this tick.

        Returns:
            The target, the plan if a new one begins to be followed, and why the robot is held
            (empty while it follows the plan).
        """
        if now_ns < self._latest_ns - LEAP_NS:
            self._interrupt("clock", "the clock was set back", now_ns)
            self._follower.restart(now_ns)
            self._latest_ns = now_ns
        self._latest_ns = max(self._latest_ns, now_ns)
        end_ns = now_ns + self._timing.tick_ns
        plan = self._new_plan(now_ns)
        reason = self._reason_to_hold(now_ns, end_ns)
        if reason:
            return self._follower.hold(end_ns), plan, reason
        if self._plan_image_ns is not None:
            self.figures.command_age_ms.add((now_ns - self._plan_image_ns) * 1e-6)
        return self._follower.step(end_ns), plan, ""

    def sent(self, now_ns: int, target: Action) -> None:
        """What was sent of the last answer; the planner is told of it."""
        self._costs.passed(target.tool.position_m)
        self._follower.sent(now_ns + self._timing.tick_ns, target)

    def _interrupt(self, kind: str, why: str, now_ns: int) -> None:
        """Hold until all is there again; then begin a new grid."""
        if self._pause:
            self._since_ns = max(self._since_ns, now_ns)
        else:
            self.figures.pauses[kind] += 1
            self._since_ns = now_ns
        self._pause = why
        self._follower.drop()
        self._look_ns, self._plan_image_ns = None, None
        self._after_ns = now_ns

    def _new_plan(self, now_ns: int) -> Plan | None:
        outcome = self._planning.take()
        if self._planning.down and not self._fault:
            self._interrupt("planner", self._planning.down, now_ns)
        if outcome is None or outcome.session != self.number:
            return None
        if outcome.problem and not self._fault:
            self._fault = f"{outcome.problem}; {AGAIN}"
        self.figures.answered(outcome.compute_s)
        look = self._under_way.get(outcome.number)
        self._under_way = {n: at for n, at in self._under_way.items() if n > outcome.number}
        plan = outcome.plan
        if plan is None or look is None or (self._pause and plan.observed_ns <= self._since_ns):
            return None
        if far := self._follower.misfit(plan, now_ns):
            self._interrupt("plan", far, now_ns)
            return None
        self._pause = ""
        self.figures.plan_latency_ms.add((now_ns - plan.observed_ns) * 1e-6)
        self.chain = chain(look, outcome, plan, now_ns, self._mono_ns())
        self.figures.followed(self.chain)
        self._trust, self._plan_image_ns = plan.trust, look.image_ns
        self._follower.accept(plan)
        return plan

    def _reason_to_hold(self, now_ns: int, end_ns: int) -> str:
        if self._fault:
            self.figures.holds["fault"] += 1
            return self._fault
        if self._planning.down:
            self.figures.holds["planner"] += 1
            return self._planning.down
        if now_ns < self._latest_ns:
            self.figures.holds["clock"] += 1
            back_s = (self._latest_ns - now_ns) * 1e-9
            return f"the clock was set back: on again in {back_s:.2f} s, when it is where it was"
        try:
            self._streams.check(now_ns)
        except LateStreamError as late:
            self.figures.holds[late.stream] += 1
            return str(late)
        age_ns = now_ns - (now_ns if self._plan_image_ns is None else self._plan_image_ns)
        if age_ns > self._timing.plan_age_ns:
            self.figures.holds["old plan"] += 1
            limit_s = self._timing.plan_age_ns * 1e-9
            seen_s = age_ns * 1e-9
            return (
                f"expected a plan of what was seen within {limit_s:g} s, got one of {seen_s:.2f} s"
            )
        if self._follower.covers(end_ns):
            return ""
        if self._follower.plan_end_ns is None:
            self.figures.holds["pause" if self._pause else "first plan"] += 1
            return self._waiting(now_ns)
        self.figures.holds["no plan"] += 1
        late_s = (end_ns - self._follower.plan_end_ns) * 1e-9
        return f"expected a plan in time, got none, the last ended {late_s:.2f} s ago"

    def _waiting(self, now_ns: int) -> str:
        """That there is no plan yet; and, once it lasts, what is missing."""
        waiting = f"waiting for a new plan, {self._pause}" if self._pause else WAITING
        waited_ns = now_ns - self._since_ns
        if waited_ns <= PATIENCE_NS:
            return waiting
        missing = "the planner's answer" if self._under_way else "new images of every camera"
        return f"{waiting}: expected {missing}, got none in {waited_ns * 1e-9:.0f} s"
