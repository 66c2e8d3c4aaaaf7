"""Lists of answers that announce more places than any answer of ours has, found before the parser
makes room for them.

hiredis makes a list as long as announced when its first line has arrived. For `*1000000000` that
takes no memory, but seconds in which the interpreter lets the places go again, and no other thread
runs.
"""

from __future__ import annotations

import re
from typing import Final

import hiredis

from redrepl.values.reasons import NOT_OURS

MOST_PLACES: Final = 1_000_000
"""Of one list: the longest are pages of SCAN, of the log, and answers to batches."""

_LISTS = b"*~>"
"""Arrays, sets and pushes. The parser makes no room for maps and attributes."""

_KINDS = tuple(bytes((kind,)) for kind in _LISTS)

_TEXTS = b"$=!"

_KEPT_BYTES = 1 << 20
_LONGEST_LINE = 32
"""Bytes that an announcement can have, and some more."""

_LONG = re.compile(rb"\+?[0-9]{7}").match
_SHORTEST = 8


class AnnouncedLists:
    """Looks at what one connection receives.

    Where no text looks like a long announcement, that costs one search.

    What looks like one may stand in a value: then the elements since the last known beginning of
    one are gone through.
    """

    def __init__(self) -> None:
        self._kept: list[
            bytes
        ] = []  # since the beginning of an element; empty: the next byte is one
        self._kept_bytes = 0
        self._tail = b""  # the last of it
        self._skipped = 0  # bytes still to come of a text in whose midst the next byte is

    def check(self, data: bytes) -> None:
        """To be called before the parser gets it. Raises ProtocolError."""
        if self._skipped >= len(data) or (not self._kept and len(data) < _SHORTEST):
            return
        looked_at = self._tail + data if self._tail else data
        if _seems_long(looked_at, self._skipped):
            _next_element(b"".join((*self._kept, data)), self._skipped)

    def note(self, data: bytes, is_whole: bool) -> None:
        """To be called when the parser has taken what it can. is_whole: nothing waits in it for its
        end.

        Raises ProtocolError for a line without end, through which the parser would look again with
        all that arrives.
        """
        if is_whole:
            self._kept, self._kept_bytes, self._skipped, self._tail = [], 0, 0, b""
            if data[-1:] != b"\n":
                self._keep(
                    data[-1:]
                )  # it has taken the first letter of an element, which alone it does not give back
        elif self._skipped >= len(data):
            self._skipped -= len(data)
        else:
            self._keep(data[self._skipped :])

    def _keep(self, data: bytes) -> None:
        self._skipped = 0
        self._kept.append(data)
        self._kept_bytes += len(data)
        self._tail = (self._tail + data)[-_LONGEST_LINE:]
        if self._kept_bytes > _KEPT_BYTES:
            whole = b"".join(self._kept)
            place = _next_element(whole, 0)
            if place + _KEPT_BYTES // 2 < len(whole):
                raise hiredis.ProtocolError(f"{NOT_OURS}: a line without end")
            self._kept = [whole[place:]] if place < len(whole) else []
            self._kept_bytes, self._skipped = (
                len(self._kept[0]) if self._kept else 0,
                max(0, place - len(whole)),
            )
            self._tail = self._tail if self._kept else b""


def _seems_long(data: bytes, place: int) -> bool:
    """Whether there is text that looks like a long announcement."""
    for kind in _KINDS:
        found = data.find(kind, place)
        while found >= 0:
            if _LONG(data, found + 1):
                return True
            found = data.find(kind, found + 1)
    return False


def _next_element(data: bytes, place: int) -> int:
    """Where the first element begins that is not whole, or will begin.

    Raises ProtocolError for a list too long.
    """
    while 0 <= place < len(data):
        end = data.find(b"\r\n", place)
        if end < 0:
            return place
        kind, length = data[place], data[place + 1 : end]
        if kind in _LISTS and _number(length) > MOST_PLACES:
            raise hiredis.ProtocolError(
                f"{NOT_OURS}: a list of {length[:20].decode(errors='replace')} places"
            )
        place = end + 2
        if kind in _TEXTS and _number(length) >= 0:
            place += _number(length) + 2
    return place


def _number(text: bytes) -> int:
    """What an announcement says, -1 for nil and for what the parser refuses."""
    return int(text) if text.removeprefix(b"+").isdigit() and len(text) <= _LONGEST_LINE else -1
