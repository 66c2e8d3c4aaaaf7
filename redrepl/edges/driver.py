"""The blocking driver: runs plans for many threads, each on a channel of its own."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from typing import TypeVar

from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.channel import Channel, UpkeepChannel
from redrepl.edges.driver_base import DriverBase
from redrepl.edges.endpoint import Endpoint
from redrepl.values import limits
from redrepl.values.effects import Plan, Progress

R = TypeVar("R")


class BlockingDriver(DriverBase):
    """Connections to the nodes of one cluster, shared by any number of threads."""

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        admission: Admission,
        timeout_seconds: float = limits.DEFAULT_TIMEOUT_SECONDS,
    ) -> None:
        self._idle: list[Channel] = []
        self._lock = threading.Lock()
        super().__init__(endpoints, admission, timeout_seconds)

    def after_fork(self) -> None:
        """A child opens connections of its own; the parent's stay untouched."""
        self._lock = threading.Lock()
        self._idle = []
        super().after_fork()

    def run(self, plan: Plan[R], on_progress: Callable[[Progress], None] | None = None) -> R:
        """Drive a plan to its end in this thread."""
        channel = self._borrow()
        try:
            return channel.run(plan, on_progress)
        finally:
            self._give_back(channel)

    def close(self) -> None:
        """Close every connection that no operation is using."""
        self._close_gates()
        self._close_idle()

    def _borrow(self) -> Channel:
        while self._idle:
            try:
                channel = self._idle.pop()
            except IndexError:
                break
            return channel
        kind = UpkeepChannel if self._admission.purpose is Purpose.MAINTAIN else Channel
        return kind(lambda: self._gates, self._timeout_seconds)

    def _give_back(self, channel: Channel) -> None:
        if self._closed or len(self._idle) >= limits.MAX_IDLE_CHANNELS:
            channel.close()
        else:
            self._idle.append(channel)

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for channel in idle:
            channel.close()
