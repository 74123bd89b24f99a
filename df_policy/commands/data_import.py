"""`python -m df_policy data import`: make a recording of another project's dataset."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from df_policy import __version__
from df_policy.commands.options import Options
from df_policy.errors import DfPolicyError

if TYPE_CHECKING:
    from df_policy.data.formats.conventions import Conventions
    from df_policy.data.formats.kinematics import Arm
    from df_policy.data.formats.source import Contents
    from df_policy.data.header import Header

MEMORY_GB = 12.0
"""More than the largest episode that is let in, with room for its conversion."""
PATIENCE_S = 300.0
"""Processor time for the reading of one episode."""


def parser() -> argparse.ArgumentParser:
    """The command's options."""
    made = Options(
        prog="python -m df_policy data import",
        description="Make a recording of another project's dataset. What the file does not say "
        "of its numbers must be said here; a first try lists what is missing.",
    )
    made.add_argument("source", type=Path, help="a file or folder")
    made.add_argument("out", type=Path, help="the recording (.zarr) to make")
    made.add_argument("--format", help="what it is, where that cannot be seen")
    made.add_argument("--task", help="the task's name")
    made.add_argument(
        "--robot", type=Path, help="JSON file with name, joint_names and limits, or a recording"
    )
    made.add_argument("--rate", type=float, metavar="HZ", help="frames a second")
    made.add_argument(
        "--field",
        action="append",
        default=[],
        metavar="NAME=KEY[0:3]:KIND",
        help="where NAME stands in the file, and how it is written; more than once",
    )
    made.add_argument(
        "--camera",
        action="append",
        default=[],
        metavar="NAME=KEY",
        help="which images are of camera NAME; more than once, all by default",
    )
    made.add_argument("--action", help="absolute, delta_base, delta_tool, joints or next_tool")
    made.add_argument("--action-row", help="after or before: whether it was sent after its frame")
    made.add_argument("--urdf", type=Path, help="the robot, where the file tells of joints only")
    made.add_argument("--tool-frame", metavar="LINK", help="its link between the finger tips")
    made.add_argument("--base", help="`base`, or the base's pose X,Y,Z,QX,QY,QZ,QW in the file")
    made.add_argument("--colour", help="rgb or bgr")
    made.add_argument("--scale", metavar="M,RAD", help="what a step of 1 means")
    made.add_argument("--success", choices=("yes", "no"), help="where the file has no verdicts")
    made.add_argument(
        "--memory-gb",
        type=float,
        default=MEMORY_GB,
        help="no more than this (default %(default)s)",
    )
    made.add_argument(
        "--patience",
        type=float,
        metavar="S",
        default=PATIENCE_S,
        help="processor time for the reading of one episode (default %(default)g)",
    )
    return made


def _pairs(texts: list[str], option: str) -> dict[str, str]:
    pairs = [text.partition("=") for text in texts]
    for name, sign, value in pairs:
        if not (name and sign and value):
            raise DfPolicyError(f"expected {option} NAME=KEY, got {name + sign + value!r}")
    return {name: value for name, _, value in pairs}


def said(chosen: argparse.Namespace) -> Conventions:
    """The conventions that the options name.

    Raises:
        DfPolicyError: if one of them is no choice.
    """
    from df_policy.data.formats import conventions as known

    base = None
    if chosen.base is not None:
        base = (
            known.IDENTITY if chosen.base == "base" else known.numbers(chosen.base.split(","), 7)
        )
        if abs(sum(number**2 for number in base[3:]) - 1.0) > 1e-3:
            raise DfPolicyError(f"expected --base with a unit quaternion, got {chosen.base}")
    scale = None if chosen.scale is None else known.numbers(chosen.scale.split(","), 2)
    choices = (
        ("action", known.ACTIONS),
        ("action_row", known.ROWS),
        ("colour", known.COLOURS),
    )
    picked = {
        name: known.one_of(f"--{name.replace('_', '-')}", getattr(chosen, name), table)
        for name, table in choices
        if getattr(chosen, name) is not None
    }
    fields = {
        name: known.Field.parse(name, text)
        for name, text in _pairs(chosen.field, "--field").items()
    }
    return known.Conventions(
        fields,
        _pairs(chosen.camera, "--camera"),
        base=base,
        scale=None if scale is None else (scale[0], scale[1]),
        **picked,
    )


def completed(told: Conventions, contents: Contents) -> Conventions:
    """With the cameras and their stamps that the file has, where nothing was said of them."""
    from df_policy.data.formats.conventions import Field

    whole = told.over(contents.conventions)
    images = {key: kind for key, kind in contents.keys.items() if _is_image(kind)}
    if not whole.cameras:
        cameras = {_camera(key): key for key in images}
        if len(cameras) != len(images):
            raise DfPolicyError(
                f"expected a --camera NAME=KEY for each of {', '.join(images)}, got none"
            )
        whole = replace(whole, cameras=cameras)
    stamps = {
        f"image_{camera}_stamp": Field(f"{key}.stamp", "ns")
        for camera, key in whole.cameras.items()
        if f"{key}.stamp" in contents.keys
    }
    return replace(whole, fields={**stamps, **whole.fields})


def _is_image(kind: Any) -> bool:
    return len(kind.shape) == 3 and kind.shape[2] == 3 and kind.dtype == "uint8"


