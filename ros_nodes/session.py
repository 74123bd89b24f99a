"""One run of a policy, from start to stop: when to look, what to plan from, what to send."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass, replace

from df_policy.align import LateStreamError, RobotStreams
from df_policy.frames import Action, Observation
from df_policy.plan import Plan
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.follower import PlanFollower
from df_policy.ros_nodes.monitor import Spread
from df_policy.ros_nodes.planning import Job, PlanningThread

WAITING = "waiting for the first plan"
PATIENCE_NS = 2_000_000_000
"""How long waiting for the first plan is nothing to tell of."""
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


class PolicySession:
    """Looks each `every` actions on a fixed grid, plans beside, follows the newest plan.

    The grid begins at the first images that came after the start. All times are the robot's clock.

    The planner's memory must get every token. If a look is lost, or the planner fails or falls far
    behind, the session is at fault from then on: it holds and says why, until there is a new one.

    Args:
        number: tells sessions apart.
        seed: for the planner.
        spec: the robot.
        timing: see there.
        streams: filled by whoever hears the robot.
        planning: a running thread.
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
        planning: PlanningThread,
        now_ns: int,
    ) -> None:
        self.number = number
        self._seed = seed
        self._spec = spec
        self._timing = timing
        self._streams = streams
        self._planning = planning
        heard = [stream.newest_ns or 0 for stream in streams.all()]
        self._after_ns = max(now_ns, *heard)
        here = Action(
            streams.tool.at(self._after_ns).value,
            streams.joints.at(self._after_ns).value.gripper_m,
        )
        self._follower = PlanFollower(spec, timing.tick_ns, now_ns, here)
        self._start_ns = now_ns
        self._look_ns: int | None = None
        self._fault = ""
        self._trust: Mapping[str, float] = {}
        self.holds: Counter[str] = Counter()
        """Ticks without progress, by the kind of reason."""
        self.looks = 0
        self.plan_latency_ms, self.compute_ms = Spread(), Spread()
        """From the observation to the first target made of it; the planner's own share."""
        self.image_age_ms = Spread()
        """Of each image, at the time of the look that took it."""

    def report(self) -> dict[str, object]:
        """What diagnostics tell of this session."""
        return {
            "looks": self.looks,
            "plan_latency_ms_p50": round(self.plan_latency_ms.percentile(50), 1),
            "plan_latency_ms_p99": round(self.plan_latency_ms.percentile(99), 1),
            "compute_ms_p50": round(self.compute_ms.percentile(50), 1),
            "compute_ms_p99": round(self.compute_ms.percentile(99), 1),
            "look_image_age_ms_p50": round(self.image_age_ms.percentile(50), 1),
            "look_image_age_ms_worst": round(self.image_age_ms.percentile(100), 1),
            **{f"trust {camera}": round(share, 2) for camera, share in self._trust.items()},
            **{f"held_ticks {kind}": count for kind, count in self.holds.items()},
        }

    def look(self, now_ns: int) -> None:
        """Hand the planner the observation of the grid's present time, once it is complete."""
        if self._fault:
            return
        if self._look_ns is None:
            stamps = [stream.newest_ns or 0 for stream in self._streams.images.values()]
            if not stamps or min(stamps) <= self._after_ns:
                return
            self._look_ns = max(stamps)
        look_ns = self._look_ns
        if not self._streams.settled(look_ns) and now_ns < look_ns + self._timing.gather_ns:
            return
        try:
            observation = self._observe(look_ns)
        except LateStreamError as late:
            self._fault = f"the policy's memory lost a token: {late}; {AGAIN}"
            return
        executed = self._follower.executed(look_ns, self._timing.every if self.looks else 0)
        committed = self._follower.coming(look_ns, self._under_way(look_ns, now_ns))
        job = Job(self.number, self._seed, observation, executed, committed)
        if not self._planning.submit(job):
            waiting = self._planning.waiting
            self._fault = f"the planner is {waiting} tokens behind: use a faster device; {AGAIN}"
            return
        for stamp_ns in observation.image_stamps_ns.values():
            self.image_age_ms.add((look_ns - stamp_ns) * 1e-6)
        self.looks += 1
        # Never a later one: if time has leapt, the streams tell whether it can still be taken.
        self._look_ns = look_ns + self._timing.every * self._spec.period_ns

    def _under_way(self, look_ns: int, now_ns: int) -> int:
        """Actions after a look that begin before a plan made of it can be there."""
        slow_ms = self.compute_ms.percentile(99)
        ready_ns = now_ns + (0 if math.isnan(slow_ms) else round(slow_ms * 1e6))
        return max(self._timing.commit, -(-(ready_ns - look_ns) // self._spec.period_ns))

    def _observe(self, look_ns: int) -> Observation:
        observation = self._streams.observe(look_ns)
        before = None
        if self.looks:
            with suppress(LateStreamError):  # a planner that cannot do without it says so
                before = self._streams.observe(look_ns - self._spec.period_ns)
        return replace(observation, before=before)

    def target(self, now_ns: int) -> tuple[Action, Plan | None, str]:
        """What to send now: the target for the end of this tick.

        Returns:
            The target, the plan if a new one begins to be followed, and why the robot is held
            (empty while it follows the plan).
        """
        end_ns = now_ns + self._timing.tick_ns
        plan = self._new_plan(now_ns)
        reason = self._reason_to_hold(now_ns, end_ns)
        if reason:
            return self._follower.hold(end_ns), plan, reason
        return self._follower.step(end_ns), plan, ""

    def _new_plan(self, now_ns: int) -> Plan | None:
        outcome = self._planning.take()
        if outcome is None or outcome.session != self.number:
            return None
        if outcome.problem and not self._fault:
            self._fault = f"{outcome.problem}; {AGAIN}"
        self.compute_ms.add(outcome.compute_s * 1e3)
        if outcome.plan is not None:
            self.plan_latency_ms.add((now_ns - outcome.plan.observed_ns) * 1e-6)
            self._trust = outcome.plan.trust
            self._follower.accept(outcome.plan)
        return outcome.plan

    def _reason_to_hold(self, now_ns: int, end_ns: int) -> str:
        if self._fault:
            self.holds["fault"] += 1
            return self._fault
        try:
            self._streams.check(now_ns)
        except LateStreamError as late:
            self.holds[late.stream] += 1
            return str(late)
        if self._follower.covers(end_ns):
            return ""
        if self._follower.plan_end_ns is None:
            self.holds["first plan"] += 1
            return self._waiting(now_ns)
        self.holds["no plan"] += 1
        late_s = (end_ns - self._follower.plan_end_ns) * 1e-9
        return f"expected a plan in time, got none, the last ended {late_s:.2f} s ago"

    def _waiting(self, now_ns: int) -> str:
        """That there is no plan yet; and, once it lasts, what is missing."""
        waited_ns = now_ns - self._start_ns
        if waited_ns <= PATIENCE_NS:
            return WAITING
        missing = "the planner's answer" if self.looks else "new images of every camera"
        return f"{WAITING}: expected {missing}, got none in {waited_ns * 1e-9:.0f} s"
