"""Where a tool is, for datasets that tell of joints only."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from df_policy.data.formats.rotation import to_quat
from df_policy.errors import DfPolicyError, nearest

Numbers = NDArray[np.float64]


class Arm:
    """The forward kinematics of an arm that a URDF file describes."""

    def __init__(self, urdf: Path, tool_frame: str, joint_names: Sequence[str]) -> None:
        """Read the file.

        Args:
            urdf: the robot; meshes are not looked at.
            tool_frame: the link between the finger tips.
            joint_names: in the order of the rows; all other joints stay at their middle.

        Raises:
            DfPolicyError: if it cannot be read, or lacks a name.
        """
        import pinocchio

        try:
            model = pinocchio.buildModelFromUrdf(str(urdf))
        except (RuntimeError, ValueError) as error:
            raise DfPolicyError(f"expected a URDF file at {urdf}, got {error}") from error
        links = [frame.name for frame in model.frames]
        for name, known, what in (
            *((joint, list(model.names), "joint") for joint in joint_names),
            (tool_frame, links, "link"),
        ):
            if name not in known:
                hint = nearest(name, known) or f"; there are {', '.join(known[1:60])}"
                raise DfPolicyError(f"expected the {what} {name!r} in {urdf}, got none{hint}")
        joints = [model.joints[model.getJointId(name)] for name in joint_names]
        if any(joint.nq != 1 for joint in joints):
            raise DfPolicyError(f"expected joints with one number each in {urdf}, got others")
        self._pinocchio: Any = pinocchio
        self._model, self._data = model, model.createData()
        self._places = [joint.idx_q for joint in joints]
        self._frame = model.getFrameId(tool_frame)

    def forward(self, q: Numbers) -> tuple[Numbers, Numbers]:
        """Places [m] and quaternions xyzw of the tool in the frame of the file's first link.

        Args:
            q: (frames, joints) in rad, or m where they slide.
        """
        whole = self._pinocchio.neutral(self._model)
        places, matrices = np.empty((len(q), 3)), np.empty((len(q), 3, 3))
        for index, row in enumerate(q):
            whole[self._places] = row
            self._pinocchio.framesForwardKinematics(self._model, self._data, whole)
            found = self._data.oMf[self._frame]
            places[index], matrices[index] = found.translation, found.rotation
        columns = np.concatenate([matrices[:, :, 0], matrices[:, :, 1]], axis=1)
        return places, to_quat(columns, "rot6d_columns")
