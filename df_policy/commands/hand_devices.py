"""The devices that a person may hold, by name, and what each is made of."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from df_policy.robot import RobotSpec
    from df_policy.teleop.device import Device
    from df_policy.teleop.reading import InputDevice


def hand_devices() -> dict[str, Device]:
    """Every device that a person holds."""
    from df_policy.teleop.device import Device

    made = (
        Device("keyboard", "keys of this terminal, over ssh too", connect=_keyboard),
        Device("gamepad", "a game controller", connect=_gamepad),
        Device("spacemouse", "a 3Dconnexion SpaceMouse", connect=_spacemouse, needs_keys=True),
        Device("web", "a page with cameras, keys, touch and gamepad", connect=_web),
        Device("leader", "a leader arm on ROS 2", connect=_leader, needs_keys=True),
    )
    return {device.name: device for device in made}


def _keyboard(options: argparse.Namespace, robot: RobotSpec) -> InputDevice:
    from df_policy.teleop.keyboard import Keyboard

    del options, robot
    return Keyboard()


def _gamepad(options: argparse.Namespace, robot: RobotSpec) -> InputDevice:
    from df_policy.teleop.gamepad import Gamepad

    del options, robot
    return Gamepad()


def _spacemouse(options: argparse.Namespace, robot: RobotSpec) -> InputDevice:
    from df_policy.teleop.spacemouse import SpaceMouse

    del options, robot
    return SpaceMouse()


def _web(options: argparse.Namespace, robot: RobotSpec) -> InputDevice:
    from df_policy.teleop.web import WebPage

    del robot
    return WebPage(options.web_host, options.web_port, tuple(options.web_name))


def _leader(options: argparse.Namespace, robot: RobotSpec) -> InputDevice:
    try:
        from df_policy.ros_nodes.leader import RosLeader
    except ImportError as error:
        raise DfPolicyError(
            f"expected ROS 2 for a leader arm, got {error}; pip install 'df_policy[ros]', or "
            "source ROS 2"
        ) from error
    from df_policy.sim.kinematics import forward
    from df_policy.teleop.leader import Leader

    del options
    return Leader(RosLeader(robot, forward))
