"""The first 35 bytes of a record, as `read_headers` returns them: stamp, kind, deadline."""

from __future__ import annotations

from redrepl.plans.scan import FOREIGN
from redrepl.values.record import NO_DEADLINE, TOMBSTONE, VALUE
from redrepl.values.stamp import NO_STAMP, STAMP_BYTES, Stamp

UNTOUCHABLE = Stamp((1 << 56) - 1, (1 << 32) - 1)
"""Stands for a value that redrepl did not write: no record is later."""

_KIND = slice(STAMP_BYTES, STAMP_BYTES + 1)
_DEADLINE = slice(STAMP_BYTES + 1, STAMP_BYTES + 13)


def stamp_in(header: bytes) -> Stamp:
    """The stamp at the start of a header.

    The earliest one for nothing, the latest one for what must not be overwritten.
    """
    if header == FOREIGN:
        return UNTOUCHABLE
    return Stamp.parse(header[:STAMP_BYTES]) if header else NO_STAMP


def holds_record(header: bytes) -> bool:
    """Whether there is a record: neither nothing, nor a value that redrepl did not write."""
    return header not in (b"", FOREIGN)


def is_tombstone(header: bytes) -> bool:
    """Whether a header, or a whole record, is of a tombstone."""
    return header[_KIND] == TOMBSTONE


def is_value(header: bytes) -> bool:
    """Whether a header, or a whole record, is of a value."""
    return header[_KIND] == VALUE


def deadline_in(header: bytes) -> int | None:
    """When a record expires, in milliseconds since 1970; None where it never does."""
    deadline = int(header[_DEADLINE], 16)
    return None if deadline == NO_DEADLINE else deadline
