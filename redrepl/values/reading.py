"""Texts from outside as values: to the letter, and within bounds.

Python's own functions take more than any server or redrepl writes: `int` takes '+5', ' 7 ', '1_000'
and digits of every script, fails with another error than usual beyond 4,300 digits, and
`json.loads` ends deep nesting with RecursionError.
"""

from __future__ import annotations

import json
import re
from typing import Any

from redrepl.values import limits

_MOST_SHOWN = 80
MOST_WORD_BYTES = 200
"""Bytes of a state or a reason."""

_DIGITS = re.compile(r"[0-9]{1,20}").fullmatch
_ENTRY_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})").fullmatch


def whole_number(number: str | bytes | int) -> int:
    """A count or a time of a server's, 0 to 2**63 - 1. Raises ValueError for what is none."""
    found = number
    if type(found) is bytes:
        found = found.decode("ascii", "replace")
    if type(found) is str and _DIGITS(found):
        found = int(found)
    if type(found) is not int or not 0 <= found < 1 << 63:
        raise ValueError(f"not a whole number: {shown(number)}")
    return found


def is_cursor(text: object) -> bool:
    """Whether a server can have given this as the cursor of a SCAN."""
    return type(text) is str and _DIGITS(text) is not None and int(text) < 1 << 64


def entry_id(text: str) -> str:
    """The id of an entry of a log, as it was given. Raises ValueError for what is none."""
    found = _ENTRY_ID(text)
    if found is None or max(int(found[1]), int(found[2])) >= 1 << 64:
        raise ValueError(f"not the id of an entry: {text!r:.80}")
    return text


def load_json(text: str | bytes, most_bytes: int = limits.MAX_NOTE_BYTES) -> Any:
    """What a JSON text holds.

    Raises ValueError for one that is longer, nested too deeply, or none.
    """
    if len(text) > most_bytes:
        raise ValueError(f"it has {len(text)} bytes, allowed are {most_bytes}")
    try:
        return json.loads(text)
    except RecursionError as error:
        raise ValueError("it is nested too deeply") from error


def words(content: bytes) -> str:
    """The beginning of what a node says in words, whatever bytes these are."""
    return content[:MOST_WORD_BYTES].decode("utf-8", "backslashreplace")


def shown(value: object) -> str:
    """The beginning of a value for a message.

    Python shows no whole number of more than 4,300 digits.
    """
    if isinstance(value, int) and abs(value) >= 1 << 256:
        return f"a number of {value.bit_length()} bits"
    try:
        return f"{value!r:.{_MOST_SHOWN}}"
    except Exception:  # a type of the caller's own, or a list of such numbers
        return f"a value of type {type(value).__name__}"
