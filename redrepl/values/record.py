"""A record: what a node stores under a user's key, as one string of header and payload.

Header, 40 printable bytes (Lua reads it by position, `redis-cli GET` stays readable)::

    0..13   microseconds of the stamp, hexadecimal
    14..21  writer id of the stamp, hexadecimal
    22      kind: v value, d tombstone
    23..34  deadline in milliseconds since 1970, hexadecimal; zeros: none
    35..38  length in bytes of the causal part (several primaries), hexadecimal
    39      |

The causal part and then the payload follow. One stamp names exactly one record.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from redrepl.values.stamp import STAMP_BYTES, Stamp

HEADER_BYTES = 40
VALUE = b"v"
TOMBSTONE = b"d"
NO_DEADLINE = 0
_PLAIN = b"0000000000000000|"
"""The end of most headers: no deadline and no causal part."""
_HEADER = re.compile(rb"(?:0[0-9a-f]|1[0-9a-e])[0-9a-f]{20}[vd][0-9a-f]{16}\|")
"""With a stamp of MAX_MICROS at most."""


class Record(NamedTuple):
    """One version of a key.

    ``deadline_millis`` is absolute, 0 for none; a tombstone has no payload.
    """

    stamp: Stamp
    kind: bytes
    deadline_millis: int
    payload: bytes
    causal: bytes = b""

    def encode(self) -> bytes:
        """The bytes as a node stores them."""
        header = b"%014x%08x%b%012x%04x|" % (
            self.stamp.micros,
            self.stamp.writer,
            self.kind,
            self.deadline_millis,
            len(self.causal),
        )
        return header + self.causal + self.payload

    def is_live(self, now_millis: int) -> bool:
        """Whether the record reads as a value: no tombstone and not past its deadline."""
        return self.kind == VALUE and (
            self.deadline_millis == NO_DEADLINE or self.deadline_millis > now_millis
        )

    def is_past_deadline(self, now_millis: int) -> bool:
        """Whether the deadline has passed, so that the node may drop the record at any moment."""
        return NO_DEADLINE < self.deadline_millis <= now_millis


def value_record(stamp: Stamp, payload: bytes, deadline_millis: int = NO_DEADLINE) -> Record:
    """A record that holds a value."""
    return Record(stamp, VALUE, deadline_millis, payload)


def tombstone(stamp: Stamp, deadline_millis: int = NO_DEADLINE) -> Record:
    """A record that says deleted.

    With a deadline the node collects it by itself some time after.
    """
    return Record(stamp, TOMBSTONE, deadline_millis, b"")


def is_record(stored: bytes) -> bool:
    """Whether redrepl wrote this."""
    return _HEADER.match(stored) is not None


def parse_record(stored: bytes) -> Record:
    """Read what a node stores. Raises ValueError if redrepl did not write it."""
    if _HEADER.match(stored) is None:
        raise ValueError(f"not a record: {stored[:HEADER_BYTES]!r}")
    stamp = Stamp(int(stored[:14], 16), int(stored[14:STAMP_BYTES], 16))
    if stored[23:HEADER_BYTES] == _PLAIN:
        return Record(stamp, stored[22:23], NO_DEADLINE, stored[HEADER_BYTES:])
    start = HEADER_BYTES + int(stored[35:39], 16)
    if len(stored) < start:
        raise ValueError(f"record cut off in its causal part: {stored[:HEADER_BYTES]!r}")
    return Record(
        stamp, stored[22:23], int(stored[23:35], 16), stored[start:], stored[HEADER_BYTES:start]
    )
