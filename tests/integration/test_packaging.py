"""What pip installs: the wheel holds everything, runs outside the tree, agrees with the lock."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ElementTree
import zipfile
from email.message import Message
from email.parser import Parser
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name
from packaging.version import Version

import df_policy

ROOT = Path(__file__).parents[2]
OUTER = ("data", "teleop", "sim", "ros_nodes")
NOT_BUILT = shutil.ignore_patterns(
    ".git",
    ".venv",
    "build",
    "install",
    "log",
    "*.egg-info",
    "recordings",
    "runs",
    "__pycache__",
    ".*",
)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The wheel of a fresh copy of the tree: an old build/ here would leak into it."""
    tree = tmp_path_factory.mktemp("tree") / "df_policy"
    shutil.copytree(ROOT, tree, symlinks=True, ignore=NOT_BUILT)
    done = subprocess.run(
        [sys.executable, "-m", "build", "--wheel", "--no-isolation", "--skip-dependency-check"]
        + ["--outdir", "dist"],
        cwd=tree,
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    (built,) = (tree / "dist").glob("*.whl")
    return built


@pytest.fixture(scope="module")
def metadata(wheel: Path) -> Message:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith(".dist-info/METADATA"))
        return Parser().parsestr(archive.read(name).decode())


def entry_points(wheel: Path) -> str:
    with zipfile.ZipFile(wheel) as archive:
        (name,) = (n for n in archive.namelist() if n.endswith("/entry_points.txt"))
        return archive.read(name).decode()


def locked() -> dict[str, Version]:
    rows = (ROOT / "requirements.lock").read_text().splitlines()
    pins = [row.split("==") for row in rows if row and not row.startswith("#")]
    return {canonicalize_name(name): Version(version) for name, version in pins}


def test_the_wheel_holds_every_module_and_asset_and_nothing_at_top_level(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        names = set(archive.namelist())
    expected = {"df_policy/py.typed"}
    expected |= {p.relative_to(ROOT).as_posix() for p in (ROOT / "df_policy").rglob("*.py")}
    for folder in OUTER:
        expected |= {f"df_policy/{p.relative_to(ROOT)}" for p in (ROOT / folder).rglob("*.py")}
    for folder, pattern in (("sim/assets", "*"), ("df_policy/weights", "*/*")):
        files = (p for p in (ROOT / folder).glob(pattern) if p.is_file())
        prefix = "" if folder.startswith("df_policy") else "df_policy/"
        expected |= {f"{prefix}{p.relative_to(ROOT)}" for p in files}
    assert expected - names == set()
    top_level = {name.split("/")[0] for name in names}
    assert {name for name in top_level if not name.startswith("df_policy-")} == {"df_policy"}


def test_the_wheel_carries_the_launch_files_and_the_ament_index(wheel: Path) -> None:
    with zipfile.ZipFile(wheel) as archive:
        shared = {n.split(".data/data/")[1] for n in archive.namelist() if ".data/data/" in n}
    assert "share/ament_index/resource_index/packages/df_policy" in shared
    assert "share/df_policy/package.xml" in shared
    launch_files = {f"share/df_policy/launch/{p.name}" for p in ROOT.glob("launch/*.launch.py")}
    assert launch_files <= shared


def test_the_installed_package_is_imported_outside_the_tree(wheel: Path, tmp_path: Path) -> None:
    site = tmp_path / "site"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "-q", "--no-deps", "--no-index", "--no-compile"]
        + ["--disable-pip-version-check", "--target", str(site), str(wheel)],
        check=True,
        timeout=120,
    )
    modules = ["df_policy.cli", "df_policy.plan", "df_policy.data.schema", "df_policy.teleop"]
    code = (
        f"import sys; sys.path.insert(0, {str(site)!r})\n"
        f"import {', '.join(modules)}\n"
        f"import df_policy.sim\n"
        f"for m in {modules!r}: assert sys.modules[m].__file__.startswith({str(site)!r}), m\n"
        f"print(df_policy.__version__)\n"
    )
    # -I: neither this folder nor PYTHONPATH may help.
    done = subprocess.run(
        [sys.executable, "-I", "-c", code],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.strip() == df_policy.__version__


def test_every_entry_point_names_a_file(wheel: Path) -> None:
    modules = re.findall(r"= (df_policy[\w.]*):", entry_points(wheel))
    assert len(modules) >= 5
    missing = [m for m in modules if not (ROOT / f"{m.replace('.', '/')}.py").is_file()]
    assert missing == []


def test_all_three_places_name_one_version(metadata: Message) -> None:
    package = ElementTree.parse(ROOT / "package.xml")
    assert metadata["Version"] == package.findtext("version") == df_policy.__version__
    assert f"## {df_policy.__version__}" in (ROOT / "CHANGELOG.md").read_text()


def test_the_lock_pins_every_requirement_within_its_range(metadata: Message) -> None:
    pins = locked()
    for line in metadata.get_all("Requires-Dist", []):
        requirement = Requirement(line)
        extra = re.search(r'extra == "(\w+)"', str(requirement.marker or ""))
        if extra and extra[1] in ("log", "remote", "wandb"):
            continue
        pin = pins.get(canonicalize_name(requirement.name))
        assert pin is not None, f"{requirement.name} is missing in requirements.lock"
        assert pin in requirement.specifier, f"{requirement.name}=={pin} is outside {requirement}"


def test_the_lock_is_plain_pins() -> None:
    rows = (ROOT / "requirements.lock").read_text().splitlines()
    assert [row for row in rows if not re.fullmatch(r"[A-Za-z0-9_.-]+==[0-9][\w.]*", row)] == []
    assert [row for row in rows if row.lower().startswith(("nvidia", "triton"))] == []


def test_a_checkout_that_lost_its_links_says_so(tmp_path: Path) -> None:
    shutil.copy(ROOT / "setup.py", tmp_path)
    shutil.copytree(ROOT / "df_policy", tmp_path / "df_policy", symlinks=True, ignore=NOT_BUILT)
    link = tmp_path / "df_policy" / "ros_nodes"
    link.unlink()
    link.write_text("../ros_nodes")
    done = subprocess.run(
        [sys.executable, "setup.py", "--version"],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.returncode != 0
    assert done.stderr.strip().startswith("df_policy/ros_nodes is not a directory")
    assert "ln -sfn ../ros_nodes df_policy/ros_nodes" in done.stderr
