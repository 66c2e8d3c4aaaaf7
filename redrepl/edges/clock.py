"""The machine's clocks, behind one object so that tests can move them."""

from __future__ import annotations

import secrets
import time
from collections import deque

from redrepl.edges.forking import renew_after_fork
from redrepl.edges.locks import new_lock
from redrepl.values import limits
from redrepl.values.hybrid_clock import HybridClock
from redrepl.values.stamp import Stamp

TOLERANCE_SECONDS = 0.05
"""Smaller differences between this machine's clock and the nodes' are noise of the measurement."""


class SystemClock:
    """Wall-clock readings; `offset_micros` is what the cluster's time is ahead of this
    machine's.
    """

    def __init__(self) -> None:
        self.offset_micros = 0

    def set_ahead(self, seconds: float, now_seconds: float) -> None:
        """Let it show what is so far ahead of a monotonic clock that shows ``now_seconds``, if that
        is a difference.

        Several threads may find the same at once: nothing is added to what another one has set.
        """
        offset = round((seconds + now_seconds) * 1e6) - self._own_micros()
        if abs(offset - self.offset_micros) > TOLERANCE_SECONDS * 1e6:
            self.offset_micros = offset

    def _own_micros(self) -> int:
        return time.time_ns() // 1000

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

    max_skew_seconds: how far ahead nodes accept stamps. Where the physical clock was ahead by more
    and has been set right, what was given out then would keep all later stamps from being accepted
    until time has caught up. So it begins anew, as another writer: a stamp must not be given twice.
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
        self._renew_lock()
        self._noticed: deque[int] = deque()
        renew_after_fork(self)

    def after_fork(self) -> None:
        """A child is another writer."""
        last_micros = self._hybrid.last_micros
        self._hybrid = HybridClock(_new_writer())
        self._hybrid.observe(last_micros)
        self._renew_lock()

    def next(self) -> Stamp:
        """A stamp later than all given or observed before."""
        if self._is_within():
            return self._for_another_writer()
        with self._lock:
            now = self.physical.micros()
            if self._noticed:
                self._take_notice()
            if self._hybrid.last_micros - now > self._max_skew_micros:
                self._hybrid = HybridClock(_new_writer())
            return self._hybrid.next(now)

    def observe(self, micros: int) -> None:
        """Take notice of a stamp that a node accepted."""
        if micros <= self._hybrid.last_micros:
            return
        if self._is_within():
            self._noticed.append(micros)
            return
        with self._lock:
            self._hybrid.observe(micros)

    def _renew_lock(self) -> None:
        self._lock = new_lock()
        # A signal's handler or a finalizer may come in while this thread is within, and write. It
        # must not wait for its own thread, and must not get the stamp that this is about to be
        # given.
        self._is_within = self._lock._is_owned

    def _for_another_writer(self) -> Stamp:
        hybrid = HybridClock(_new_writer())
        hybrid.observe(max(self._hybrid.last_micros, *self._noticed, 0) + 1)
        stamp = hybrid.next(self.physical.micros())
        self._noticed.append(stamp.micros)
        return stamp

    def _take_notice(self) -> None:
        """Of what was observed or given while a thread was within.

        It is in one of both places at every moment.
        """
        while self._noticed:
            self._hybrid.observe(self._noticed[0])
            self._noticed.popleft()
