"""The machine's clocks, behind one object so that tests can move them."""

from __future__ import annotations

import secrets
import threading
import time
from threading import get_ident

from redrepl.edges.forking import renew_after_fork
from redrepl.values import limits
from redrepl.values.stamp import HybridClock, Stamp

TOLERANCE_SECONDS = 0.05
"""Smaller differences between this machine's clock and the nodes' are noise of the measurement."""


class SystemClock:
    """Wall-clock readings; `offset_micros` is what the cluster's time is ahead of this machine's."""

    def __init__(self) -> None:
        self.offset_micros = 0

    def set_ahead(self, seconds: float, now_seconds: float) -> None:
        """Let it show what is so far ahead of a monotonic clock that shows ``now_seconds``, if that is a difference."""
        change = seconds - (self.micros() / 1e6 - now_seconds)
        if abs(change) > TOLERANCE_SECONDS:
            self.offset_micros += round(change * 1e6)

    def micros(self) -> int:
        """Microseconds since 1970 by the cluster's clock."""
        return time.time_ns() // 1000 + self.offset_micros

    def millis(self) -> int:
        """Milliseconds since 1970 by the cluster's clock."""
        return self.micros() // 1000


def _new_writer() -> int:
    return 1 + secrets.randbelow(limits.MAX_CLIENT_WRITER)


class StampClock:
    """Hands out stamps to many threads.

    max_skew_seconds: how far ahead nodes accept stamps. Where the physical clock was ahead by more and has been set
    right, what was given out then would keep all later stamps from being accepted until time has caught up. So it
    begins anew, as another writer: a stamp must not be given twice.
    """

    def __init__(
        self,
        physical: SystemClock | None = None,
        writer: int | None = None,
        max_skew_seconds: float = limits.DEFAULT_MAX_SKEW_SECONDS,
    ) -> None:
        self.physical = physical or SystemClock()
        self._max_skew_micros = int(max_skew_seconds * 1e6)
        self._hybrid = HybridClock(writer or _new_writer())
        self._lock = threading.Lock()
        self._owner = 0
        self._observed_within = 0
        renew_after_fork(self)

    def after_fork(self) -> None:
        """A child is another writer."""
        last_micros = self._hybrid.last_micros
        self._hybrid = HybridClock(_new_writer())
        self._hybrid.observe(last_micros)
        self._lock = threading.Lock()

    def next(self) -> Stamp:
        """A stamp later than all given or observed before."""
        if self._is_within():
            return self._for_another_writer()
        with self._lock:
            self._owner = get_ident()
            now = self.physical.micros()
            if self._observed_within:
                self._take_over()
            if self._hybrid.last_micros - now > self._max_skew_micros:
                self._hybrid = HybridClock(_new_writer())
            stamp = self._hybrid.next(now)
            self._owner = 0
            return stamp

    def observe(self, micros: int) -> None:
        """Take notice of a stamp that a node accepted."""
        if micros <= self._hybrid.last_micros:
            return
        if self._is_within():
            self._observed_within = max(self._observed_within, micros)
            return
        with self._lock:
            self._owner = get_ident()
            self._hybrid.observe(micros)
            self._owner = 0

    def _is_within(self) -> bool:
        """Whether this thread is in here already: a signal's handler or a finalizer came in between, and writes.

        It must not wait for its own thread, and must not get the stamp that this is about to be given. An exception
        from outside may leave the owner noted; then another thread that has just come in may be taken for this one,
        which costs a writer of its own and nothing else.
        """
        return self._owner == get_ident() and self._lock.locked()

    def _for_another_writer(self) -> Stamp:
        hybrid = HybridClock(_new_writer())
        hybrid.observe(max(self._hybrid.last_micros, self._observed_within) + 1)
        stamp = hybrid.next(self.physical.micros())
        self._observed_within = max(self._observed_within, stamp.micros)
        return stamp

    def _take_over(self) -> None:
        """Take notice of what was observed or given while a thread was within."""
        observed = self._observed_within
        self._observed_within = 0
        self._hybrid.observe(observed)
