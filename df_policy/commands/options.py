"""Command line options that answer a mistake with one line and the nearest name."""

from __future__ import annotations

import argparse
import re
from typing import Any, NoReturn

from df_policy.errors import nearest


class Options(argparse.ArgumentParser):
    """A parser whose errors are one line; abbreviations are no options."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        """Say what is wrong, with the option or choice that was probably meant; exit code 2."""
        self.exit(2, f"{self.prog}: {self._explained(message)}\n")

    def _explained(self, message: str) -> str:
        if found := re.match(r"unrecognized arguments: (\S+)(.*)", message, re.DOTALL):
            words = [found[1], *found[2].split()]
            name = next((word for word in words if word.startswith("-")), "").partition("=")[0]
            if not name:
                return f"unexpected argument {found[1]!r}; --help shows what is expected"
            # The usage shows -h without its long name.
            known = ["--help", *re.findall(r"--[a-z][\w-]*", self.format_usage())]
            return f"unknown option {name}{nearest(name, known) or '; --help shows all'}"
        if found := re.search(r"invalid choice: '(.*?)' \(choose from (.*)\)", message):
            choices = (choice.strip("' ") for choice in found[2].split(","))
            return message + nearest(found[1], choices)
        return message


def positive(text: str) -> int:
    """A whole number from 1 on; argparse says the function's name where it is none."""
    value = int(text)
    if value < 1:
        raise argparse.ArgumentTypeError(f"expected at least 1, got {value}")
    return value


def natural(text: str) -> int:
    """A whole number from 0 on."""
    value = int(text)
    if value < 0:
        raise argparse.ArgumentTypeError(f"expected at least 0, got {value}")
    return value
