"""The tasks by name; importing this loads no simulator."""

from __future__ import annotations

from typing import TYPE_CHECKING

from df_policy.errors import DfPolicyError, nearest
from df_policy.sim.tasks.fruit_cycle import FRUIT_CYCLE
from df_policy.sim.tasks.fruit_order import FRUIT_ORDER
from df_policy.sim.tasks.fruit_return import FRUIT_RETURN
from df_policy.sim.tasks.fruit_swap import FRUIT_SWAP
from df_policy.sim.tasks.fruit_swap_anywhere import FRUIT_SWAP_ANYWHERE
from df_policy.sim.tasks.fruit_swap_regrasp import FRUIT_SWAP_REGRASP
from df_policy.sim.tasks.task import Task

if TYPE_CHECKING:
    from df_policy.sim.environment import TaskEnvironment
    from df_policy.sim.world import WorldSettings

TASKS: dict[str, Task] = {
    task.name: task
    for task in (
        FRUIT_SWAP,
        FRUIT_SWAP_ANYWHERE,
        FRUIT_CYCLE,
        FRUIT_RETURN,
        FRUIT_ORDER,
        FRUIT_SWAP_REGRASP,
    )
}


def names() -> tuple[str, ...]:
    """Every task's name."""
    return tuple(TASKS)


def find(name: str) -> Task:
    """The task of this name.

    Raises:
        DfPolicyError: if there is none; the nearest name is suggested.
    """
    if name in TASKS:
        return TASKS[name]
    hint = nearest(name, TASKS) or "; choose one of these"
    raise DfPolicyError(f"expected a task of {', '.join(TASKS)}, got {name!r}{hint}")


def make(
    name: str, settings: WorldSettings | None = None, cameras: bool = True
) -> TaskEnvironment:
    """The environment of a task.

    Args:
        name: one of `names()`.
        settings: rates, and image sizes if not the task's own.
        cameras: False leaves images out of all observations, which is faster.

    Raises:
        DfPolicyError: if there is no such task.
    """
    task = find(name)
    from df_policy.sim.environment import TaskEnvironment

    return TaskEnvironment(task, settings, cameras=cameras)
