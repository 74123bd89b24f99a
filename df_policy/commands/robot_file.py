"""A robot that a JSON file describes, or a recording is of."""

from __future__ import annotations

import json
from pathlib import Path

from df_policy.errors import DfPolicyError
from df_policy.robot import RobotSpec

_LARGEST_ROBOT_BYTES = 2**20
_ROBOT = 'an example: {"name": "fr3", "joint_names": ["fr3_joint1"], "gripper_range_m": [0, 0.08]}'


def read_robot(path: Path) -> RobotSpec:
    """The robot that a JSON file describes, or a recording is of."""
    if path.is_dir():
        from df_policy.data.reader import EpisodeStore

        return EpisodeStore.open(path).spec
    try:
        if path.stat().st_size > _LARGEST_ROBOT_BYTES:
            raise ValueError("it is too large")
        text = path.read_text("utf-8")
    except (OSError, ValueError) as error:
        raise DfPolicyError(f"expected a robot in {path}, got {error!r}; {_ROBOT}") from error
    return robot_from(text, str(path))


def robot_from(text: str, where: str = "JSON") -> RobotSpec:
    """The robot that this JSON describes.

    Args:
        text: the JSON.
        where: it stands, for the message.

    Raises:
        DfPolicyError: if it describes none.
    """
    try:
        return RobotSpec.from_json({"cameras": {}, **json.loads(text)})
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise DfPolicyError(f"expected a robot in {where}, got {error!r}; {_ROBOT}") from error
