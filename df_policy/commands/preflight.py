"""`python -m df_policy preflight`: look at robot, cameras and machine before anything moves."""

from __future__ import annotations

import argparse
import json
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from df_policy.commands.options import Options
from df_policy.hardware import preflight
from df_policy.hardware.camera_sources import camera_source, named_cameras
from df_policy.hardware.preflight import Finding
from df_policy.robot import RobotSpec


@dataclass(frozen=True)
class Wanted:
    """What is going to be started."""

    robot_ip: str
    cameras: Mapping[str, str]
    """Name -> source, as `camera_source` reads it."""
    checkpoint: str
    """Of the policy that is going to drive; empty for none."""
    device: str = "cpu"
    real_time: bool = True
    folder: Path = Path()
    """Where logs go."""
    driver: str = "franky"
    """What speaks to the robot."""


def main(argv: list[str]) -> int:
    """Print what is found; 1 if something must be mended first."""
    given = _parser().parse_args(argv)
    cameras = named_cameras(given.cameras)
    wanted = Wanted(
        given.robot_ip,
        cameras,
        given.checkpoint,
        given.device,
        given.real_time,
        Path(given.out),
        given.driver,
    )
    preflight.refuse(show(wanted))
    return 0


def show(wanted: Wanted) -> list[Finding]:
    """Look at all, and print each finding as it comes."""
    findings = []
    for finding in look(wanted):
        print(finding, flush=True)
        findings.append(finding)
    return findings


def look(wanted: Wanted) -> Iterator[Finding]:
    """One finding after the other."""
    from df_policy.ros_nodes.franka_config import FrankaNodeConfig, drivers

    config = FrankaNodeConfig(
        robot_ip=wanted.robot_ip, driver=wanted.driver, real_time=wanted.real_time
    )
    # Behind another driver the control loop is somebody else's, perhaps on another machine.
    yield preflight.kernel(wanted.real_time and wanted.driver == "franky")
    yield preflight.load()
    yield preflight.disk(wanted.folder)
    yield _device(wanted.device)
    if wanted.checkpoint:
        yield preflight.attempt("checkpoint", lambda: _schema(wanted, config.spec))
    where = wanted.robot_ip or wanted.driver
    yield preflight.attempt("robot", lambda: preflight.arm(drivers(config)[0], where))
    yield preflight.attempt("gripper", lambda: preflight.hand(drivers(config)[1]))
    slowest_hz = config.spec.action_rate_hz
    for name, text in wanted.cameras.items():
        yield preflight.attempt(
            f"camera {name}",
            lambda name=name, text=text: preflight.camera(  # type: ignore[misc]
                name, camera_source(text, (480, 640), 30), slowest_hz
            ),
        )


def _schema(wanted: Wanted, robot: RobotSpec) -> Finding:
    from df_policy import checkpoint

    about = json.loads((checkpoint.find(wanted.checkpoint) / checkpoint.ABOUT).read_text("utf-8"))
    trained = RobotSpec.from_json(about["robot"])
    return preflight.schema(wanted.checkpoint, trained, robot, wanted.cameras)


def _device(name: str) -> Finding:
    """The GPU, if one is wanted."""
    if name == "cpu":
        return Finding("device", "cpu")
    try:
        asked = ["nvidia-smi", "--query-gpu=name,memory.free", "--format=csv,noheader"]
        said = subprocess.run(asked, capture_output=True, text=True, timeout=10.0, check=True)
    except (OSError, subprocess.SubprocessError):
        return Finding("device", "no GPU", "take device cpu, or install its driver", fatal=True)
    return Finding("device", said.stdout.strip())


def _parser() -> argparse.ArgumentParser:
    parser = Options(prog="python -m df_policy preflight", description=__doc__)
    parser.add_argument("--robot-ip", default="", help="address of the robot's control")
    parser.add_argument("--driver", default="franky", help="what speaks to it; see franka_node")
    parser.add_argument("--cameras", default="", help="front=realsense:SERIAL,wrist=v4l:DEVICE")
    parser.add_argument("--checkpoint", default="fruit_swap", help="what is going to drive")
    parser.add_argument("--device", default="cpu", help="where the network runs: cpu or cuda")
    parser.add_argument("--out", default=".", help="folder for logs")
    parser.add_argument(
        "--real-time",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether a real-time kernel is needed (default: yes)",
    )
    return parser
