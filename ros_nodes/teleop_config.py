"""The parameters of `teleop_node`."""

from __future__ import annotations

from argparse import Namespace
from dataclasses import dataclass
from typing import TYPE_CHECKING

from df_policy.errors import DfPolicyError
from df_policy.ros_nodes.params import autostart, parameter
from df_policy.teleop.mapping import FrameName, Handling

if TYPE_CHECKING:
    from df_policy.robot import RobotSpec
    from df_policy.teleop.reading import InputDevice


@dataclass(frozen=True)
class TeleopNodeConfig:
    """Parameters of the node by which a person drives."""

    device: str = parameter("web", "what the person holds: web, gamepad, spacemouse or leader")
    task: str = parameter("fruit_swap", "what is done; tells the robot, if `robot` is empty")
    robot: str = parameter("", "a robot with its cameras: JSON, a file of it, or a recording")
    rate_hz: float = parameter(50.0, "targets per second")
    frame: str = parameter("base", "whose axes a stick's are: base or tool")
    speed_m_s: float = parameter(0.25, "at full deflection")
    turn_rad_s: float = parameter(1.2, "at full deflection")
    web_host: str = parameter("127.0.0.1", "address of the page; others than this let others in")
    web_port: int = parameter(8642, "of the page; 0 for any")
    max_image_age_s: float = parameter(0.15, "hold while an image is older")
    max_state_age_s: float = parameter(0.1, "hold while joints or tool pose are older")
    best_effort_images: bool = parameter(False, "for camera drivers that are not reliable")
    autostart: bool = autostart()

    def __post_init__(self) -> None:
        """Raises ValueError or DfPolicyError for values out of range."""
        if not 10.0 <= self.rate_hz <= 1000.0:
            raise ValueError(f"expected rate_hz from 10 to 1000, got {self.rate_hz:g}")
        if self.frame not in ("base", "tool"):
            raise ValueError(f"expected the frame base or tool, got {self.frame!r}")
        for name in ("max_image_age_s", "max_state_age_s"):
            if getattr(self, name) <= 0.0:
                raise ValueError(f"expected {name} above 0, got {getattr(self, name)}")
        _ = self.handling

    @property
    def handling(self) -> Handling:
        """How strongly the robot answers."""
        frame: FrameName = "tool" if self.frame == "tool" else "base"
        return Handling(frame, self.speed_m_s, self.turn_rad_s)


def held_device(config: TeleopNodeConfig, robot: RobotSpec) -> InputDevice:
    """What the person holds, not opened yet.

    Raises:
        DfPolicyError: if there is no such device, or it needs a terminal.
    """
    from df_policy.commands.hand_devices import hand_devices
    from df_policy.teleop.device import find

    known = {name: one for name, one in hand_devices().items() if name != "keyboard"}
    device = find("device", config.device, known)
    if device.connect is None:
        raise DfPolicyError(f"expected a device that a person holds, got {device.name}")
    given = Namespace(web_host=config.web_host, web_port=config.web_port, web_name=[])
    return device.connect(given, robot)
