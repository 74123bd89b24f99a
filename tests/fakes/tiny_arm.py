"""A world for the robot of `training_data`: its tool goes where it is told, images are its own."""

import numpy as np
from training_data import SPEC

from df_policy.environment import Verdict
from df_policy.frames import Action, Observation
from df_policy.geometry import Pose


class TinyArm:
    """All that it shows follows from the seed."""

    spec = SPEC

    def __init__(self, steps):
        self.episode_steps = steps

    def reset(self, seed):
        self._rng = np.random.default_rng(seed)
        self._at, self._step = Action(Pose.of([0.5, 0.0, 0.2], [1, 0, 0, 0]), 0.08), 0
        return self._observe()

    def step(self, action):
        self._at, self._step = action, self._step + 1
        return self._observe(), action

    def judge(self):
        return Verdict(True, "success")

    def close(self):
        pass

    def _observe(self):
        stamp_ns = self._step * SPEC.period_ns
        images = {
            name: self._rng.integers(0, 256, (*size, 3), dtype=np.uint8)
            for name, size in SPEC.cameras.items()
        }
        stamps, joints = dict.fromkeys(images, stamp_ns), np.zeros(len(SPEC.joint_names))
        here = (self._at.tool, self._at.gripper_m)
        return Observation(stamp_ns, images, stamps, joints, joints, *here)