def _camera(key: str) -> str:
    """A camera's name by the last telling word of its key."""
    words = [word for word in key.replace(".", "/").split("/") if word not in ("", "image_raw")]
    return "".join(c if c.isalnum() or c in "_-" else "_" for c in words[-1]) if words else ""


def header_of(contents: Contents, told: Conventions, chosen: argparse.Namespace) -> Header:
    """Robot and task of the recording to be made.

    Raises:
        DfPolicyError: listing all that is not known yet.
    """
    from df_policy.data.formats.source import check_image
    from df_policy.data.header import Header, check_spec
    from df_policy.data.schema import SCHEMA_VERSION

    own = contents.header
    if own is not None:
        if missing := told.missing(False):
            raise DfPolicyError(f"expected a whole note in {chosen.source}, say {missing[0]}")
        if chosen.robot is not None or chosen.rate is not None:
            raise DfPolicyError("expected no --robot and --rate: the file tells of its robot")
        return replace(own, task=chosen.task or own.task, version=SCHEMA_VERSION)
    task = chosen.task or contents.task
    rate = chosen.rate or contents.rate_hz
    missing = told.missing(chosen.urdf is not None)
    missing += [] if task else ["--task NAME"]
    missing += [] if rate else ["--rate HZ"]
    missing += [] if chosen.robot else ["--robot FILE, JSON with name, joint_names and limits"]
    if missing:
        listed = "\n  ".join(f"{key}: {kind}" for key, kind in list(contents.keys.items())[:200])
        wanted = "\n  ".join(missing)
        raise DfPolicyError(
            f"the file does not say everything; say\n  {wanted}\nit holds\n  {listed}"
        )
    from df_policy.commands.robot_file import read_robot

    robot = read_robot(chosen.robot)
    images = {camera: contents.keys.get(key) for camera, key in told.cameras.items()}
    lost = [told.cameras[camera] for camera, kind in images.items() if kind is None]
    if lost:
        raise DfPolicyError(f"expected images at {', '.join(lost)}, got no such array")
    cameras = {c: check_image(kind, told.cameras[c]) for c, kind in images.items() if kind}
    spec = replace(robot, cameras=cameras, action_rate_hz=float(rate or 0.0))
    try:
        check_spec(spec)
    except ValueError as error:
        raise DfPolicyError(f"expected {error}; name or say it otherwise") from error
    return Header(spec, str(task), ("imported",), (__version__,))


def arm_of(chosen: argparse.Namespace, header: Header) -> Arm | None:
    """The kinematics that the options name.

    Raises:
        DfPolicyError: if one of the two is missing, or they do not fit the robot.
    """
    from df_policy.data.formats.kinematics import Arm

    if chosen.urdf is None and chosen.tool_frame is None:
        return None
    if chosen.urdf is None or chosen.tool_frame is None:
        raise DfPolicyError("expected --urdf and --tool-frame together, got one of them")
    return Arm(chosen.urdf, chosen.tool_frame, header.spec.joint_names)


def convert(chosen: argparse.Namespace) -> str:
    """Make the recording; says what became of it."""
    from rich.progress import track

    from df_policy.commands.isolated import console, patience
    from df_policy.data.formats import landing, registry
    from df_policy.data.formats.imported import Imported
    from df_policy.data.storage import create
    from df_policy.data.writer import EpisodeWriter

    with ExitStack() as stack:
        with patience(chosen.patience):
            name = chosen.format or registry.recognise(chosen.source)
            source = stack.enter_context(registry.load(name).open_source(chosen.source))
        told = completed(said(chosen), source.contents)
        header = header_of(source.contents, told, chosen)
        success = None if chosen.success is None else chosen.success == "yes"
        episodes = Imported(source, told, header, success, arm_of(chosen, header))
        with landing.landing(chosen.out) as partial:
            create(partial, header)
            with EpisodeWriter.open(partial, header.spec, header.task) as writer:
                for index in track(range(len(episodes)), name, console=console()):
                    with patience(chosen.patience):
                        episode = episodes.episode(index)
                    writer.keep_episode(episode)
                kept = writer.episodes
    lines = [f"{chosen.out}: {kept} episodes of {header.task!r} from {name}"]
    return "\n".join([*lines, *(f"  not in the file: {line}" for line in absent(told))])


def absent(told: Conventions) -> list[str]:
    """What the recording has that the file had not, and what stands in its place."""
    fields = told.fields
    lines = []
    if "stamp" not in fields:
        lines.append("stamps; frames are counted at the rate")
    if any(f"image_{camera}_stamp" not in fields for camera in told.cameras):
        lines.append("stamps of images; they have their frames'")
    if "received" not in fields:
        lines.append("the wall clock; received_ns has the stamps")
    if "action_requested" not in fields and "requested_position" not in fields:
        lines.append("what was asked for; it is what was sent")
    if "dq" in fields and fields["dq"].kind == "absent":
        lines.append("joint velocities; they are zero")
    return lines


def main(argv: list[str]) -> int:
    """Import."""
    chosen = parser().parse_args(argv)
    from df_policy.commands.isolated import isolated

    work: Callable[[], str] = lambda: convert(chosen)  # noqa: E731
    print(isolated(work, chosen.memory_gb, str(chosen.source)), file=sys.stdout)
    return 0
