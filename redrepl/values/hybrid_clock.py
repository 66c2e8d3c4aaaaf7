"""The hybrid logical clock that a client's stamps come from."""

from __future__ import annotations

from redrepl.values import limits
from redrepl.values.errors import RequestError
from redrepl.values.stamp import Stamp


class HybridClock:
    """A clock that never repeats or goes back, whatever the physical clock does.

    Pure: the caller passes the physical reading. Not thread-safe: the caller locks.
    """

    def __init__(self, writer: int) -> None:
        if not 0 < writer <= limits.MAX_CLIENT_WRITER:
            raise ValueError(
                f"a client's writer id lies in 1..{limits.MAX_CLIENT_WRITER}, not {writer}"
            )
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
