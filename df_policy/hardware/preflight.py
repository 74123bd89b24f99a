"""What is looked at before a real robot moves: each finding with what to do about it."""

from __future__ import annotations

import os
import platform
import shutil
import time
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol, runtime_checkable

from df_policy.errors import DfPolicyError
from df_policy.hardware.arm import ArmState, HandDriver
from df_policy.hardware.camera import CameraSource
from df_policy.hardware.robot_clock import RobotClock
from df_policy.robot import RobotSpec

_STATES = 60
_SLOWEST_S = 0.005
"""Between two states of the robot; libfranka wants them each millisecond."""
_PICTURES = 15
_LEAST_DISK = 2e9
_GB = 1e9


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at."""

    name: str
    found: str
    problem: str = ""
    """What to do; empty if nothing."""
    fatal: bool = False
    """Whether nothing may start with this problem."""

    def __str__(self) -> str:
        sign = "ok  " if not self.problem else "FAIL" if self.fatal else "warn"
        line = f"{sign}  {self.name:<20} {self.found}"
        return f"{line}\n      {'':<20} {self.problem}" if self.problem else line


def refuse(findings: Iterable[Finding]) -> None:
    """Nothing, if no finding is fatal.

    Raises:
        DfPolicyError: with all reasons.
    """
    if wrong := [f"{one.name}: {one.problem}" for one in findings if one.problem and one.fatal]:
        raise DfPolicyError(f"pre-flight check failed: {'; '.join(wrong)}")


def attempt(name: str, look: Callable[[], Finding]) -> Finding:
    """What a look finds; an error that the user can mend is a fatal finding."""
    try:
        return look()
    except DfPolicyError as error:
        return Finding(name, "nothing", str(error), fatal=True)


def kernel(
    needed: bool, version: str = platform.version(), flag: Path = Path("/sys/kernel/realtime")
) -> Finding:
    """Whether the kernel keeps to a millisecond under load."""
    real_time = "PREEMPT_RT" in version or (flag.exists() and flag.read_text().strip() == "1")
    if real_time:
        return Finding("kernel", f"{platform.release()}, real time")
    advice = (
        "install the real-time kernel (Debian: linux-image-rt-amd64; Ubuntu: pro enable "
        "realtime-kernel), or set real_time to false and expect stops"
    )
    return Finding("kernel", f"{platform.release()}, not real time", advice, fatal=needed)


def load() -> Finding:
    """Whether the processors are busy with other things."""
    busy, cores = os.getloadavg()[0], os.cpu_count() or 1
    advice = "" if busy < 0.5 * cores else "end what else runs on this machine"
    return Finding("load", f"{busy:.1f} on {cores} processors", advice)


def disk(path: Path) -> Finding:
    """Whether a log or a recording finds room."""
    free = shutil.disk_usage(path).free
    advice = "" if free >= _LEAST_DISK else f"make room: at least {_LEAST_DISK / _GB:g} GB"
    return Finding("disk", f"{free / _GB:.1f} GB free in {path.absolute()}", advice)


@runtime_checkable
class Answering(Protocol):
    """The part of `arm.ArmDriver` that moves nothing."""

    def connect(self) -> ArmState:
        """The first state."""
        ...

    def read(self) -> ArmState:
        """The next one."""
        ...

    def close(self) -> None:
        """Let go."""
        ...


def arm(driver: Answering, address: str) -> Finding:
    """Whether the robot answers, stands well, and says so often enough."""
    state = driver.connect()
    try:
        if state.fault:
            return Finding("robot", f"{address}: {state.mode}", state.fault, fatal=True)
        began_s, longest_s, clock = time.monotonic(), 0.0, RobotClock()
        late_ms = 0.0
        for _ in range(_STATES):
            before_s = time.monotonic()
            state = driver.read()
            longest_s = max(longest_s, time.monotonic() - before_s)
            now_ns = time.time_ns()
            late_ms = max(late_ms, (now_ns - clock.host_ns(state.robot_ns, now_ns)) * 1e-6)
        rate_hz = _STATES / (time.monotonic() - began_s)
    finally:
        driver.close()
    found = (
        f"{address}: {state.mode}, {rate_hz:.0f} states/s, longest wait {longest_s * 1e3:.1f} ms, "
        f"up to {late_ms:.1f} ms late"
    )
    advice = (
        "" if longest_s < _SLOWEST_S else "connect by cable, without a switch, to its own port"
    )
    return Finding("robot", found, advice)


def hand(driver: HandDriver) -> Finding:
    """Whether the gripper answers."""
    state = driver.connect()
    driver.close()
    return Finding("gripper", f"open by {1e3 * state.opening_m:.0f} mm", state.fault)


def camera(name: str, source: CameraSource, slowest_hz: float) -> Finding:
    """Whether a camera gives pictures, and as many as are needed."""
    label = f"camera {name}"
    try:
        seen = source.open()
        source.read()
        began_s, got = time.monotonic(), 0
        while got < _PICTURES and source.read() is not None:
            got += 1
        rate_hz = got / max(1e-6, time.monotonic() - began_s)
    finally:
        source.close()
    found = f"{seen.size[1]}x{seen.size[0]} px, {rate_hz:.1f} Hz"
    if rate_hz < slowest_hz:
        advice = f"at least {slowest_hz:g} Hz are needed: a cable for USB 3, a shorter exposure"
        return Finding(label, found, advice, fatal=True)
    return Finding(label, found)


def schema(name: str, trained: RobotSpec, robot: RobotSpec, cameras: Mapping[str, str]) -> Finding:
    """Whether a checkpoint was trained for this robot and these cameras."""
    found = f"{name}: {trained.name}, cameras {', '.join(trained.cameras)}"
    wrong = []
    if trained.joint_names != robot.joint_names:
        wrong.append(f"expected joints {trained.joint_names[0]}..., got {robot.joint_names[0]}...")
    if missing := sorted(set(trained.cameras) - set(cameras)):
        wrong.append(f"expected cameras {', '.join(missing)} too: cameras:=front=realsense:SERIAL")
    return Finding("checkpoint", found, "; ".join(wrong), fatal=bool(wrong))
