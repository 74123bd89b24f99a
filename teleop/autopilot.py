"""A policy at the wheel, with a person who may take it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np

from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Observation
from df_policy.plan import Plan, Planner
from df_policy.teleop.mapping import Handling

_NEAR_M, _NEAR_RAD = 1e-3, 1e-2
"""A plan so near to the robot has been joined."""


class Autopilot:
    """Follows a planner action by action.

    The planner is told of every token, whoever drove in it, so that its memory stays true while a
    person corrects; after a correction its next plan counts, and none from before, and is joined
    at a person's speed, however far away it begins.

    Args:
        planner: who decides.
        handling: how fast a person moves the robot.
    """

    def __init__(self, planner: Planner, handling: Handling) -> None:
        self._planner = planner
        spec = planner.spec
        self._gentle = replace(
            spec,
            max_speed_m_s=min(spec.max_speed_m_s, handling.speed_m_s),
            max_turn_rad_s=min(spec.max_turn_rad_s, handling.turn_rad_s),
        )
        self._joined = True
        self._executed: list[Action] = []
        self._plan: Plan | None = None
        self._before: Observation | None = None
        self._step = self._first = 0
        """Actions so far, and those before the plan in force."""

    def start(self, seed: int) -> None:
        """Forget the episode before."""
        self._planner.reset(seed)
        self._executed, self._plan, self._before = [], None, None
        self._step, self._first, self._joined = 0, 0, True

    def look(self, observation: Observation) -> None:
        """See what is there before an action; plans when it is time.

        Raises:
            DfPolicyError: if the planner refuses what it sees.
        """
        if self._step % self._planner.every == 0:
            seen = replace(observation, before=self._before)
            try:
                self._plan = self._planner.plan(seen, self._executed, self._under_way())
            except ValueError as error:
                raise DfPolicyError(f"the policy cannot plan on: {error}") from error
            self._executed, self._first = [], self._step
        self._before = observation

    def _under_way(self) -> list[Action]:
        """What the plan in force does while the next one is made."""
        if self._plan is None or not self._joined:
            return []
        rows = self._plan.actions[self._step - self._first :][: self._planner.commit]
        return [Action.from_row(row) for row in rows]

    def action(self, last: Action) -> Action:
        """What the policy does now; `last` while it has no plan since a correction."""
        if self._plan is None:
            return last
        wanted = self._plan.action(min(self._step - self._first, len(self._plan.actions) - 1))
        if self._joined:
            return wanted
        gentle = self._gentle.limit(wanted, last, 1e-9 * self._gentle.period_ns)
        shift = gentle.tool.position_m - wanted.tool.position_m
        turn = gentle.tool.angle_to(wanted.tool)
        self._joined = float(np.linalg.norm(shift)) < _NEAR_M and turn < _NEAR_RAD
        return gentle

    def forget_plan(self) -> None:
        """Somebody else has driven: only a plan that is made from now on counts."""
        self._plan, self._joined = None, False

    def sent(self, action: Action) -> None:
        """An action was carried out, whoever's it was."""
        self._executed.append(action)
        self._step += 1
