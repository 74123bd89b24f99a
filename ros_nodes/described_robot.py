"""Which robot it is, where nobody but a file or a task tells."""

from __future__ import annotations

from pathlib import Path

from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec


def robot_of(robot: str, task: str) -> RobotSpec:
    """The robot, with its cameras.

    Args:
        robot: JSON, a file of it, or a recording; empty: that of the task's simulation.
        task: what is to be done.

    Raises:
        DfPolicyError: if its description cannot be read, or has no cameras.
    """
    if robot:
        from df_policy.commands.robot_file import read_robot, robot_from

        inline = robot.lstrip().startswith("{")
        spec = robot_from(robot) if inline else read_robot(Path(robot))
        if not spec.cameras:
            raise DfPolicyError(
                f'expected cameras in {robot}, got none; an example: "cameras": '
                '{"front": [480, 640]}, height and width'
            )
        return spec
    from df_policy.sim.tasks import find
    from df_policy.sim.world import World

    world = World(find(task))
    try:
        return world.spec
    finally:
        world.close()
