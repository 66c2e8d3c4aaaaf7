"""Stamps order the versions of a key; the hybrid logical clock (`hybrid_clock.py`) hands them out.

A stamp is (microseconds of a hybrid logical clock, writer id). Its text form is 14 and 8
hexadecimal digits, so that Lua compares both halves exactly as doubles (14 digits are exact until
the year 2246).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from redrepl.values import limits

STAMP_BYTES = 22
_HEXADECIMAL = frozenset("0123456789abcdef")
_RESTAMP_BIT = 1 << 31
_NODE_BITS = 12


class Stamp(NamedTuple):
    """The version of a record. Later stamps win; the writer id breaks ties."""

    micros: int
    writer: int

    def encode(self) -> bytes:
        """The 22 hexadecimal digits that start a record."""
        return b"%014x%08x" % (self.micros, self.writer)

    def __str__(self) -> str:
        return f"{self.micros:014x}{self.writer:08x}"

    @classmethod
    def parse(cls, text: bytes | str) -> Stamp:
        """Read 22 hexadecimal digits, as text or bytes. Raises ValueError on anything else."""
        digits = text if isinstance(text, str) else text.decode("ascii", "replace")
        if len(digits) != STAMP_BYTES or not _HEXADECIMAL.issuperset(digits):
            raise ValueError(f"a stamp has {STAMP_BYTES} hexadecimal digits, not {text!r:.80}")
        return cls(int(digits[:14], 16), int(digits[14:], 16))


is_possible = re.compile(rb"(?:0[0-9a-f]|1[0-9a-e])[0-9a-f]{20}").fullmatch
"""Whether these bytes are a stamp that a record can have: 22 digits, of MAX_MICROS at most."""

NO_STAMP = Stamp(0, 0)
"""Earlier than every stamp that a clock gives: what an absent key counts as."""


def restamp_writer(epoch: int, node_number: int) -> int:
    """The writer id with which a primary restamps: unique to node and epoch, and never a client's
    id.

    Equal ids would let two values share one stamp (docs/protocol.md, section 3).
    """
    if not 0 < epoch <= limits.MAX_EPOCH or not 0 <= node_number < 1 << _NODE_BITS:
        raise ValueError(f"epoch {epoch} or node number {node_number} does not fit a writer id")
    return _RESTAMP_BIT | epoch << _NODE_BITS | node_number
