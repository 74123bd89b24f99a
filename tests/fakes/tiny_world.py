"""A world of a few pixels, a script that drives it, and a recorder for both.

Run as a program it is `teleop/record.py` with the task `tiny` and the device `tiny`. Environment
variables slow it down or break it: TINY_STEP_S, TINY_DIE_AT and TINY_RAISE_AT (seeds).
"""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

import numpy as np

if __name__ in ("__main__", "__mp_main__"):
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from df_policy.environment import Command, Event, Verdict
from df_policy.frames import Action, Frame, Observation
from df_policy.geometry import Pose
from df_policy.robot import RobotSpec

SPEC = RobotSpec("tiny", ("one", "two"), {"front": (6, 8), "wrist": (4, 4)})
STEPS = 12


class TinyWorld:
    """Everything in it follows from the seed and the actions; its clock goes on for ever."""

    spec = SPEC
    episode_steps = STEPS

    def __init__(self) -> None:
        self._time_ns = 0
        self._step_s = float(os.environ.get("TINY_STEP_S", "0"))
        self.closed = False

    def reset(self, seed: int) -> Observation:
        if seed == int(os.environ.get("TINY_DIE_AT", "-1")):
            os._exit(9)
        if seed == int(os.environ.get("TINY_RAISE_AT", "-1")):
            raise ArithmeticError("the tiny world fell apart")
        self._seed = seed
        self._rng = np.random.default_rng(seed)
        self._sent = Action(Pose.of([0.4, 0.0, 0.2], [1.0, 0.0, 0.0, 0.0]), 0.08)
        return self._observe()

    def step(self, action: Action) -> tuple[Observation, Action]:
        time.sleep(self._step_s)
        self._time_ns += SPEC.period_ns
        self._sent = SPEC.limit(action, self._sent, 1e-9 * SPEC.period_ns)
        return self._observe(), self._sent

    def judge(self) -> Verdict:
        return Verdict(self._seed % 5 != 3, "success")

    def close(self) -> None:
        self.closed = True

    def _observe(self) -> Observation:
        return Observation(
            stamp_ns=self._time_ns,
            images={
                name: self._rng.integers(0, 256, (*size, 3), dtype=np.uint8)
                for name, size in SPEC.cameras.items()
            },
            image_stamps_ns=dict.fromkeys(SPEC.cameras, self._time_ns),
            q_rad=self._rng.normal(size=2),
            dq_rad_s=self._rng.normal(size=2),
            tool=self._sent.tool,
            gripper_m=self._sent.gripper_m,
        )


class TinyOperator:
    """Drives somewhere and keeps what the world calls a success."""

    def __init__(self, world: TinyWorld) -> None:
        self._world = world

    def start(self, observation: Observation, seed: int) -> None:
        self._rng = np.random.default_rng([seed, 1])
        self._left = STEPS

    def act(self, observation: Observation) -> Command:
        self._left -= 1
        step = self._rng.uniform(-0.3, 0.3, 3)
        pose = Pose(observation.tool.position_m + step, observation.tool.quat_xyzw)
        if self._left > 0:
            return Command(Action(pose, 0.04))
        return Command(
            Action(pose, 0.04), Event.KEEP if self._world.judge().success else Event.DROP
        )


def frames(seed: int, count: int = STEPS) -> list[Frame]:
    """An episode that no recorder has touched."""
    world = TinyWorld()
    observation = world.reset(seed)
    made = []
    for index in range(count):
        wanted = Action(Pose.of([0.4, 0.01 * index, 0.2], [0.6, 0.8, 0.0, 0.1]), 0.03)
        seen, sent = world.step(wanted)
        made.append(Frame(observation, wanted, sent, 1_000 + index))
        observation = seen
    return made


if __name__ in ("__main__", "__mp_main__"):
    from df_policy.commands.hand_devices import hand_devices
    from df_policy.teleop import record
    from df_policy.teleop.device import Device

    record.tasks = lambda: {"tiny": TinyWorld}
    record.devices = lambda: {
        "tiny": Device("tiny", "for tests", TinyOperator, parallel=True),
        **hand_devices(),
    }

if __name__ == "__main__":
    raise SystemExit(record.main(["--task", "tiny", "--device", "tiny", *sys.argv[1:]]))
