"""The machine's clocks, behind one object so that tests can move them."""

from __future__ import annotations

import secrets
import threading
import time

from redrepl.values import limits
from redrepl.values.stamp import HybridClock, Stamp


class SystemClock:
    """Wall-clock readings; `offset_micros` is what the cluster's time is ahead of this machine's."""

    def __init__(self) -> None:
        self.offset_micros = 0

    def micros(self) -> int:
        """Microseconds since 1970 by the cluster's clock."""
        return time.time_ns() // 1000 + self.offset_micros

    def millis(self) -> int:
        """Milliseconds since 1970 by the cluster's clock."""
        return self.micros() // 1000


class StampClock:
    """Hands out stamps to many threads."""

    def __init__(self, physical: SystemClock | None = None, writer: int | None = None) -> None:
        self.physical = physical or SystemClock()
        self._hybrid = HybridClock(writer or 1 + secrets.randbelow(limits.MAX_CLIENT_WRITER))
        self._lock = threading.Lock()

    def next(self) -> Stamp:
        """A stamp later than all given or observed before."""
        with self._lock:
            return self._hybrid.next(self.physical.micros())

    def observe(self, micros: int) -> None:
        """Take notice of a stamp that a node accepted."""
        if micros > self._hybrid.last_micros:
            with self._lock:
                self._hybrid.observe(micros)
