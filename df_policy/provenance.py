"""What a result was made with."""

from __future__ import annotations

import importlib.metadata
import platform

from df_policy import __version__

LIBRARIES = ("numpy", "torch", "mujoco", "mink", "gymnasium", "zarr", "imagecodecs", "rich")


def version_of(distribution: str) -> str:
    """The installed version, or `not installed`."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "not installed"


def versions() -> dict[str, str]:
    """This package, Python, and the libraries that results depend on."""
    own = {"df_policy": __version__, "Python": platform.python_version()}
    return own | {name: version_of(name) for name in LIBRARIES}
