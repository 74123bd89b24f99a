"""`python -m df_policy calibrate`: where cameras are, where the tool may be, how it moves."""

from __future__ import annotations

import argparse
import json
import select
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any

from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError
from df_policy.files import check_writable, write_text

if TYPE_CHECKING:
    from df_policy.hardware.board import Board

_LOOK_S = 0.02


def main(argv: list[str]) -> int:
    """Run one of the steps."""
    given = _parser().parse_args(argv)
    if given.step == "workspace":
        return _teach_workspace(given)
    if given.step in ("gripper", "latency"):
        from df_policy.commands import calibrate_motion

        measures = {
            "gripper": calibrate_motion.measure_gripper,
            "latency": calibrate_motion.measure_latency,
        }
        return measures[given.step](given)
    if given.step == "board":
        return _print_board(_board(given), Path(given.out))
    if given.step == "views":
        return _take_views(given)
    return _solve(given)


def _board(given: argparse.Namespace) -> Board:
    from df_policy.hardware.board import Board

    if given.square_mm <= 0.0 or min(given.columns, given.rows) < 3:
        raise DfPolicyError(
            "expected squares above 0 mm and at least 3 columns and rows, got "
            f"{given.square_mm}, {given.columns} and {given.rows}"
        )
    return Board(given.columns, given.rows, 1e-3 * given.square_mm)


def _print_board(board: Board, out: Path) -> int:
    check_writable(out)
    board.write(out)
    width, height = (1e3 * value for value in board.size_m)
    print(
        f"{out}: print it {width:g} x {height:g} mm, glue it onto something flat, and measure it"
    )
    return 0


def _take_views(given: argparse.Namespace) -> int:
    """A picture each time Enter is pressed; somebody moves the arm in between."""
    from df_policy.hardware import views
    from df_policy.hardware.camera_sources import camera_source, size_of
    from df_policy.ros_nodes.franka_config import FrankaNodeConfig, drivers

    board, folder = _board(given), Path(given.out)
    arm, _ = drivers(FrankaNodeConfig(robot_ip=given.robot_ip, real_time=False))
    camera = camera_source(given.camera, size_of(given.capture), 30)
    taken: list[views.View] = []
    try:
        arm.connect()
        seen = camera.open()
        print("move the hand by its grips, let go, press Enter; q and Enter when done (15 views)")
        while sys.stdin.readline().strip() not in ("q", "quit"):
            for _ in range(5):  # what was buffered is from before
                frame = camera.read()
            if frame is None:
                break
            try:
                count = len(board.corners(frame.rgb)[0])
            except DfPolicyError as error:
                print(f"left out: {error}")
                continue
            taken.append(views.View(frame.rgb, arm.read().tool))
            print(f"view {len(taken)}: {count} corners", flush=True)
    finally:
        camera.close()
        arm.close()
    views.save(folder, taken, seen, board)
    print(f"{len(taken)} views in {folder}; next: calibrate solve {folder} --mount hand|fixed")
    return 0


def _solve(given: argparse.Namespace) -> int:
    from df_policy.hardware import views

    taken, seen, board = views.load(Path(given.folder))
    found, left_out = views.solve(given.mount, taken, seen, board)
    for reason in left_out:
        print(f"left out {reason}")
    print(found)
    if given.out:
        about = {
            "mount": found.mount,
            "position_m": found.camera.position_m.tolist(),
            "quat_xyzw": found.camera.quat_xyzw.tolist(),
            "views": found.views,
            "error_mm": found.error_mm,
            "error_deg": found.error_deg,
        }
        write_text(Path(given.out), json.dumps(about, indent=1))
    return 0


def _teach_workspace(given: argparse.Namespace) -> int:
    """The arm tells where it is until Enter is pressed; somebody leads it meanwhile."""
    from df_policy.hardware import workspace
    from df_policy.ros_nodes.franka_config import FrankaNodeConfig, drivers

    if not 0.0 <= given.margin_mm <= 100.0:
        raise DfPolicyError(f"expected a margin of 0 to 100 mm, got {given.margin_mm:g}")
    out = Path(given.out)
    check_writable(out)
    arm, _ = drivers(FrankaNodeConfig(robot_ip=given.robot_ip, real_time=False))
    try:
        points = [arm.connect().tool.position_m]
        print("lead the tool by hand to all ends of where it may go, let go, press Enter")
        while not select.select([sys.stdin], [], [], _LOOK_S)[0]:
            points.append(arm.read().tool.position_m)
    finally:
        arm.close()
    box = workspace.taught(points, 1e-3 * given.margin_mm)
    workspace.write(out, box)
    print(f"{out}: {box}; the gate keeps the tool there with `workspace:={out}`")
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = Options(prog="python -m df_policy calibrate", description=__doc__)
    steps = parser.add_subparsers(
        dest="step", required=True, metavar="board|views|solve|workspace|gripper|latency"
    )
    board = steps.add_parser("board", help="write a board to be printed")
    board.add_argument("--out", default="board.png", help="a .png file")
    views = steps.add_parser("views", help="take pictures of it, with the arm in many poses")
    views.add_argument("--robot-ip", required=True, help="address of the robot's control")
    views.add_argument("--camera", required=True, help="realsense:SERIAL or v4l:DEVICE")
    views.add_argument("--capture", default="720x1280", help="height x width [px]")
    views.add_argument("--out", required=True, help="folder for pictures and poses")
    for step in (board, views):
        step.add_argument("--columns", type=int, default=7, help="squares across")
        step.add_argument("--rows", type=int, default=5, help="squares down")
        step.add_argument("--square-mm", type=float, default=30.0, help="side, as measured")
    solve = steps.add_parser("solve", help="find where the camera is")
    solve.add_argument("folder", help="of `calibrate views`")
    solve.add_argument("--mount", choices=["hand", "fixed"], required=True, help="of the camera")
    solve.add_argument("--out", default="", help="a .json file for the result")
    taught = steps.add_parser("workspace", help="teach where the tool may be, by leading the arm")
    taught.add_argument("--robot-ip", required=True, help="address of the robot's control")
    taught.add_argument(
        "--margin-mm", type=float, default=10.0, help="how far inside of your way the walls are"
    )
    taught.add_argument("--out", default="workspace.json", help="a .json file for the box")
    _add_motion(steps)
    return parser


def _add_motion(steps: Any) -> None:
    """The steps in which the robot moves by itself."""
    hand = steps.add_parser("gripper", help="measure how far and fast the hand opens and closes")
    hand.add_argument(
        "--homing",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="find the end stops first, which its openings are counted from (default: yes)",
    )
    lag = steps.add_parser("latency", help="measure how late the arm is where it shall be")
    lag.add_argument("--travel-mm", type=float, default=20.0, help="sideways, and back")
    lag.add_argument("--workspace", default="", help="JSON file of `calibrate workspace`")
    lag.add_argument(
        "--ahead-s", type=float, default=0.0, help="as the driver's `ahead_s`, to try it"
    )
    lag.add_argument(
        "--real-time",
        action=argparse.BooleanOptionalAction,
        default=True,
        help="whether a real-time kernel is needed (default: yes)",
    )
    for step, times in ((hand, 3), (lag, 5)):
        name = step.prog.split()[-1]
        step.add_argument("--robot-ip", required=True, help="address of the robot's control")
        step.add_argument("--times", type=int, default=times, help="how often")
        step.add_argument("--out", default=f"{name}.json", help="a .json file for what is found")
