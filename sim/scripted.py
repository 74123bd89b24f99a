"""The scripted operator: it knows where the fruits are, and works with a human's variety."""

from __future__ import annotations

from collections import deque
from typing import Protocol, runtime_checkable

import numpy as np

from df_policy.environment import Command, Event
from df_policy.frames import Observation
from df_policy.geometry import Vector
from df_policy.sim.path import DT_S, Path, Phase, Step
from df_policy.sim.tasks.task import HOME, OPEN_M, Move, Scene
from df_policy.sim.world import World

_SPEED_M_S = 0.5
_SPEED_SPREAD = (0.85, 1.2)
_HOVER_M = 0.12
_REST_S, _LONG_REST_S = (0.3, 1.5), (1.5, 3.0)
_LONG_REST_SHARE = 0.2
"""Without long rests, having rested for long would look like being done."""

_MOVED_M = 0.015
"""A fruit that far from where the hand expects it is not where a grasp would succeed."""
_LOST_M = 0.040
"""A fruit that far from the tool is not held."""
_DOUBT_STEPS = 2
"""A surprise must last so many steps to be believed: a moment's slip is none."""
_ROLLING_M_S = 0.05
_LOW_M = 0.10
"""Below this height the hand rises before it goes anywhere."""
_LONGEST_MOVE_STEPS = 74
"""A move that begins later before the end might not be over two seconds before it."""
_END_STEPS = 8
"""A disturbed operator is content to be done so shortly before the end."""


@runtime_checkable
class HasWorld(Protocol):
    """An environment around a world."""

    world: World


