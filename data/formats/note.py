"""The note that our exports carry, so that they can be read again without a question."""

from __future__ import annotations

import json

from df_policy.data.formats.conventions import Conventions
from df_policy.data.formats.source import LARGEST_TEXT_BYTES
from df_policy.data.header import Header
from df_policy.errors import DfPolicyError

KEY = "df_policy"
"""The attribute, metadata record or file name under which the note stands."""


def write_note(header: Header, conventions: Conventions) -> str:
    """The note as JSON."""
    return json.dumps({"header": header.attributes(), "conventions": conventions.to_json()})


def read_note(text: object, where: str) -> tuple[Header, Conventions]:
    """What the note says, checked as if a stranger had written it.

    Raises:
        DfPolicyError: if it cannot be read.
    """
    try:
        if not isinstance(text, str) or len(text) > LARGEST_TEXT_BYTES:
            raise ValueError("it is no text, or too long")
        values = json.loads(text)
        header = Header.from_attributes(values["header"], where)
        conventions = Conventions.from_json(values["conventions"])
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise DfPolicyError(
            f"expected the note of df_policy in {where}, got one that cannot be read "
            f"({type(error).__name__}: {error}); use a copy"
        ) from error
    return header, conventions
