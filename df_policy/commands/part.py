"""One command of this package as a part of another, in a process of its own."""

from __future__ import annotations

import subprocess
import sys

from df_policy.errors import DfPolicyError


def run_part(what: str, *command: list[str]) -> None:
    """Run `python -m` with these words, and say what for.

    Raises:
        DfPolicyError: if it fails; its own message stands above.
    """
    print(what, flush=True)
    words = [sys.executable, "-m", *(word for part in command for word in part)]
    with subprocess.Popen(words) as process:
        try:
            code = process.wait()
        except BaseException:
            process.terminate()  # the part ends its own children
            process.wait()
            raise
    if code:
        raise DfPolicyError(f"{what} ended with exit code {code}: see the message above")