class ScriptedOperator:
    """Solves a task from the fruits' true positions; see `df_policy.environment.Operator`.

    Before each move it rests at home for a random time, so that what is seen there says nothing
    about the moves already done. It notices within 0.3 s when a fruit is not where it should be:
    then it opens the hand, goes up and grasps again, without a rest.
    """

    def __init__(self, world: World | HasWorld) -> None:
        """Drives `world`.

        Args:
            world: the world, or an environment around it, that carries out the actions.
        """
        self._world = world if isinstance(world, World) else world.world
        self.start(self._world.observe(cameras=False), seed=0)

    def start(self, observation: Observation, seed: int) -> None:
        """A new episode begins; all of its variety comes from `seed`."""
        del observation  # it knows more than any observation tells
        self._rng = np.random.default_rng([seed, 1])
        self._order = self._world.task.order(self._world.start, self._rng)
        self._last = self._world.home
        self._queue: deque[Step] = deque()
        self._move: Move | None = None
        self._where: dict[str, int | None] | None = None  # what it expects to find when it decides
        self._expected = np.zeros(3)
        self._doubts = self._steps = 0
        self._hurried = self._disturbed = self._world.home.tool is not HOME
        if self._hurried:
            self._queue.extend(self._retreat())

    def act(self, observation: Observation) -> Command:
        """The next action; with the episode's last one, whether to keep the recording."""
        del observation
        if self._queue and self._surprised(self._queue[0].phase):
            self._react(self._queue[0].phase)
        if not self._queue:
            self._queue.extend(self._next())
        self._last = self._queue.popleft().action
        self._steps += 1
        if self._steps < self._world.task.steps:
            return Command(self._last)
        success = self._world.judge().success
        return Command(self._last, Event.KEEP if success else Event.DROP)

    def _next(self) -> list[Step]:
        """A rest at home and the next move, or one more step of rest when there is none."""
        scene = self._world.scene()
        move = self._decide(scene)
        waiting = [Step(self._last, Phase.LEAVE)]
        where = self._world.start.places_of(scene.positions_m)
        self._disturbed |= self._where is not None and self._where != where
        self._where = where
        if move is None:
            return self._go_home() if self._hurried else waiting
        if scene.speeds_m_s[move.fruit] > _ROLLING_M_S and self._disturbed:
            return waiting
        late = self._steps > self._world.task.steps - _LONGEST_MOVE_STEPS
        if late and not self._disturbed:
            return waiting
        rest: list[Step] = []
        if not self._hurried:
            long = self._rng.random() < _LONG_REST_SHARE
            length_s = float(self._rng.uniform(*(_LONG_REST_S if long else _REST_S)))
            length_s = _REST_S[0] if late else length_s
            rest = [Step(self._last, Phase.REST)] * round(length_s / DT_S)
        steps = rest + self._fetch(move)
        if self._disturbed and self._steps + len(steps) > self._world.task.steps - _END_STEPS:
            return self._go_home() if self._hurried else waiting
        self._hurried = False
        self._where = {**where, move.fruit: move.place}
        return steps

    def _decide(self, scene: Scene) -> Move | None:
        """The move to make now, if its fruit can be reached."""
        held = self._world.held_fruit()
        order = self._order if held is None else (held, *(f for f in self._order if f != held))
        move = self._world.task.next_move(self._world.start, order, scene)
        if move is None:
            return None
        low, high = (np.array(corner) for corner in self._world.spec.workspace_m)
        at = scene.positions_m[move.fruit] + [0.0, 0.0, 0.007]
        return move if (at >= low).all() and (at <= high).all() else None

    def _surprised(self, phase: Phase) -> bool:
        """Whether the world has not been as planned for some steps."""
        if phase in (Phase.GRIP, Phase.LEAVE) or self._move is None:
            self._doubts = 0
            return False
        scene, move = self._world.scene(), self._move
        at = scene.positions_m[move.fruit]
        there = self._world.place_of(move.fruit) == move.place  # about to be let go
        if phase is Phase.CARRY:
            odd = float(np.linalg.norm(at - scene.tool_m)) > _LOST_M
        else:
            odd = float(np.linalg.norm(at - self._expected)) > _MOVED_M
        odd = odd or not (there or self._decide(scene) == move)
        self._doubts = self._doubts + 1 if odd else 0
        return self._doubts >= _DOUBT_STEPS

    def _react(self, phase: Phase) -> None:
        """Drop the plan; keep what is left of a rest, and what is in the hand."""
        rest = [step for step in self._queue if step.phase is Phase.REST]
        self._queue.clear()
        self._doubts, self._disturbed = 0, True
        if phase is Phase.REST:
            move = self._decide(self._world.scene())
            self._queue.extend([*rest, *(self._fetch(move) if move else [])])
        elif self._world.held_fruit() is not None:
            move = self._decide(self._world.scene())
            self._queue.extend(self._deliver(move) if move else self._retreat())
        else:
            self._queue.extend(self._retreat())
            self._hurried = True

    def _retreat(self) -> list[Step]:
        """Open, and go up where the hand is low."""
        path = Path(self._last, _SPEED_M_S, Phase.LEAVE)
        path.grip(OPEN_M, 2)
        self._rise(path)
        return path.steps

    def _go_home(self) -> list[Step]:
        self._hurried = False
        path = Path(self._last, _SPEED_M_S, Phase.LEAVE)
        self._rise(path)
        path.to(HOME.position_m + self._noise(0.003, 0.003, 0.003))
        return path.steps

    def _rise(self, path: Path) -> None:
        if path.height_m < _LOW_M:
            up = self._last.tool.position_m.copy()
            up[2] = _HOVER_M + 0.03
            path.to(up)

    def _fetch(self, move: Move) -> list[Step]:
        """The way from here to the fruit, to its place and back home."""
        self._move = move
        fruit = self._expected = self._world.fruits_m()[move.fruit]
        grasp = fruit + self._noise(0.006, 0.003, 0.004) + [0.0, 0.0, 0.007]
        drop = self._drop(move, float(fruit[2]))
        path = Path(self._last, self._speed(), Phase.REACH)
        path.to(self._above(grasp))
        path.to(grasp)
        path.grip(OPEN_M, self._world.task.settle_steps)
        path.phase = Phase.GRIP
        path.grip(0.0)
        path.phase = Phase.CARRY
        path.to(self._above(grasp))
        self._put_down(path, drop)
        return path.steps

    def _deliver(self, move: Move) -> list[Step]:
        """The way of a fruit in the hand to another place than was planned."""
        self._move = move
        path = Path(self._last, self._speed(), Phase.CARRY)
        self._rise(path)
        self._put_down(path, self._drop(move, self._world.start.radii_m[move.fruit]))
        return path.steps

    def _put_down(self, path: Path, drop: Vector) -> None:
        """With the fruit in the hand to its place, and back home without it."""
        path.to(self._above(drop))
        path.to(drop)
        path.phase = Phase.LEAVE
        path.grip(OPEN_M)
        path.to(self._above(drop))
        path.to(HOME.position_m + self._noise(0.003, 0.003, 0.003))

    def _drop(self, move: Move, height_m: float) -> Vector:
        centre = self._world.start.places_m[move.place]
        drop = np.array([*centre, height_m + 0.011])
        return np.asarray(drop + self._noise(0.006, 0.006, 0.003))

    def _above(self, point_m: Vector) -> Vector:
        return np.asarray(point_m + [0.0, 0.0, _HOVER_M] + self._noise(0.012, 0.012, 0.015))

    def _speed(self) -> float:
        return _SPEED_M_S * float(self._rng.uniform(*_SPEED_SPREAD))

    def _noise(self, x_m: float, y_m: float, z_m: float) -> Vector:
        return np.asarray(self._rng.uniform(-1.0, 1.0, 3) * [x_m, y_m, z_m])
