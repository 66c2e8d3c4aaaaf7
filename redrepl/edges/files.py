"""Reading small files whose names come from a configuration: a device or a log must not fill the
memory.
"""

from __future__ import annotations

from pathlib import Path

from redrepl.values import limits


class FileUnreadable(Exception):
    """Why a file cannot be read, in words that hold nothing of its content.

    ``is_missing``: there is none.
    """

    def __init__(self, reason: str, is_missing: bool = False) -> None:
        super().__init__(reason)
        self.is_missing = is_missing


def reason_of(error: OSError | ValueError) -> str:
    """Why a file cannot be opened. ValueError: its name holds what no file's name does (NUL)."""
    return (error.strerror or str(error)) if isinstance(error, OSError) else "is no name of a file"


def read_text(
    file: str | Path, most_bytes: int = limits.MAX_SECRET_BYTES, encoding: str = "utf-8"
) -> str:
    """The text of a file. Raises FileUnreadable."""
    try:
        with open(file, "rb") as opened:
            content = opened.read(most_bytes + 1)
    except (OSError, ValueError) as error:
        raise FileUnreadable(reason_of(error), isinstance(error, FileNotFoundError)) from error
    if len(content) > most_bytes:
        raise FileUnreadable(f"has more than {most_bytes} bytes")
    try:
        return content.decode(encoding)
    except UnicodeDecodeError as error:
        raise FileUnreadable("is no UTF-8 text") from error
