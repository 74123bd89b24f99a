"""The README's commands are understood, its files are there, its figures are measured."""

import re
import shlex
from pathlib import Path

import pytest

from df_policy import cli
from df_policy.commands import evaluate, train
from df_policy.teleop import record

ROOT = Path(__file__).resolve().parents[2]
README = (ROOT / "README.md").read_text()
PAGES = [ROOT / "README.md"] + [
    page
    for folder in ("df_policy", "sim", "teleop", "data", "ros_nodes")
    for page in sorted((ROOT / folder).rglob("README.md"))
    if not any(parent.is_symlink() for parent in page.parents)
]
BLOCKS = README.replace("\\\n", " ").split("```")[1::2]
"""What stands between fences; one that names a language begins with it."""
COMMANDS = [line for block in BLOCKS for line in block.splitlines() if line.startswith("python ")]


@pytest.mark.parametrize("line", COMMANDS)
def test_a_command_of_the_readme_is_understood(line):
    words = shlex.split(line, comments=True)
    if words[1] == "teleop/record.py":
        assert record.parser().parse_args(words[2:]).episodes in (800, 300)
        return
    assert words[1:3] == ["-m", "df_policy"]
    name, options = words[3], words[4:]
    assert name in cli.COMMANDS
    if name == "train":
        assert train.parse(options).preset == "fruit_swap"
    elif name == "evaluate":
        assert evaluate.parser().parse_args(options).episodes == 100


def test_the_commands_were_found():
    assert len(COMMANDS) >= 4


def test_make_has_the_targets_of_the_readme():
    targets = re.findall(r"^make (\w+)", "\n".join(BLOCKS), re.MULTILINE)
    made = re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert targets == ["demo", "test"]
    assert {*targets, "env"} <= set(made)


def test_every_file_of_the_map_is_there():
    (tree,) = (block.strip() for block in BLOCKS if block.startswith("\ndf_policy/"))
    folder = ROOT
    for line in tree.splitlines():
        names = re.split(r" {2,}", line.strip())[0].split()
        if not line.startswith(" "):
            folder = ROOT / names[0]
            names = ["."]
        for name in names:
            assert (folder / name).exists(), line


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.relative_to(ROOT).as_posix())
def test_every_link_leads_somewhere(page):
    for target in re.findall(r"\]\((?!http)([^)]+)\)", page.read_text()):
        file, _, heading = target.partition("#")
        found = page.parent / file if file else page
        assert found.exists(), target
        titles = re.findall(r"^#+ (.+)$", found.read_text(), re.MULTILINE) if heading else []
        assert not heading or heading in [title.lower().replace(" ", "-") for title in titles]


def test_every_figure_of_the_table_is_in_the_results():
    results = (ROOT / "tests" / "benchmarks" / "RESULTS.md").read_text()
    rows = [line.split("|")[2].strip() for line in README.splitlines() if line.startswith("| ")]
    assert len(rows) > 3
    for figure in rows[1:]:
        assert figure in results, figure
