"""What the simulation node asks of a world, and what its robot is told."""

from __future__ import annotations

from typing import Any, Protocol, runtime_checkable

from df_policy.environment import Verdict
from df_policy.frames import Action, Observation
from df_policy.gate import Cleared, Gate
from df_policy.geometry import Pose
from df_policy.robot import RobotSpec


@runtime_checkable
class SimulatedWorld(Protocol):
    """What the node drives; `df_policy.sim.world.World` is one."""

    spec: RobotSpec

    @property
    def time_ns(self) -> int:
        """The simulation's clock, which never goes back."""
        ...

    @property
    def home(self) -> Action:
        """The target at which an episode starts."""
        ...

    def reset(self, seed: int) -> None:
        """Start the episode that `seed` describes."""
        ...

    def advance(self, target: Action) -> None:
        """One control tick."""
        ...

    def observe(self, cameras: bool = True) -> Observation:
        """What the robot knows now."""
        ...

    def judge(self) -> Verdict:
        """Whether the task is done now."""
        ...

    def snapshot(self) -> Any:
        """All positions."""
        ...

    def close(self) -> None:
        """Free the graphics."""
        ...


class NewestTarget:
    """The newest target, as far as the gate lets it pass: a receiver trusts no sender.

    Args:
        spec: the limits.
        home: the target until one is received.
    """

    def __init__(self, spec: RobotSpec, home: Action) -> None:
        self._spec = spec
        self.reset(0, home)

    def reset(self, now_ns: int, home: Action) -> None:
        """Stay at `home` until a pose comes that was sent after now."""
        self._since_ns = now_ns
        self._opening_m = home.gripper_m
        self._wanted = home
        self._gate = Gate(self._spec, 1.0 / self._spec.control_rate_hz)
        self._gate.begin(home)

    def gripper(self, opening_m: float) -> None:
        """A target for the gripper, sent ahead of the pose that it belongs to: it waits for it."""
        self._opening_m = opening_m

    def pose(self, stamp_ns: int, pose: Pose) -> None:
        """A new target for tool and gripper; one meant for the last episode is ignored."""
        if stamp_ns >= self._since_ns:
            self._wanted = Action(pose, self._opening_m)

    def next(self, now_ns: int, why: str = "") -> Cleared:
        """The target for the tick that begins now.

        Args:
            now_ns: the robot's clock.
            why: if not empty, hold for this reason.
        """
        return self._gate.pass_on(now_ns, None if why else self._wanted, why=why)
