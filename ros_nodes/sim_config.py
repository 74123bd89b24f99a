"""The simulation node's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from df_policy.ros_nodes.params import autostart, parameter
from df_policy.ros_nodes.robot_arguments import FASTEST


@dataclass(frozen=True)
class SimNodeConfig:
    """Parameters of the simulation node."""

    task: str = parameter("fruit_swap", "what is to be done; picks the scene and the verdict")
    seed: int = parameter(0, "seed of the first episode; each reset adds one")
    real_time_factor: float = parameter(1.0, "simulated seconds per second")
    record_path: str = parameter("", "an .npz file for making a film later")
    wall_clock: bool = parameter(
        False, "stamps by this machine's clock as a real robot's, and no `/clock`"
    )
    viewer: bool = parameter(False, "show MuJoCo's window; needs a display")
    autostart: bool = autostart()

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        if not 0.0 < self.real_time_factor <= FASTEST:
            raise ValueError(
                f"expected real_time_factor above 0 and up to {FASTEST:g}, "
                f"got {self.real_time_factor}"
            )
        if self.wall_clock and self.real_time_factor != 1.0:
            raise ValueError(
                "expected real_time_factor of 1 with wall_clock: that clock goes its own pace, "
                f"got {self.real_time_factor}"
            )


LIVE = frozenset({"seed", "real_time_factor"})
"""Parameters that may be set at any time; `seed` acts from the next reset on."""
