"""Drivers of real robots and cameras, and what it takes to set them up; none of it knows ROS.

Nothing here imports a vendor's library before it is used: `missing` says in one line what to
install.
"""

from __future__ import annotations


def missing(what: str, extra: str, error: ImportError) -> str:
    """What to say when a vendor's library is not there.

    Args:
        what: what it is needed for.
        extra: of this package, that brings it.
        error: the failed import.
    """
    return f"expected {what}, got: {error}; do `pip install df_policy[{extra}]`"
