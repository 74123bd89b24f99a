"""The simulated robot at its table, advanced one control tick at a time.

What drives it, an environment or a node, decides how often; time passes only in `advance`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import mujoco
import numpy as np
from jaxtyping import Float64

from df_policy.environment import Verdict
from df_policy.errors import DfPolicyError
from df_policy.frames import Action, Image, Observation
from df_policy.geometry import Vector
from df_policy.robot import RobotSpec
from df_policy.sim.cameras import PolicyCameras
from df_policy.sim.grip import Grip
from df_policy.sim.hindsight import Hindsight
from df_policy.sim.kinematics import Tracker, tool_pose
from df_policy.sim.scene import (
    ARM_JOINTS,
    FINGER_JOINTS,
    FINGER_TRAVEL_M,
    HAND_CTRL_MAX,
    ROBOT_PREFIX,
    task_model,
)
from df_policy.sim.tasks.fruit_swap import FRUIT_SWAP
from df_policy.sim.tasks.task import HOME, Scene, Start, Task, rests_in
from df_policy.sim.wardrobe import Wardrobe

_COVERED_M = 0.06
"""A fruit so near a place's centre leaves no room for another."""
_LIFTED_M = 0.015
_IN_HAND_M = 0.035

Snapshot = Float64[np.ndarray, "n"]

_ACCELERATION_M_S2, _ACCELERATION_RAD_S2 = 80.0, 200.0
"""What the simulated arm follows. A real one is limited to less (`RobotSpec`'s defaults), to which
the weights that are shipped were not trained: 48 of 50 in place of 50 of 50."""


@dataclass(frozen=True)
class WorldSettings:
    """What may differ between worlds."""

    physics_dt_s: float = 0.002
    control_rate_hz: float = 50.0
    action_rate_hz: float = 10.0
    cameras: Mapping[str, tuple[int, int]] | None = None
    """Camera -> (height, width) of its image; None for the task's own."""

    def __post_init__(self) -> None:
        """Raises DfPolicyError if a control tick is not a whole number of physics steps."""
        steps = 1.0 / (self.control_rate_hz * self.physics_dt_s)
        if abs(steps - round(steps)) > 1e-6 or round(steps) < 1:
            raise DfPolicyError(
                "expected a control period that is a multiple of the physics step, got "
                f"{1.0 / self.control_rate_hz} s and {self.physics_dt_s} s, change either"
            )


