"""A plan: what to do when. Whoever executes it picks by the clock and interpolates."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Protocol, runtime_checkable

import numpy as np
from jaxtyping import Float32, Float64, UInt8

from df_policy.costs import Cost
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
    foreseen: Mapping[str, Float32[np.ndarray, "t l"]] = field(default_factory=dict)
    """Camera -> latents of what it will see, at `foreseen_ns`; see `Imagines`."""

    @property
    def end_ns(self) -> int:
        """When the last action is reached."""
        return self.start_ns + len(self.actions) * self.period_ns

    @property
    def foreseen_ns(self) -> tuple[int, ...]:
        """For when each of `foreseen` is: the end of each token."""
        count = max((len(latents) for latents in self.foreseen.values()), default=0)
        length_ns = self.end_ns - self.start_ns
        return tuple(self.start_ns + length_ns * (n + 1) // count for n in range(count))

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


@dataclass(frozen=True)
class Trace:
    """What a planner's last call left behind: enough for another planner to go on in its place."""

    token: bytes
    """What this call added to the memory."""
    rest: bytes
    """All else that the next call depends on: replaces the rest of the call before."""


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


@runtime_checkable
class Rejoining(Planner, Protocol):
    """A planner that another one can take the place of, in the middle of an episode."""

    def remember(self, observation: Observation, executed: Sequence[Action]) -> None:
        """The same without a plan: for what was seen while an earlier plan was being made."""
        ...

    def trace(self) -> Trace:
        """What the last call left behind."""
        ...

    def recall(self, tokens: Sequence[bytes], rest: bytes) -> None:
        """Go on where another planner of the same checkpoint was.

        Args:
            tokens: of its calls in order; where the first are missing it has forgotten them.
            rest: of its last call.

        Raises:
            DfPolicyError: if they are none of this checkpoint's.
        """
        ...


@runtime_checkable
class Imagines(Protocol):
    """A planner that can show what it expects to see."""

    def pictures(self, plan: Plan) -> Mapping[str, UInt8[np.ndarray, "t half_h half_w 3"]]:
        """For each camera the images that a plan foresees, RGB at half the camera's size.

        May be called from another thread than the one that plans.

        Raises:
            DfPolicyError: if it has never learnt to draw.
        """
        ...


@runtime_checkable
class Guided(Protocol):
    """A planner whose plans can be bent."""

    costs: tuple[Cost, ...]
    """What plans are judged and bent by; may be set at any time between two calls."""
