"""Bytes, names and urls as text that is safe to show."""

from __future__ import annotations

import os

UTF_8 = "utf-8"
BACKSLASH = "utf-8-backslashreplace"
"""Named in JSON beside a value whose bytes are not UTF-8: they stand as \\xNN."""


def argument_bytes(argument: str) -> bytes:
    """The bytes of a command line argument as the shell gave them, UTF-8 or not."""
    return os.fsencode(argument)


def argument_key(argument: str) -> str | bytes:
    """A key from the command line: text, which reads better in messages, unless it is not UTF-8."""
    content = argument_bytes(argument)
    try:
        return content.decode()
    except UnicodeDecodeError:
        return content


def decoded(content: bytes | str) -> tuple[str, str]:
    """Text for JSON, and the name of its encoding."""
    if isinstance(content, str):
        content = content.encode("utf-8", "surrogateescape")
    try:
        return content.decode(), UTF_8
    except UnicodeDecodeError:
        return content.decode("utf-8", "backslashreplace"), BACKSLASH


def printable(content: bytes | str, keep: str = "") -> str:
    """Text for a terminal: control characters, which could command it, are escaped; those in
    ``keep`` stay.
    """
    text, _ = decoded(content)
    return "".join(
        c if c.isprintable() or c in keep else c.encode("unicode_escape").decode() for c in text
    )


def shown_url(url: str) -> str:
    """A url without login and options; where it cannot be read, nothing of it."""
    from redrepl.values.node_url import public_url  # the library's, which help does without

    return public_url(url)
