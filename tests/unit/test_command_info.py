"""`info` says what is there, and names what is not."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from df_policy import __version__
from df_policy.checkpoint import ABOUT
from df_policy.commands import info
from df_policy.errors import DfPolicyError
from df_policy.provenance import version_of


def write_checkpoint(folder: Path, about: dict[str, object]) -> Path:
    folder.mkdir()
    (folder / "model.safetensors").write_bytes(bytes(3_000_000))
    (folder / ABOUT).write_text(json.dumps({"about": about}))
    return folder


def test_versions_name_the_package_and_python() -> None:
    rows = info.machine()
    assert rows["df_policy"] == __version__
    assert rows["numpy"] != "not installed"


def test_a_missing_distribution_is_no_error() -> None:
    assert version_of("no-such-distribution") == "not installed"


def test_what_is_missing_comes_with_the_way_to_get_it() -> None:
    for _, _, installed, source in info.optional_parts():
        assert (installed == "no") == bool(source)


def test_a_checkpoint_shows_its_size_and_origin(tmp_path: Path) -> None:
    folder = write_checkpoint(tmp_path / "swap", {"step": 10, "spec": {"not": "shown"}})
    assert info.checkpoint_row(folder) == ("swap", "3.0 MB", "step 10")


def test_a_damaged_checkpoint_is_a_users_error(tmp_path: Path) -> None:
    (tmp_path / ABOUT).write_text("{")
    with pytest.raises(DfPolicyError, match="copy it again"):
        info.checkpoint_row(tmp_path)


def test_a_recording_is_shown_without_torch(tmp_path: Path) -> None:
    program = """if True:
        import sys
        from df_policy.commands import info
        from df_policy.errors import DfPolicyError
        try:
            info.main([sys.argv[1]])
        except DfPolicyError:
            pass
        sys.exit("torch" in sys.modules)
    """
    (tmp_path / "zarr.json").write_text("{}")
    command = [sys.executable, "-c", program, str(tmp_path)]
    assert subprocess.run(command, timeout=60, check=False).returncode == 0


def test_a_path_that_is_nothing_is_a_users_error(tmp_path: Path) -> None:
    with pytest.raises(DfPolicyError):
        info.main([str(tmp_path / "nothing")])


def test_brackets_are_shown_as_they_stand(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    folder = write_checkpoint(tmp_path / "swap", {"data": "[red]"})
    assert info.main([str(folder)]) == 0
    assert "[red]" in capsys.readouterr().out
