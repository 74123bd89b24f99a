"""To look at something again until it is well."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

from df_policy.errors import DfPolicyError

T = TypeVar("T")


def once_well(look: Callable[[], T], patience_s: float, every_s: float) -> T:
    """What `look` gives as soon as it raises nothing that may heal.

    Args:
        look: raises DfPolicyError while it is not well.
        patience_s: for how long.
        every_s: between two looks.

    Raises:
        DfPolicyError: what it raises still after so long.
    """
    deadline_s = time.monotonic() + patience_s
    while True:
        try:
            return look()
        except DfPolicyError:
            if time.monotonic() >= deadline_s:
                raise
            time.sleep(every_s)
