"""A plan: what to do when. Whoever executes it picks by the clock and interpolates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float64

from df_policy.frames import Action, Observation
from df_policy.robot import RobotSpec


@dataclass(frozen=True)
class Plan:
    """Targets on a fixed grid of times.

    `actions[i]` starts at `start_ns + i * period_ns` and is reached one period later, just as the
    recorded actions were carried out.
    """

    start_ns: int
    period_ns: int
    actions: Float64[np.ndarray, "h 10"]
    observed_ns: int
    """Stamp of the newest observation that went in."""
    trust: Mapping[str, float] = field(default_factory=dict)
    """Camera -> how far its image was believed: 1 fully, 0 not at all."""

    @property
    def end_ns(self) -> int:
        """When the last action is reached."""
        return self.start_ns + len(self.actions) * self.period_ns

    def action(self, index: int) -> Action:
        """The target with number `index`."""
        return Action.from_row(self.actions[index])

    def at(self, now_ns: int, before: Action) -> Action:
        """The interpolated target for `now_ns`.

        Args:
            now_ns: when the target acts; before the start it is `before`, after the end the last.
            before: the target that was reached when the plan starts.
        """
        elapsed = (now_ns - self.start_ns) / self.period_ns
        if elapsed <= 0.0:
            return before
        if elapsed >= len(self.actions):
            return self.action(-1)
        index = int(elapsed)
        previous = before if index == 0 else self.action(index - 1)
        return previous.towards(self.action(index), elapsed - index)


@runtime_checkable
class Planner(Protocol):
    """Whoever decides, once every `every` actions; see `policy.Policy`."""

    @property
    def spec(self) -> RobotSpec:
        """The robot that it can drive."""
        ...

    @property
    def every(self) -> int:
        """Actions between two plans."""
        ...

    @property
    def commit(self) -> int:
        """Actions of the plan in force that are under way while a new one is made."""
        ...

    def reset(self, seed: int) -> None:
        """Forget the episode; `seed` fixes what is drawn in the next."""
        ...

    def plan(
        self,
        observation: Observation,
        executed: Sequence[Action],
        committed: Sequence[Action] = (),
    ) -> Plan:
        """Remember what is seen and plan on.

        Args:
            observation: what is seen now; with what was seen one action before, except at the
                first call and where that was lost.
            executed: the `every` actions sent between the last call's observation and this one,
                none at the first.
            committed: the actions after the observation that are decided already, since they were
                sent or will have been when the plan is ready: the plan begins with them.
        """
        ...
