"""The simulated robot at its table, advanced one control tick at a time.

What drives it, an environment or a node, decides how often; time passes only in `advance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import mujoco
import numpy as np
from jaxtyping import Float64

from df_policy.environment import Verdict
from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Image, Observation
from df_policy.robot import RobotSpec
from df_policy.sim import task
from df_policy.sim.cameras import PolicyCameras
from df_policy.sim.kinematics import Tracker, tool_pose
from df_policy.sim.scene import (
    ARM_JOINTS,
    FINGER_JOINTS,
    FINGER_TRAVEL_M,
    FRUITS,
    HAND_CTRL_MAX,
    ROBOT_PREFIX,
    task_model,
)

Snapshot = Float64[np.ndarray, "q"]


@dataclass(frozen=True)
class WorldSettings:
    """What may differ between worlds."""

    physics_dt_s: float = 0.002
    control_rate_hz: float = 50.0
    action_rate_hz: float = 10.0
    cameras: Mapping[str, tuple[int, int]] = field(
        default_factory=lambda: {"front": (64, 64), "wrist": (64, 64)}
    )
    """Camera -> (height, width) of its image."""

    def __post_init__(self) -> None:
        """Raises DfPolicyError if a control tick is not a whole number of physics steps."""
        steps = 1.0 / (self.control_rate_hz * self.physics_dt_s)
        if abs(steps - round(steps)) > 1e-6 or round(steps) < 1:
            raise DfPolicyError(
                "expected a control period that is a multiple of the physics step, got "
                f"{1.0 / self.control_rate_hz} s and {self.physics_dt_s} s, change either"
            )


class World:
    """The FR3, three slots, two fruits and two cameras in MuJoCo.

    Use and close one world in one thread; as many worlds as you like may live at once.
    """

    def __init__(self, settings: WorldSettings | None = None) -> None:
        """Builds the model and stands at the start of seed 0, at time 0.

        Args:
            settings: rates and image sizes.
        """
        chosen = settings or WorldSettings()
        self.spec = RobotSpec(
            name="fr3",
            joint_names=ARM_JOINTS,
            cameras=dict(chosen.cameras),
            action_rate_hz=chosen.action_rate_hz,
            control_rate_hz=chosen.control_rate_hz,
        )
        self.model = task_model(chosen.physics_dt_s)
        self.data = mujoco.MjData(self.model)
        self._tick_ns = round(1e9 / chosen.control_rate_hz)
        self._substeps = round(1.0 / (chosen.control_rate_hz * chosen.physics_dt_s))
        self._tracker = Tracker(1.0 / chosen.control_rate_hz)
        self._home_q = self._tracker.solve(task.HOME)
        self._cameras = PolicyCameras(self.model, self.spec.cameras)
        arm = tuple(ROBOT_PREFIX + name for name in ARM_JOINTS)
        fingers = tuple(ROBOT_PREFIX + name for name in FINGER_JOINTS)
        self._arm_q = _addresses(self.model, arm, "qposadr")
        self._arm_v = _addresses(self.model, arm, "dofadr")
        self._fingers_q = _addresses(self.model, fingers, "qposadr")
        self._fruit_q = dict(zip(FRUITS, _addresses(self.model, FRUITS, "qposadr"), strict=True))
        self._fruit_v = dict(zip(FRUITS, _addresses(self.model, FRUITS, "dofadr"), strict=True))
        self._time_ns = 0
        self._fresh = True
        self.start = task.draw_start(0)
        self._place()

    @property
    def time_ns(self) -> int:
        """The simulation's clock: starts at 0 and never goes back, whatever is reset."""
        return self._time_ns

    @property
    def home(self) -> Action:
        """The target at which an episode starts."""
        return Action(task.HOME, task.OPEN_M)

    def reset(self, seed: int) -> None:
        """Robot at home, fruits where `seed` puts them; the clock goes on by one action period.

        The first reset of a world leaves the clock at 0.
        """
        if not self._fresh:
            self._time_ns += self.spec.period_ns
        self._fresh = False
        self.start = task.draw_start(seed)
        self._place()

    def advance(self, target: Action) -> None:
        """One control tick towards `target`, to be reached at its end."""
        self.data.ctrl[:7] = self._tracker.track(target.tool)
        if np.isfinite(target.gripper_m):
            share = np.clip(0.5 * target.gripper_m / FINGER_TRAVEL_M, 0.0, 1.0)
            self.data.ctrl[7] = HAND_CTRL_MAX * share
        mujoco.mj_step(self.model, self.data, nstep=self._substeps)
        self._refresh()
        self._time_ns += self._tick_ns
        self._fresh = False

    def observe(self, cameras: bool = True) -> Observation:
        """What the robot knows now; `cameras=False` leaves the images out and saves their time."""
        images: dict[str, Image] = self._cameras.render(self.data) if cameras else {}
        return Observation(
            stamp_ns=self._time_ns,
            images=images,
            image_stamps_ns=dict.fromkeys(images, self._time_ns),
            q_rad=self.data.qpos[self._arm_q],
            dq_rad_s=self.data.qvel[self._arm_v],
            tool=tool_pose(self.data),
            gripper_m=self._opening_m(),
        )

    def judge(self) -> Verdict:
        """Whether the fruits are swapped now, and if not, what is wrong."""
        speeds = {
            fruit: float(np.linalg.norm(self.data.qvel[adr : adr + 3]))
            for fruit, adr in self._fruit_v.items()
        }
        now = task.Scene(
            self.fruits_m(), speeds, tool_pose(self.data).position_m, self._opening_m()
        )
        return task.judge(self.start, now)

    def fruits_m(self) -> dict[str, Float64[np.ndarray, "3"]]:
        """The fruits' true positions: for scripts and judges, hidden from policies."""
        return {f: self.data.qpos[adr : adr + 3].copy() for f, adr in self._fruit_q.items()}

    def snapshot(self) -> Snapshot:
        """All positions: enough to draw this moment again."""
        return np.array(self.data.qpos)

    def restore(self, snapshot: Snapshot) -> None:
        """Show a moment again, at rest; the clock stays.

        Raises:
            DfPolicyError: if the snapshot is of another model.
        """
        if snapshot.shape != (self.model.nq,):
            raise DfPolicyError(
                f"expected a snapshot of {self.model.nq} numbers, got {snapshot.shape}, "
                "take it with the same version of the scene"
            )
        mujoco.mj_resetData(self.model, self.data)
        self.data.qpos[:] = snapshot
        self._tracker.place(self.data.qpos[self._arm_q])
        self.data.ctrl[:7] = self._tracker.q_rad
        self.data.ctrl[7] = HAND_CTRL_MAX * 0.5 * self._opening_m() / FINGER_TRAVEL_M
        mujoco.mj_forward(self.model, self.data)

    def close(self) -> None:
        """Free the graphics; rendering again opens them again."""
        self._cameras.close()

    def _place(self) -> None:
        qpos = np.array(self.model.qpos0)
        qpos[self._arm_q] = self._home_q
        qpos[self._fingers_q] = FINGER_TRAVEL_M
        for fruit, adr in self._fruit_q.items():
            qpos[adr : adr + 3] = self.start.positions_m[fruit]
        self.restore(qpos)

    def _refresh(self) -> None:
        """`mj_step` leaves poses one physics step behind the joints: bring them up to date."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def _opening_m(self) -> float:
        return float(self.data.qpos[self._fingers_q].sum())


def _addresses(model: mujoco.MjModel, joints: tuple[str, ...], kind: str) -> np.ndarray:
    """Where these joints' numbers start in qpos or qvel."""
    return np.array([int(getattr(model.joint(joint), kind)[0]) for joint in joints])
