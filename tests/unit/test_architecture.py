"""Who may import whom, how long things may get, how files may be called: read off the source."""

from __future__ import annotations

import ast
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
OUTER = ("data", "teleop", "sim", "ros_nodes")
DRIVERS = "hardware"
"""Lies in the package itself, and is no part of the core."""

# These join the outer folders; everything else keeps to its own side.
COMPOSITION_ROOTS = ("df_policy/cli.py", "df_policy/commands/", "teleop/record.py")

MESSAGES = {
    f"{name}_msgs"
    for name in (
        "action",
        "builtin",
        "control",
        "diagnostic",
        "geometry",
        "lifecycle",
        "nav",
        "rosgraph",
        "sensor",
        "std",
    )
} | {"builtin_interfaces", "rcl_interfaces", "std_srvs"}

# Third party -> files (by prefix) that may import it. What is not listed is free.
ALLOWED_IN: dict[str, tuple[str, ...]] = {
    "torch": ("df_policy/", "ros_nodes/planner_process.py"),
    "safetensors": ("df_policy/",),
    "tensorboard": ("df_policy/",),
    "mujoco": ("sim/",),
    "mink": ("sim/",),
    "franky_sim": ("sim/",),
    "franky": ("df_policy/hardware/",),
    "rospy": ("df_policy/hardware/ros1/",),
    "franka_interface": ("df_policy/hardware/ros1/",),
    "pyrealsense2": ("df_policy/hardware/",),
    "gymnasium": ("sim/",),
    "zarr": ("data/",),
    "h5py": ("data/",),
    "imagecodecs": ("data/",),
    "cv2": ("data/", "df_policy/hardware/", "sim/film.py", "teleop/pictures.py"),
    "google_crc32c": ("data/",),
    "rerun": ("data/", "teleop/rerun_view.py"),
    "mcap": ("data/", "ros_nodes/"),
    "av": ("data/", "sim/film.py"),
    "pinocchio": ("data/formats/",),
    "pyarrow": ("data/formats/",),
    "mcap_ros2": ("data/formats/",),
    "numcodecs": ("data/",),
    "aiohttp": ("teleop/web_server.py",),
    "pygame": ("teleop/gamepad.py",),
    "pyspacemouse": ("teleop/spacemouse.py",),
    "rclpy": ("ros_nodes/", "launch/"),
    "launch": ("ros_nodes/", "launch/"),
    "launch_ros": ("ros_nodes/", "launch/"),
} | dict.fromkeys(MESSAGES, ("ros_nodes/",))

MODULE_LINES = 300
"""250 is the aim; beyond this a module is split."""

FUNCTION_LINES = 60


@dataclass(frozen=True)
class Source:
    """One file of the tree, parsed."""

    path: str
    """From the root, in its real folder: `data/schema.py`, not `df_policy/data/schema.py`."""
    text: str

    @property
    def tree(self) -> ast.Module:
        return ast.parse(self.text, self.path)

    @property
    def side(self) -> str:
        """The folder that this file belongs to: `df_policy`, `data`, ..."""
        first, second = self.path.split("/")[:2]
        return second if (first, second) == ("df_policy", DRIVERS) else first


def sources(root: Path) -> list[Source]:
    """The product's files; links are not followed, so each comes once."""
    found = [
        Source(path.relative_to(root).as_posix(), path.read_text("utf-8"))
        for folder in ("df_policy", *OUTER, "launch")
        for path in sorted((root / folder).rglob("*.py"))
        if not any(parent.is_symlink() for parent in path.parents)
    ]
    assert found, f"no sources below {root}"
    return found


