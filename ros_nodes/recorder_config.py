"""The recorder node's parameters."""

from __future__ import annotations

from dataclasses import dataclass

from df_policy.ros_nodes.params import autostart, parameter


@dataclass(frozen=True)
class RecorderNodeConfig:
    """Parameters of the recorder node."""

    out: str = parameter("", "the recording, a folder; one that is there is gone on with")
    task: str = parameter(
        "fruit_swap", "what is recorded; tells the robot too, if `robot` is empty"
    )
    robot: str = parameter("", "a robot with its cameras: JSON, a file of it, or a recording")
    operator: str = parameter("topics", "who drives, for the recording's header")
    episodes: int = parameter(0, "end once there are so many; 0: go on until told to end")
    guided: bool = parameter(
        False, "a person leads the arm by hand: its actions are where it is one period later"
    )
    camera_rate_hz: float = parameter(0.0, "images a second; 0: one for each action")
    state_rate_hz: float = parameter(0.0, "joints and poses a second; 0: the robot's control rate")
    max_image_age_s: float = parameter(0.15, "no tick with an older image")
    max_state_age_s: float = parameter(0.1, "no tick with older joints or tool pose")
    gather_s: float = parameter(0.06, "how long a tick waits for samples that are under way")
    best_effort_images: bool = parameter(False, "for camera drivers that are not reliable")
    autostart: bool = autostart()

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        for name in ("camera_rate_hz", "state_rate_hz", "gather_s", "episodes"):
            if getattr(self, name) < 0.0:
                raise ValueError(f"expected {name} of at least 0, got {getattr(self, name)}")
        for name in ("max_image_age_s", "max_state_age_s"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"expected {name} above 0, got {getattr(self, name)}")
