"""From plans to a smooth stream of targets; knows neither ROS nor wall time."""

from __future__ import annotations

from dataclasses import dataclass

from df_policy.align import Stream
from df_policy.frames import Action
from df_policy.plan import Plan
from df_policy.robot import RobotSpec

_EVER_S = 1e9
_KEPT_NS = 10_000_000_000


@dataclass(frozen=True)
class _Leg:
    """The walk in the present interval of a plan: times, then targets."""

    start_ns: int
    goal_ns: int
    start: Action
    goal: Action

    def at(self, time_ns: int) -> Action:
        share = (time_ns - self.start_ns) / (self.goal_ns - self.start_ns)
        return self.start.towards(self.goal, share)


class PlanFollower:
    """Walks along the newest plan, interval by interval, and remembers what it sent.

    In each interval of a plan the target goes in a straight line from where it is to the
    interval's action, which it reaches at the interval's end, as in training. A plan that arrives
    in the middle of an interval changes the rest of that interval: the target never jumps.

    Args:
        spec: whose limits the plan's actions are cut to.
        tick_ns: time between two targets.
        now_ns: when following begins.
        hold: the target until there is a plan.
    """

    def __init__(self, spec: RobotSpec, tick_ns: int, now_ns: int, hold: Action) -> None:
        self._spec = spec
        self._period_s = spec.period_ns * 1e-9
        self._plan: Plan | None = None
        self._sent: Stream[Action] = Stream("target_pose", _EVER_S, _KEPT_NS // tick_ns + 1)
        self._sent.add(now_ns, hold)
        self._last_ns, self._last = now_ns, hold
        self._leg: _Leg | None = None

    def accept(self, plan: Plan) -> None:
        """Follow `plan` from the next target on."""
        self._plan = plan
        self._leg = None

    def misfit(self, plan: Plan, now_ns: int) -> str:
        """Why a first plan does not begin where the robot is; empty if it does, or is no first."""
        if self._plan is not None:
            return ""
        index = min(max((now_ns - plan.start_ns) // plan.period_ns, 0), len(plan.actions) - 1)
        leap = self._spec.leap(self._last.tool, plan.action(index).tool)
        return leap and f"expected the first plan to begin near the robot, {leap}"

    def drop(self) -> None:
        """Follow no plan any more: what stands in it is not true now."""
        self._plan = None
        self._leg = None

    def restart(self, now_ns: int) -> None:
        """Begin again at a time before: the clock was set back. The target stays."""
        self.drop()
        self._sent.clear()
        self._sent.add(now_ns, self._last)
        self._last_ns = now_ns

    def covers(self, end_ns: int) -> bool:
        """Whether the plan says what to do until `end_ns`."""
        return self._plan is not None and self._plan.start_ns < end_ns <= self._plan.end_ns

    @property
    def plan_end_ns(self) -> int | None:
        """When the newest plan ends, if there is one."""
        return None if self._plan is None else self._plan.end_ns

    def hold(self, end_ns: int) -> Action:
        """Stay: the last target once more."""
        self._leg = None
        return self._send(end_ns, self._last)

    def step(self, end_ns: int) -> Action:
        """The target to be reached at `end_ns`; the last one where the plan does not reach.

        Args:
            end_ns: the end of the tick that begins now, later than at the last call.
        """
        if self._plan is None or not self.covers(end_ns):
            return self.hold(end_ns)
        if end_ns <= self._last_ns:
            return self._last
        return self._send(end_ns, self._present_leg(self._plan, end_ns).at(end_ns))

    def sent(self, end_ns: int, target: Action) -> None:
        """What was sent in place of the last answer: the gate may have cut it."""
        if end_ns >= self._last_ns:
            self._sent.add(end_ns, target)
            self._last_ns, self._last = end_ns, target

    def executed(self, until_ns: int, count: int) -> list[Action]:
        """What was sent for the last `count` action times until `until_ns`, oldest first."""
        period = self._spec.period_ns
        times = [until_ns - index * period for index in reversed(range(count))]
        return [self._sent_at(time_ns) for time_ns in times]

    def _present_leg(self, plan: Plan, end_ns: int) -> _Leg:
        index = -((plan.start_ns - end_ns) // plan.period_ns) - 1
        goal_ns = plan.start_ns + (index + 1) * plan.period_ns
        if self._leg is None or self._leg.goal_ns != goal_ns:
            begin_ns = goal_ns - plan.period_ns
            before = self._sent_at(begin_ns)
            goal = self._spec.limit(plan.action(index), before, self._period_s)
            self._leg = _Leg(max(self._last_ns, begin_ns), goal_ns, self._last, goal)
        return self._leg

    def coming(self, from_ns: int, count: int) -> list[Action]:
        """The next `count` actions after a time as they were sent or stand in the plan.

        Fewer where the plan ends before, none without a plan.
        """
        actions = []
        for index in range(1, count + 1):
            time_ns = from_ns + index * self._spec.period_ns
            if time_ns <= self._last_ns:
                actions.append(self._sent_at(time_ns))
            elif self._plan is not None and self.covers(time_ns):
                actions.append(self._plan.at(time_ns, self._last))
            else:
                break
        return actions

    def _send(self, end_ns: int, target: Action) -> Action:
        if end_ns > self._last_ns:
            self._sent.add(end_ns, target)
            self._last_ns, self._last = end_ns, target
        return target

    def _sent_at(self, time_ns: int) -> Action:
        """The newest target not after a time; before the first, the first."""
        return self._sent.at(max(time_ns, self._sent.oldest_ns or 0)).value