def imports(tree: ast.Module) -> Iterator[str]:
    """Every imported module, with the names imported from it: `df_policy.data.schema`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or '.'}.{alias.name}" for alias in node.names)


def functions(tree: ast.Module) -> Iterator[tuple[str, int]]:
    """Every function with its number of lines."""
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node.name, (node.end_lineno or node.lineno) - node.lineno + 1


def side_of(module: str) -> str | None:
    """The folder of ours that an import reaches into."""
    parts = module.split(".")
    if parts[0] != "df_policy":
        return None
    return parts[1] if len(parts) > 1 and parts[1] in (*OUTER, DRIVERS) else "df_policy"


def may_reach(source: Source, target: str) -> bool:
    """Whether the file may import from the folder `target`."""
    if source.path.startswith(COMPOSITION_ROOTS) or source.side in ("ros_nodes", "launch"):
        return True
    return target in (source.side, "df_policy")


def breaches(root: Path) -> list[str]:
    """All that is wrong below `root`, a line each."""
    wrong = []
    for source in sources(root):
        for module in imports(source.tree):
            top, target = module.split(".")[0], side_of(module)
            if top in OUTER or top == "":
                wrong.append(f"{source.path}: imports {module}, write df_policy.<folder>.<module>")
            elif target is not None and not may_reach(source, target):
                wrong.append(f"{source.path}: imports {module}, out of bounds for {source.side}")
            elif not source.path.startswith(ALLOWED_IN.get(top, ("",))):
                wrong.append(f"{source.path}: imports {top}, allowed in {ALLOWED_IN[top]} only")
        lines = source.text.count("\n")
        if lines > MODULE_LINES:
            wrong.append(f"{source.path}: {lines} lines, at most {MODULE_LINES}")
        wrong += [
            f"{source.path}: {name} has {length} lines, at most {FUNCTION_LINES}"
            for name, length in functions(source.tree)
            if length > FUNCTION_LINES
        ]
        if Path(source.path).stem in sys.stdlib_module_names:
            wrong.append(f"{source.path}: has the name of a standard library module")
    return wrong


def stray_packages(root: Path) -> list[str]:
    """Folders that must not be packages and are."""
    found = [*(root / "launch").rglob("__init__.py"), *(root / "tests").rglob("__init__.py")]
    return [path.relative_to(root).as_posix() for path in found]


def plant(root: Path, path: str, text: str) -> None:
    file = root / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)


def test_no_import_goes_the_wrong_way_and_nothing_is_too_long() -> None:
    assert breaches(ROOT) == []


def test_launch_and_tests_are_no_packages() -> None:
    assert stray_packages(ROOT) == []


@pytest.mark.parametrize("folder", OUTER)
def test_each_outer_folder_is_linked_into_the_package(folder: str) -> None:
    link = ROOT / "df_policy" / folder
    assert link.is_symlink()
    assert link.readlink() == Path("..", folder)
    assert (link / "__init__.py").is_file()


@pytest.mark.parametrize(
    ("path", "text", "complaint"),
    [
        ("df_policy/plan.py", "from df_policy.sim import world", "out of bounds"),
        ("df_policy/plan.py", "def f():\n    import df_policy.data.schema", "out of bounds"),
        ("df_policy/plan.py", "from df_policy import teleop", "out of bounds"),
        ("df_policy/plan.py", "from df_policy.hardware import arm", "out of bounds"),
        ("df_policy/hardware/arm.py", "from df_policy.sim import world", "out of bounds"),
        ("data/writer.py", "from df_policy.teleop.device import Device", "out of bounds"),
        ("sim/world.py", "import df_policy.ros_nodes.topics", "out of bounds"),
        ("sim/world.py", "import data.writer", "df_policy.<folder>"),
        ("sim/world.py", "from . import task", "df_policy.<folder>"),
        ("df_policy/align.py", "import rclpy.time", "allowed in"),
        ("df_policy/align.py", "from sensor_msgs.msg import Image", "allowed in"),
        ("df_policy/commands/demo.py", "import mujoco", "allowed in"),
        ("data/cache.py", "import torch", "allowed in"),
        ("ros_nodes/session.py", "import torch", "allowed in"),
        ("sim/world.py", "import cv2", "allowed in"),
        ("sim/queue.py", "", "standard library"),
        ("sim/world.py", "\n" * (MODULE_LINES + 1), "lines, at most"),
        ("sim/world.py", "def f():\n" + "    0\n" * FUNCTION_LINES, "f has"),
    ],
)
def test_the_checker_finds_a_planted_breach(
    tmp_path: Path, path: str, text: str, complaint: str
) -> None:
    plant(tmp_path, "df_policy/errors.py", "import numpy as np\n")
    assert breaches(tmp_path) == []
    plant(tmp_path, path, text)
    found = breaches(tmp_path)
    assert len(found) == 1
    assert found[0].startswith(f"{path}: ")
    assert complaint in found[0]


@pytest.mark.parametrize(
    ("path", "text"),
    [
        ("df_policy/commands/demo.py", "from df_policy.sim.world import World"),
        ("teleop/record.py", "from df_policy.data.writer import EpisodeWriter"),
        ("ros_nodes/sim_node.py", "import rclpy\nimport df_policy.sim.world"),
        ("ros_nodes/planner_process.py", "def f():\n    import torch"),
        ("sim/film.py", "import cv2, av, mujoco\nfrom df_policy.plan import Plan"),
        ("launch/a.launch.py", "from launch import LaunchDescription"),
    ],
)
def test_the_checker_lets_the_joints_pass(tmp_path: Path, path: str, text: str) -> None:
    plant(tmp_path, path, text)
    assert breaches(tmp_path) == []


def test_the_checker_sees_each_file_once_though_it_is_linked(tmp_path: Path) -> None:
    plant(tmp_path, "data/schema.py", "")
    plant(tmp_path, "df_policy/plan.py", "")
    (tmp_path / "df_policy" / "data").symlink_to("../data")
    assert [s.path for s in sources(tmp_path)] == ["df_policy/plan.py", "data/schema.py"]


def test_the_checker_finds_a_stray_package(tmp_path: Path) -> None:
    plant(tmp_path, "launch/__init__.py", "")
    plant(tmp_path, "tests/unit/__init__.py", "")
    assert stray_packages(tmp_path) == ["launch/__init__.py", "tests/unit/__init__.py"]
