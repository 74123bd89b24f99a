"""The steps of `calibrate` in which the robot moves by itself: its hand, and its lag."""

from __future__ import annotations

import argparse
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from df_policy.errors import DfPolicyError, need
from df_policy.files import check_writable
from df_policy.geometry import Pose

if TYPE_CHECKING:
    from df_policy.hardware.arm import ArmDriver
    from df_policy.hardware.lag import Signal
    from df_policy.ros_nodes.arm_drive import ArmDrive
    from df_policy.ros_nodes.franka_config import FrankaNodeConfig

_MOST_TIMES = 50
_SWEEP_S, _REST_S = 1.0, 0.5
"""There and back, and then still: with 20 mm, 73 mm/s at most."""
_LEAST_MM, _MOST_MM = 3.0, 20.0
_BEGIN_S = 2.0
_PATIENCE = 20.0
"""By how much slower than real time a simulated robot may be."""


def measure_gripper(given: argparse.Namespace) -> int:
    """Close and open the hand, and write what it did."""
    from df_policy.hardware import hand_range
    from df_policy.robot import RobotSpec
    from df_policy.ros_nodes.franka_config import FrankaNodeConfig, drivers

    out = _ready(given)
    config = FrankaNodeConfig(
        robot_ip=given.robot_ip, real_time=False, gripper_homing=given.homing
    )
    _, hand = drivers(config)
    _agreed(f"the fingers close and open {given.times} times: take away what is between them")
    try:
        hand.connect()
        found = hand_range.measure(hand, RobotSpec.gripper_range_m[1], given.times)
    finally:
        hand.close()
    hand_range.write(out, found)
    print(f"{out}: {found} (told to move at {1e3 * config.gripper_speed_m_s:.0f} mm/s)")
    print(f"policies open and close it so far with `gripper_range:={out}`")
    return 0


def measure_latency(given: argparse.Namespace) -> int:
    """Move the tool a little, again and again, and write how late it is."""
    from df_policy.hardware import lag
    from df_policy.ros_nodes.franka_config import FrankaNodeConfig, drivers

    out = _ready(given)
    need(
        _LEAST_MM <= given.travel_mm <= _MOST_MM,
        f"a travel from {_LEAST_MM:g} to {_MOST_MM:g} mm",
        f"{given.travel_mm:g}",
    )
    config = FrankaNodeConfig(
        robot_ip=given.robot_ip,
        real_time=given.real_time,
        workspace=given.workspace,
        ahead_s=given.ahead_s,
    )
    arm, _ = drivers(config)
    _agreed(f"the tool moves {given.travel_mm:g} mm sideways and back, {given.times} times")
    try:
        told, was = _sweep(arm, config, 1e-3 * given.travel_mm, given.times)
    finally:
        arm.close()
    ends_s = told[0, 0] + (_SWEEP_S + _REST_S) * np.arange(given.times + 1)
    found = lag.of_parts(told, was, ends_s.tolist())
    lag.write(out, {"arm": found})
    print(f"{out}: the arm is where it was told to be after {found}")
    if given.ahead_s == 0.0:
        ahead_s = max(0.0, found.median_s)
        print(f"`--ahead-s {ahead_s:.3f}` shows what the driver's `ahead_s` makes of that")
    return 0


def _sweep(
    arm: ArmDriver, config: FrankaNodeConfig, travel_m: float, times: int
) -> tuple[Signal, Signal]:
    """Where the tool was told to be sideways, and where it was, by the robot's clock [s, m].

    Raises:
        DfPolicyError: if it does not obey.
    """
    from df_policy.ros_nodes.arm_drive import ArmDrive

    start = arm.connect()
    need(not start.fault, "a robot that can move", start.fault)
    low_m, high_m = (np.array(corner) for corner in config.spec.workspace_m)
    side = np.array([0.0, np.sign(low_m[1] + high_m[1] - 2.0 * start.tool.position_m[1]) or 1, 0])
    for place in (start.tool.position_m, start.tool.position_m + travel_m * side):
        need(
            bool((low_m <= place).all() and (place <= high_m).all()),
            f"the way of the tool within {low_m.tolist()} and {high_m.tolist()} m",
            f"{np.round(place, 3).tolist()}; lead it there by hand, or give --workspace",
        )
    drive = ArmDrive(arm, config.spec, config.silence_s, config.ahead_s)
    rows = _rows(arm, drive, config, (start.tool, travel_m * side), times)
    seconds, told, was = np.array(rows).T
    return np.column_stack([seconds, told]), np.column_stack([seconds, was])


def _rows(
    arm: ArmDriver,
    drive: ArmDrive,
    config: FrankaNodeConfig,
    way: tuple[Pose, np.ndarray],
    times: int,
) -> list[tuple[float, float, float]]:
    """Tick by tick as `franka_node` does: seconds, how far the tool shall be, how far it is."""
    begin, farthest = way
    opening_m = config.spec.gripper_range_m[1]  # no hand is told
    whole_s = times * (_SWEEP_S + _REST_S)
    rows: list[tuple[float, float, float]] = []
    first_ns, began_ns = arm.read().robot_ns, 0
    deadline_s = time.monotonic() + _PATIENCE * (whole_s + _BEGIN_S)
    while not rows or rows[-1][0] < whole_s:
        due_s = time.monotonic() + 1.0 / config.rate_hz
        need(due_s < deadline_s, "the robot's clock to go on", "a robot that is far too slow")
        state = arm.read()
        now_ns = state.robot_ns
        need(not state.fault, "a robot that moves", state.fault)
        passed_s = 1e-9 * (now_ns - began_ns) if rows else 0.0
        far = np.sin(np.pi * min(1.0, passed_s % (_SWEEP_S + _REST_S) / _SWEEP_S)) ** 3
        if 1e-9 * (now_ns - first_ns) > 2.0 * config.silence_s:  # before, nobody is obeyed
            drive.session.gripper(opening_m)
            place = begin.position_m + far * farthest
            drive.session.pose(now_ns, Pose.of(place, begin.quat_xyzw))
        cleared = drive.tick(now_ns, state, opening_m)
        if cleared is not None:
            need(not cleared.reason, "the gate to let targets pass", cleared.reason)
            began_ns = began_ns if rows else now_ns
            told_m, is_m = (
                float((pose.position_m - begin.position_m) @ farthest / np.linalg.norm(farthest))
                for pose in (cleared.target.tool, state.tool)
            )
            rows.append((passed_s, told_m, is_m))
        elif 1e-9 * (now_ns - first_ns) > _BEGIN_S:
            raise DfPolicyError(f"expected the arm to obey, got: {drive.session.reason}")
        time.sleep(max(0.0, due_s - time.monotonic()))
    return rows


def _ready(given: argparse.Namespace) -> Path:
    """Where the result goes, if all is well before anything moves."""
    need(1 <= given.times <= _MOST_TIMES, f"times from 1 to {_MOST_TIMES}", given.times)
    out = Path(given.out)
    check_writable(out)
    return out


def _agreed(what: str) -> None:
    """Nothing, once somebody presses Enter.

    Raises:
        DfPolicyError: if nobody is there.
    """
    print(f"{what}, a hand on the user stop; then press Enter", flush=True)
    if not sys.stdin.readline():
        raise DfPolicyError("expected Enter before the robot moves, got the end of the input")
