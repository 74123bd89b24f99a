"""Recordings that lie elsewhere: brought here once, and looked at like any other.

`s3://bucket/task.zarr` and all else that fsspec can read. Files are fetched when they are new or
have changed; what decoding and training believe of them is what they believe of files here.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable
from pathlib import Path, PurePosixPath
from typing import Any

from df_policy.data.durable import replace_file
from df_policy.data.schema import ENDS
from df_policy.errors import DfPolicyError

Progress = Callable[[int, int], None]
"""Told how many files of how many are here."""

_CACHE_VARIABLE = "DF_POLICY_CACHE"
_NOTES = "fetched.json"
_MARKS = ("ETag", "etag", "LastModified", "last_modified", "mtime", "created")
"""What file systems say of a file's version, whichever they have."""
_MOST_FILES = 1_000_000


def is_remote(location: str) -> bool:
    """Whether it is an address and no path."""
    return "://" in location


def name_of(location: str) -> str:
    """The recording's own name."""
    return PurePosixPath(location.rstrip("/")).name


def fetch(
    location: str, cache_root: str | Path | None = None, progress: Progress | None = None
) -> Path:
    """Where the recording is on this machine; what is new or has changed is fetched before.

    Args:
        location: a path, which is left as it is, or an address that fsspec knows.
        cache_root: where to; else `$DF_POLICY_CACHE`, else `~/.cache/df_policy`.
        progress: called after each file.

    Raises:
        DfPolicyError: if there is no such recording, a package is missing, or the disk is full.
    """
    if not is_remote(location):
        return Path(location)
    chosen = cache_root or os.environ.get(_CACHE_VARIABLE) or Path.home() / ".cache" / "df_policy"
    key = hashlib.sha256(location.encode()).hexdigest()[:16]
    place = Path(chosen) / "fetched" / key / (name_of(location) or "recording.zarr")
    system, root = _open(location)
    try:
        _mirror(system, root, location, place, progress)
    except DfPolicyError:
        raise
    except Exception as error:  # each file system has errors of its own
        raise DfPolicyError(
            f"expected a recording at {location}, got {error!r:.300}; check the address, who may "
            "read it, and the room on the disk"
        ) from error
    return place


def _open(location: str) -> tuple[Any, str]:
    try:
        import fsspec

        system, root = fsspec.core.url_to_fs(location)
    except ImportError as error:
        raise DfPolicyError(
            f"{location} needs a package that is not here ({error}): "
            "pip install 'df_policy[remote]'"
        ) from error
    except ValueError as error:
        raise DfPolicyError(
            f"expected an address that fsspec knows, such as s3://bucket/task.zarr, got "
            f"{location}: {error}"
        ) from error
    return system, str(root).rstrip("/")


def _mirror(system: Any, root: str, location: str, place: Path, progress: Progress | None) -> None:
    """Make `place` what is at `root`; whatever ends it, a later one goes on."""
    system.invalidate_cache()
    # The ends first: all that they tell of was written before them, and is fetched after.
    ends = {
        name: found
        for name, found in _list(system, root, location).items()
        if name.startswith(ENDS.path)
    }
    first = {name: system.cat_file(f"{root}/{name}") for name in ends}
    system.invalidate_cache()
    there = _list(system, root, location)
    notes_file = place.parent / _NOTES
    notes = _notes(notes_file)
    wanted = {name: mark for name, mark in there.items() if not name.endswith(".partial")}
    if "zarr.json" not in wanted:
        raise DfPolicyError(f"expected a recording at {location}, got no zarr.json there")
    try:
        for number, (name, mark) in enumerate(wanted.items()):
            if name not in first and (
                not mark["sure"] or notes.get(name) != mark or not (place / name).is_file()
            ):
                replace_file(place / name, system.cat_file(f"{root}/{name}"))
                notes[name] = mark
            if progress is not None:
                progress(number + 1, len(wanted))
        for name, content in first.items():
            replace_file(place / name, content)
    finally:
        if place.parent.is_dir():
            replace_file(notes_file, json.dumps(notes).encode())
    for file in [file for file in place.rglob("*") if file.is_file()]:
        if file.relative_to(place).as_posix() not in wanted:
            file.unlink()


def _list(system: Any, root: str, location: str) -> dict[str, dict[str, Any]]:
    """Files below `root`, by their names from there, with what tells versions apart."""
    found = {}
    for path, about in system.find(root, detail=True).items():
        name = str(path)[len(root) :].lstrip("/")
        parts = PurePosixPath(name).parts
        if not str(path).startswith(root) or not parts or ".." in parts or "\\" in name:
            raise DfPolicyError(f"expected plain names of files at {location}, got {path!r:.200}")
        marks = [str(about[mark]) for mark in _MARKS if about.get(mark)]
        found[name] = {"size": about.get("size"), "marks": marks, "sure": bool(marks)}
        if len(found) > _MOST_FILES:
            raise DfPolicyError(f"expected a recording at {location}, got more files than one has")
    return found


def _notes(file: Path) -> dict[str, Any]:
    """What was fetched before; nothing if that cannot be read."""
    try:
        held = json.loads(file.read_text())
    except (OSError, ValueError):
        return {}
    return held if isinstance(held, dict) else {}
