"""Every format by its name; a module is imported when it is needed."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import cast

from df_policy.data.formats.source import Format
from df_policy.errors import DfPolicyError, nearest


@dataclass(frozen=True)
class Entry:
    """One format."""

    module: str
    what: str
    needs: tuple[str, ...] = ()
    """Packages of the extra `formats`."""


FORMATS = {
    "diffusion_policy": Entry("replay_buffer", "zarr replay buffer, a folder or .zarr.zip"),
    "umi": Entry("umi", "replay buffer with UMI's names"),
    "robomimic": Entry("robomimic", "one HDF5 file"),
    "aloha": Entry("aloha", "a folder of HDF5 files, as ACT reads them"),
    "lerobot": Entry("lerobot", "LeRobot v3 (v2.1 to import)", ("pyarrow",)),
    "mcap": Entry("mcap_bag", "a folder of ROS 2 bags", ("mcap", "mcap_ros2")),
}


def load(name: str) -> Format:
    """The module of a format.

    Raises:
        DfPolicyError: if there is no such format, or a package is not installed.
    """
    if name not in FORMATS:
        hint = nearest(name, FORMATS) or f"; there are {', '.join(FORMATS)}"
        raise DfPolicyError(f"unknown format {name!r}{hint}")
    entry = FORMATS[name]
    for package in entry.needs:
        if importlib.util.find_spec(package) is None:
            raise DfPolicyError(
                f"{name} needs the package {package}: pip install df_policy[formats]"
            )
    return cast(Format, importlib.import_module(f"df_policy.data.formats.{entry.module}"))


def recognise(path: Path) -> str:
    """The format of what stands at `path`.

    Raises:
        DfPolicyError: if it is none of them.
    """
    if not path.exists():
        raise DfPolicyError(f"expected something to import at {path}, got nothing there")
    for name, entry in FORMATS.items():
        if _installed(entry) and load(name).recognises(path):
            return name
    missing = [name for name, entry in FORMATS.items() if not _installed(entry)]
    hint = f" ({', '.join(missing)} not looked for: pip install df_policy[formats])"
    raise DfPolicyError(
        f"expected {path} as one of {', '.join(FORMATS)}, got something else; name it with "
        f"--format{hint if missing else ''}"
    )


def _installed(entry: Entry) -> bool:
    return all(importlib.util.find_spec(package) is not None for package in entry.needs)