class World:
    """The FR3 at a task's table, with its cameras, in MuJoCo.

    Use and close one world in one thread; as many worlds as you like may live at once.
    """

    def __init__(self, task: Task = FRUIT_SWAP, settings: WorldSettings | None = None) -> None:
        """Builds the model and stands at the start of seed 0, at time 0.

        Args:
            task: what the world is for.
            settings: rates and image sizes.
        """
        chosen = settings or WorldSettings()
        self.task = task
        self.spec = RobotSpec(
            name="fr3",
            joint_names=ARM_JOINTS,
            cameras=dict(task.cameras if chosen.cameras is None else chosen.cameras),
            action_rate_hz=chosen.action_rate_hz,
            control_rate_hz=chosen.control_rate_hz,
            max_acceleration_m_s2=_ACCELERATION_M_S2,
            max_turn_acceleration_rad_s2=_ACCELERATION_RAD_S2,
        )
        self.model = task_model(task.inventory, chosen.physics_dt_s)
        self.data = mujoco.MjData(self.model)
        self._tick_ns = round(1e9 / chosen.control_rate_hz)
        self._substeps = round(1.0 / (chosen.control_rate_hz * chosen.physics_dt_s))
        self._tracker = Tracker(1.0 / chosen.control_rate_hz)
        self._home_q = self._tracker.solve(HOME)
        self._wardrobe = Wardrobe(self.model, task.inventory)
        self._grip = Grip(self.model)
        self._cameras = PolicyCameras(self.model, self.spec.cameras)
        arm = tuple(ROBOT_PREFIX + name for name in ARM_JOINTS)
        fingers = tuple(ROBOT_PREFIX + name for name in FINGER_JOINTS)
        self._arm_q = _addresses(self.model, arm, "qposadr")
        self._arm_v = _addresses(self.model, arm, "dofadr")
        self._fingers_q = _addresses(self.model, fingers, "qposadr")
        fruits = task.fruits
        self._fruit_q = dict(zip(fruits, _addresses(self.model, fruits, "qposadr"), strict=True))
        self._fruit_v = dict(zip(fruits, _addresses(self.model, fruits, "dofadr"), strict=True))
        self._time_ns = self._start_ns = 0
        self._fresh = True
        self.hindsight = Hindsight(self.model)
        self._begin(task.draw_start(0))

    @property
    def time_ns(self) -> int:
        """The simulation's clock: starts at 0 and never goes back, whatever is reset."""
        return self._time_ns

    @property
    def home(self) -> Action:
        """The target at which an episode starts."""
        return self.start.hand

    def reset(self, seed: int) -> None:
        """Robot and fruits where `seed` puts them; the clock goes on by one action period.

        The first reset of a world leaves the clock at 0.
        """
        if not self._fresh:
            self._time_ns += self.spec.period_ns
        self._fresh = False
        self._begin(self.task.draw_start(seed))

    def advance(self, target: Action) -> None:
        """One control tick towards `target`, to be reached at its end."""
        self.data.ctrl[:7] = self._tracker.track(target.tool)
        if np.isfinite(target.gripper_m):
            share = np.clip(0.5 * target.gripper_m / FINGER_TRAVEL_M, 0.0, 1.0)
            self.data.ctrl[7] = HAND_CTRL_MAX * share
        mujoco.mj_step(self.model, self.data, nstep=self._substeps)
        self._grip.tick(1e-9 * self._tick_ns)
        self._refresh()
        self._time_ns += self._tick_ns
        self._fresh = False
        self.hindsight.add(self._time_ns, self.data.qpos)
        self._keep_score()

    def observe(self, cameras: bool = True) -> Observation:
        """What the robot knows now; `cameras=False` leaves the images out and saves their time."""
        taken_ns, shown = self.hindsight.sight(self._time_ns, self.data)
        images: dict[str, Image] = self._cameras.render(shown) if cameras else {}
        return Observation(
            stamp_ns=self._time_ns,
            images=images,
            image_stamps_ns=dict.fromkeys(images, taken_ns),
            q_rad=self.data.qpos[self._arm_q],
            dq_rad_s=self.data.qvel[self._arm_v],
            tool=tool_pose(self.data),
            gripper_m=self._opening_m(),
        )

    def judge(self) -> Verdict:
        """Whether the task is done now, and if not, what is wrong."""
        return self.task.judge(self.start, self.scene())

    def scene(self) -> Scene:
        """This moment as scripts and judges see it, hidden from policies."""
        speeds = {
            fruit: float(np.linalg.norm(self.data.qvel[adr : adr + 3]))
            for fruit, adr in self._fruit_v.items()
        }
        tool_m = tool_pose(self.data).position_m
        time_s = 1e-9 * (self._time_ns - self._start_ns)
        rested_s = self._longest_rest_s
        return Scene(self.fruits_m(), speeds, tool_m, self._opening_m(), time_s, rested_s)

    def fruits_m(self) -> dict[str, Float64[np.ndarray, "3"]]:
        """The fruits' true positions: for scripts and judges, hidden from policies."""
        return {f: self.data.qpos[adr : adr + 3].copy() for f, adr in self._fruit_q.items()}

    def place_of(self, name: str) -> int | None:
        """The place in which a fruit lies now, if any."""
        return self.start.place_of(name, self.fruits_m()[name])

    def free_places(self) -> tuple[int, ...]:
        """The places with no fruit in them or above them."""
        fruits = [position[:2] for position in self.fruits_m().values()]
        apart = [
            min(float(np.linalg.norm(centre - fruit)) for fruit in fruits)
            for centre in self.start.places_m
        ]
        return tuple(place for place, gap_m in enumerate(apart) if gap_m > _COVERED_M)

    def held_fruit(self) -> str | None:
        """The fruit between the fingers and lifted off the table, if any."""
        tool_m = tool_pose(self.data).position_m
        for fruit, position_m in self.fruits_m().items():
            lifted = position_m[2] > self.start.radii_m[fruit] + _LIFTED_M
            if lifted and float(np.linalg.norm(position_m - tool_m)) < _IN_HAND_M:
                return fruit
        return None

    def place_fruit(self, name: str, position_m: Vector) -> None:
        """Put a fruit at rest there, as a person would.

        Args:
            name: of the fruit.
            position_m: of its centre.
        """
        q, v = self._fruit_q[name], self._fruit_v[name]
        self.data.qpos[q : q + 3] = position_m
        self.data.qvel[v : v + 6] = 0.0
        self._refresh()

    def push_fruit(self, name: str, velocity_m_s: Vector) -> None:
        """Add this velocity to a fruit."""
        v = self._fruit_v[name]
        self.data.qvel[v : v + 3] += velocity_m_s

    def loosen_grip(self, duration_s: float = 0.3) -> None:
        """For so long the finger pads have no friction: what is held slips out and falls."""
        self._grip.loosen(duration_s)

    def snapshot(self) -> Snapshot:
        """All positions and how this episode looks: enough to draw this moment again."""
        return np.concatenate([self.data.qpos, self._wardrobe.row()])

    def restore(self, snapshot: Snapshot) -> None:
        """Show a moment again, at rest; the clock stays.

        Raises:
            DfPolicyError: if the snapshot is of another model.
        """
        mujoco.mj_resetData(self.model, self.data)
        draw(self.model, self.data, self._wardrobe, snapshot)
        self._tracker.place(self.data.qpos[self._arm_q])
        self.data.ctrl[:7] = self._tracker.q_rad
        self.data.ctrl[7] = HAND_CTRL_MAX * 0.5 * self._opening_m() / FINGER_TRAVEL_M
        mujoco.mj_forward(self.model, self.data)

    def close(self) -> None:
        """Free the graphics; rendering again opens them again."""
        self._cameras.close()

    def _begin(self, start: Start) -> None:
        self.start = start
        self._start_ns = self._time_ns
        self._rest_s = self._longest_rest_s = 0.0
        self._grip.tighten()
        self._wardrobe.wear(start)
        self._wardrobe.show(self.task.cue(start, 0.0))
        at_home = start.hand.tool is HOME
        qpos = np.array(self.model.qpos0)
        qpos[self._arm_q] = self._home_q if at_home else self._tracker.solve(start.hand.tool)
        qpos[self._fingers_q] = 0.5 * start.hand.gripper_m
        for fruit, adr in self._fruit_q.items():
            qpos[adr : adr + 3] = start.positions_m[fruit]
        self.restore(np.concatenate([qpos, self._wardrobe.row()]))
        self.hindsight.begin(self._time_ns, qpos)

    def _keep_score(self) -> None:
        """What the task wants of the time that has passed: its cue, and rests in its station."""
        now_s = 1e-9 * (self._time_ns - self._start_ns)
        self._wardrobe.show(self.task.cue(self.start, now_s))
        if self.task.station is not None:
            resting = rests_in(self.start, self.task.station, self.scene())
            self._rest_s = self._rest_s + 1e-9 * self._tick_ns if resting else 0.0
            self._longest_rest_s = max(self._longest_rest_s, self._rest_s)

    def _refresh(self) -> None:
        """`mj_step` leaves poses one physics step behind the joints: bring them up to date."""
        mujoco.mj_kinematics(self.model, self.data)
        mujoco.mj_camlight(self.model, self.data)

    def _opening_m(self) -> float:
        return float(self.data.qpos[self._fingers_q].sum())


def draw(
    model: mujoco.MjModel, data: mujoco.MjData, wardrobe: Wardrobe, snapshot: Snapshot
) -> None:
    """Put a snapshot's positions and look into a model and its data.

    Raises:
        DfPolicyError: if the snapshot is of another model.
    """
    expected = model.nq + wardrobe.row().size
    if snapshot.shape != (expected,):
        raise DfPolicyError(
            f"expected a snapshot of {expected} numbers, got {snapshot.shape}, "
            "take it with the same task and version of the scene"
        )
    data.qpos[:] = snapshot[: model.nq]
    wardrobe.put(snapshot[model.nq :])


def _addresses(model: mujoco.MjModel, joints: tuple[str, ...], kind: str) -> np.ndarray:
    """Where these joints' numbers start in qpos or qvel."""
    return np.array([int(getattr(model.joint(joint), kind)[0]) for joint in joints])
