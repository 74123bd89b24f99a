"""The parameters of `franka_node`, and the drivers that they name."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from df_policy.errors import DfPolicyError, nearest
from df_policy.hardware import hand_range, workspace
from df_policy.hardware.arm import ArmDriver, HandDriver
from df_policy.hardware.hand_goals import HandSettings
from df_policy.hardware.hand_range import HandRange, RangedHand
from df_policy.robot import RobotSpec
from df_policy.ros_nodes.params import autostart, parameter


@dataclass(frozen=True)
class FrankaNodeConfig:
    """Parameters of the node that drives a Franka arm."""

    robot_ip: str = parameter("", "address of the robot's control, as in the browser (`franky`)")
    driver: str = parameter(
        "franky", "what speaks to the robot: `franky`, `ros2_control` or `franka_ros_interface`"
    )
    controllers: str = parameter("/", "namespace of the controllers' topics (`ros2_control`)")
    gripper: str = parameter("franka_gripper", "the gripper's node there (`ros2_control`)")
    adapter_port: int = parameter(
        9131, "at which the adapter waits on this machine (`franka_ros_interface`)"
    )
    name: str = parameter("fr3", "beginning of the joints' names: `fr3`, or `panda`")
    wait_s: float = parameter(0.0, "how long to wait for a robot that does not answer yet")
    rate_hz: float = parameter(50.0, "states published, and targets obeyed, per second")
    real_time: bool = parameter(True, "refuse a kernel without real-time preemption")
    silence_s: float = parameter(
        0.25, "stop when no target came for so long, or controllers or adapter said nothing"
    )
    ahead_s: float = parameter(0.0, "the arm's own lag, by which targets are carried on")
    gain: float = parameter(4.0, "share of its distance that the tool comes nearer in a second")
    speed: float = parameter(0.7, "share of the robot's largest speed that is used at most")
    acceleration: float = parameter(1.0, "share of its largest acceleration")
    jerk: float = parameter(0.6, "share of its largest jerk")
    contact_torque_nm: float = parameter(30.0, "torque of a joint taken for a collision")
    contact_force_n: float = parameter(30.0, "force on the hand taken for a collision")
    stiffness: float = parameter(1.0, "of the joints, as a share of the usual one")
    grasp_force_n: float = parameter(30.0, "with which the fingers hold")
    grasp_below_m: float = parameter(0.04, "an opening below this means: hold what is there")
    gripper_speed_m_s: float = parameter(0.1, "of the opening")
    gripper_homing: bool = parameter(False, "find the fingers' end stops at the start: they move")
    workspace: str = parameter("", "JSON file of `calibrate workspace`: where the tool may be")
    gripper_range: str = parameter("", "JSON file of `calibrate gripper`: how far the hand opens")
    autostart: bool = autostart()

    def __post_init__(self) -> None:
        """Raises ValueError for values out of range."""
        shares = {name: getattr(self, name) for name in ("speed", "acceleration", "jerk")}
        for name, value in shares.items():
            if not 0.0 < value <= 1.0:
                raise ValueError(f"expected {name} above 0 and up to 1, got {value}")
        if not 10.0 <= self.rate_hz <= 200.0:
            raise ValueError(f"expected rate_hz from 10 to 200, got {self.rate_hz}")
        if not 0.04 <= self.silence_s <= 1.0 or not 0.0 <= self.ahead_s <= 0.3:
            raise ValueError(
                "expected silence_s from 0.04 to 1 and ahead_s from 0 to 0.3, got "
                f"{self.silence_s} and {self.ahead_s}"
            )
        limits = {"gain": 20.0, "contact_torque_nm": 80.0, "contact_force_n": 80.0,
                  "stiffness": 1.5, "grasp_force_n": 70.0, "gripper_speed_m_s": 0.2}  # fmt: skip
        for name, most in limits.items():
            if not 0.0 < getattr(self, name) <= most:
                raise ValueError(
                    f"expected {name} above 0 and up to {most:g}, got {getattr(self, name)}"
                )

    @property
    def spec(self) -> RobotSpec:
        """The robot, with the limits of a real one.

        Raises:
            DfPolicyError: if the workspace cannot be read.
        """
        joints = tuple(f"{self.name}_joint{number}" for number in range(1, 8))
        spec = RobotSpec(self.name, joints, {}, control_rate_hz=self.rate_hz)
        if not self.workspace:
            return spec
        box = workspace.read(Path(self.workspace))
        return replace(spec, workspace_m=(box.low_m, box.high_m))

    @property
    def hand(self) -> HandRange | None:
        """How far the hand opens, if it was measured.

        Raises:
            DfPolicyError: if that cannot be read.
        """
        return hand_range.read(Path(self.gripper_range)) if self.gripper_range else None


Drivers = tuple[ArmDriver, HandDriver]


def _hand_settings(config: FrankaNodeConfig) -> HandSettings:
    below_m = config.grasp_below_m
    if real := config.hand:
        below_m = real.opening_m(below_m, config.spec.gripper_range_m)
    return HandSettings(
        config.robot_ip,
        grasp_below_m=below_m,
        force_n=config.grasp_force_n,
        speed_m_s=config.gripper_speed_m_s,
        homing=config.gripper_homing,
    )


def _franky(config: FrankaNodeConfig, _node: Any) -> Drivers:
    from df_policy.hardware.franky_arm import ArmSettings, FrankyArm
    from df_policy.hardware.franky_hand import FrankyHand

    if not config.robot_ip:
        raise DfPolicyError(
            "expected the address of the robot's control, got none; set robot_ip, for example "
            "robot_ip:=172.16.0.2"
        )
    arm = ArmSettings(
        config.robot_ip,
        patience_s=config.wait_s,
        real_time=config.real_time,
        speed=config.speed,
        acceleration=config.acceleration,
        jerk=config.jerk,
        gain=config.gain,
        contact_torque_nm=config.contact_torque_nm,
        contact_force_n=config.contact_force_n,
        stiffness=config.stiffness,
        joint_speeds_rad_s=config.spec.max_joint_speed_rad_s,
    )
    return FrankyArm(arm), FrankyHand(_hand_settings(config))


def _ros2_control(config: FrankaNodeConfig, node: Any) -> Drivers:
    from df_policy.ros_nodes.controller_link import Controllers
    from df_policy.ros_nodes.ros2_control_arm import Ros2ControlArm
    from df_policy.ros_nodes.ros2_control_hand import Ros2ControlHand

    patience_s = max(config.wait_s, _PATIENCE_S)
    where = Controllers(config.controllers, config.gripper, patience_s, config.silence_s)
    arm = Ros2ControlArm(where, config.spec, node)
    return arm, Ros2ControlHand(where, config.spec, _hand_settings(config), node)


def _franka_ros_interface(config: FrankaNodeConfig, _node: Any) -> Drivers:
    from df_policy.hardware.ros1_arm import Ros1Arm, Ros1ArmSettings
    from df_policy.hardware.ros1_hand import Ros1Hand

    arm = Ros1ArmSettings(
        config.adapter_port,
        patience_s=max(config.wait_s, _PATIENCE_S),
        silence_s=config.silence_s,
        gain=config.gain,
        contact_torque_nm=config.contact_torque_nm,
        contact_force_n=config.contact_force_n,
    )
    driver = Ros1Arm(arm, config.spec.joint_names)
    return driver, Ros1Hand(driver, _hand_settings(config))


_PATIENCE_S = 3.0
"""With other people's nodes, which may only just have been started."""
DRIVERS: dict[str, Callable[[FrankaNodeConfig, Any], Drivers]] = {
    "franky": _franky,
    "ros2_control": _ros2_control,
    "franka_ros_interface": _franka_ros_interface,
}


def drivers(config: FrankaNodeConfig, node: Any = None) -> Drivers:
    """The arm and the hand that the parameters name, not yet connected.

    Args:
        config: the parameters.
        node: the one that drives; None where nothing is driven.

    Raises:
        DfPolicyError: for an unknown driver, or one that lacks an address.
    """
    if config.driver not in DRIVERS:
        hint = nearest(config.driver, DRIVERS) or f"; there are: {', '.join(DRIVERS)}"
        raise DfPolicyError(f"expected a known driver, got {config.driver!r}{hint}")
    arm, hand = DRIVERS[config.driver](config, node)
    real = config.hand
    return arm, RangedHand(hand, config.spec.gripper_range_m, real) if real else hand
