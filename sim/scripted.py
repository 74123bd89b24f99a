"""The scripted operator: it knows where the fruits are, and swaps them with a human's variety."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass

import numpy as np

from df_policy.environment import Command, Event
from df_policy.frames import Action, Observation
from df_policy.geometry import Pose, Vector
from df_policy.sim import task
from df_policy.sim.environment import FruitSwap
from df_policy.sim.world import World

_DT_S = 0.1
_SPEED_M_S = 0.5
_SPEED_SPREAD = (0.85, 1.2)
_HOVER_M = 0.12
_GRIP_STEPS = 4
_REST_S, _LONG_REST_S = (0.3, 1.5), (1.5, 3.0)
_LONG_REST_SHARE = 0.2
"""Without long rests, having rested for long would look like being done."""
_LAST_START = 150
"""A move that starts later might not be over two seconds before the end."""


@dataclass(frozen=True)
class Move:
    """Carry one fruit into one slot."""

    fruit: str
    slot: int


class ScriptedOperator:
    """Solves fruit swap from the fruits' true positions; see `df_policy.environment.Operator`.

    Before each move it rests at home for a random time, so that what is seen there says nothing
    about the moves already done. A missed grasp is tried again.
    """

    def __init__(self, world: World | FruitSwap) -> None:
        """Drives `world`.

        Args:
            world: the world, or the environment around it, that carries out the actions.
        """
        self._world = world.world if isinstance(world, FruitSwap) else world
        self.start(self._world.observe(cameras=False), seed=0)

    def start(self, observation: Observation, seed: int) -> None:
        """A new episode begins; all of its variety comes from `seed`."""
        del observation  # it knows more than any observation tells
        self._rng = np.random.default_rng([seed, 1])
        self._first = str(self._rng.choice(("apple", "orange")))
        self._last = self._world.home
        self._queue: deque[Action] = deque()
        self._steps = 0

    def act(self, observation: Observation) -> Command:
        """The next action; with the episode's last one, whether to keep the recording."""
        del observation
        if not self._queue:
            self._queue.extend(self._next())
        self._last = self._queue.popleft()
        self._steps += 1
        if self._steps < task.EPISODE_STEPS:
            return Command(self._last)
        success = self._world.judge().success
        return Command(self._last, Event.KEEP if success else Event.DROP)

    def _next(self) -> list[Action]:
        """A rest at home and the next move, or one more step of rest when there is none."""
        move = next_move(self._world.start, self._first, self._world.fruits_m())
        if move is None or self._steps > _LAST_START:
            return [self._last]
        long = self._rng.random() < _LONG_REST_SHARE
        rest = round(float(self._rng.uniform(*(_LONG_REST_S if long else _REST_S))) / _DT_S)
        return [self._last] * rest + self._carry(move)

    def _carry(self, move: Move) -> list[Action]:
        """The way from home to the fruit, to its slot and back home."""
        fruit = self._world.fruits_m()[move.fruit]
        grasp = fruit + self._noise(0.006, 0.003, 0.004) + [0.0, 0.0, 0.007]
        drop = np.array([*task.SLOTS_M[move.slot], fruit[2] + 0.011])
        drop = drop + self._noise(0.006, 0.006, 0.003)
        path = _Path(self._last, _SPEED_M_S * float(self._rng.uniform(*_SPEED_SPREAD)))
        path.to(self._above(grasp))
        path.to(grasp)
        path.grip(0.0)
        path.to(self._above(grasp))
        path.to(self._above(drop))
        path.to(drop)
        path.grip(task.OPEN_M)
        path.to(self._above(drop))
        path.to(task.HOME.position_m + self._noise(0.003, 0.003, 0.003))
        return path.actions

    def _above(self, point_m: Vector) -> Vector:
        return np.asarray(point_m + [0.0, 0.0, _HOVER_M] + self._noise(0.012, 0.012, 0.015))

    def _noise(self, x_m: float, y_m: float, z_m: float) -> Vector:
        return np.asarray(self._rng.uniform(-1.0, 1.0, 3) * [x_m, y_m, z_m])


def next_move(start: task.Start, first: str, fruits_m: dict[str, Vector]) -> Move | None:
    """The move to make now: `first` to the empty slot, the other across, `first` to its goal.

    It follows from where the fruits lie, not from what was tried, so that a miss is repeated.

    Args:
        start: how the episode began.
        first: the fruit that is moved first.
        fruits_m: where the fruits are now.
    """
    second = "orange" if first == "apple" else "apple"
    slots = {fruit: task.slot_of(position) for fruit, position in fruits_m.items()}
    if slots[second] == start.goals[second]:
        done = slots[first] == start.goals[first]
        return None if done else Move(first, start.goals[first])
    if slots[first] == start.empty:
        return Move(second, start.goals[second])
    return Move(first, start.empty)


class _Path:
    """Actions that grow way-point by way-point, each stretch a minimum-jerk motion."""

    def __init__(self, start: Action, speed_m_s: float) -> None:
        self.actions: list[Action] = []
        self._at = start
        self._speed_m_s = speed_m_s

    def to(self, point_m: Vector) -> None:
        begin = self._at.tool.position_m
        duration_s = float(np.linalg.norm(point_m - begin)) / self._speed_m_s
        steps = max(3, round(duration_s / _DT_S))
        for step in range(1, steps + 1):
            u = step / steps
            share = u**3 * (10.0 - 15.0 * u + 6.0 * u**2)
            self._add(begin + share * (point_m - begin), self._at.gripper_m)

    def grip(self, opening_m: float) -> None:
        for _ in range(_GRIP_STEPS):
            self._add(self._at.tool.position_m, opening_m)

    def _add(self, position_m: Vector, gripper_m: float) -> None:
        self._at = Action(Pose(position_m, task.HOME.quat_xyzw), gripper_m)
        self.actions.append(self._at)
