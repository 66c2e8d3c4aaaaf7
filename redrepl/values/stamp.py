"""Stamps order the versions of a key; the hybrid logical clock hands them out.

A stamp is (microseconds of a hybrid logical clock, writer id). Its text form is 14 and 8 hexadecimal digits, so that
Lua compares both halves exactly as doubles (14 digits are exact until the year 2246).
"""

from __future__ import annotations

import re
from typing import NamedTuple

from redrepl.values import limits
from redrepl.values.errors import RequestError

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
        """Read 22 hexadecimal digits. Raises ValueError on anything else."""
        digits = text if isinstance(text, str) else text.decode("ascii", "replace")
        if len(digits) != STAMP_BYTES or not _HEXADECIMAL.issuperset(digits):
            raise ValueError(f"a stamp has {STAMP_BYTES} hexadecimal digits, not {text!r:.80}")
        return cls(int(digits[:14], 16), int(digits[14:], 16))


is_possible = re.compile(rb"(?:0[0-9a-f]|1[0-9a-e])[0-9a-f]{20}").fullmatch
"""Whether these bytes are a stamp that a record can have: 22 digits, of MAX_MICROS at most."""

NO_STAMP = Stamp(0, 0)
"""Earlier than every stamp that a clock gives: what an absent key counts as."""


def restamp_writer(epoch: int, node_number: int) -> int:
    """The writer id with which a primary restamps: unique to node and epoch, and never a client's id.

    Equal ids would let two values share one stamp (docs/protocol.md, section 3).
    """
    if not 0 < epoch <= limits.MAX_EPOCH or not 0 <= node_number < 1 << _NODE_BITS:
        raise ValueError(f"epoch {epoch} or node number {node_number} does not fit a writer id")
    return _RESTAMP_BIT | epoch << _NODE_BITS | node_number


class HybridClock:
    """A clock that never repeats or goes back, whatever the physical clock does.

    Pure: the caller passes the physical reading. Not thread-safe: the caller locks.
    """

    def __init__(self, writer: int) -> None:
        if not 0 < writer <= limits.MAX_CLIENT_WRITER:
            raise ValueError(f"a client's writer id lies in 1..{limits.MAX_CLIENT_WRITER}, not {writer}")
        self.writer = writer
        self.last_micros = 0

    def next(self, physical_micros: int) -> Stamp:
        """A stamp later than all before it, at the physical time where that is later still."""
        last = self.last_micros
        micros = physical_micros if physical_micros > last else last + 1
        if micros > limits.MAX_MICROS:
            text = f"the clock reads {micros} microseconds, beyond the year 2246"
            raise RequestError(f"{text}; check this machine's clock")
        self.last_micros = micros
        return Stamp(micros, self.writer)

    def observe(self, micros: int) -> None:
        """Take notice of a stamp seen on a node, so that the next one given is later."""
        if self.last_micros < micros <= limits.MAX_MICROS:
            self.last_micros = micros
