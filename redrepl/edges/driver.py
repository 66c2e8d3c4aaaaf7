"""The blocking driver: runs plans for many threads, each on a channel of its own."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Iterable
from contextlib import suppress
from typing import TypeVar

from redrepl.edges.admission import Admission, Purpose
from redrepl.edges.channel import Channel
from redrepl.edges.driver_base import DriverBase
from redrepl.edges.endpoint import Endpoint
from redrepl.edges.lifetimes import Living
from redrepl.edges.locks import give_back_all, new_lock
from redrepl.edges.reporter import NOT_OBSERVED, Reporter
from redrepl.edges.restarts import RestartGuard
from redrepl.values import limits
from redrepl.values.effects import Plan, Progress
from redrepl.values.errors import RedreplError, Unavailable

R = TypeVar("R")

_TURN_SHARE = 0.25
"""Of the time-out, for a channel to be given back where many threads began together."""


class _Turn:
    """A thread that waits for a channel. ``given`` can be acquired once there is one."""

    __slots__ = ("channel", "given")

    def __init__(self) -> None:
        self.channel: Channel | None = None
        self.given = threading.Lock()
        self.given.acquire()


class BlockingDriver(DriverBase):
    """Connections to the nodes of one cluster, shared by any number of threads."""

    def __init__(
        self,
        endpoints: Iterable[Endpoint],
        admission: Admission,
        timeout_seconds: float = limits.DEFAULT_TIMEOUT_SECONDS,
        reporter: Reporter = NOT_OBSERVED,
    ) -> None:
        self._idle: list[Channel] = []
        self._lock = new_lock()
        self._turns: deque[_Turn] = deque()
        self._channels: Living[Channel] = Living()
        super().__init__(endpoints, admission, timeout_seconds, reporter)

    def after_fork(self) -> None:
        """A child opens connections of its own; the parent's stay untouched."""
        self._lock = new_lock()
        self._idle = []
        self._turns = deque()
        self._channels = Living()
        super().after_fork()

    def run(self, plan: Plan[R], on_progress: Callable[[Progress], None] | None = None) -> R:
        """Drive a plan to its end in this thread."""
        channel = self._borrow()
        try:
            return channel.run(plan, on_progress)
        except RedreplError:
            raise
        except BaseException:
            give_back_all()
            raise
        finally:
            self._give_back(channel)

    def own_channel(self) -> Channel:
        """A channel for one caller, who closes it: questions may stay open on it from one plan to
        the next.
        """
        guard = RestartGuard() if self._admission.purpose is Purpose.MAINTAIN else None
        return Channel(lambda: self._gates, self._timeout_seconds, guard)

    def close(self) -> None:
        """Close every connection that no operation is using."""
        self._close_gates()
        self._close_idle()

    def _borrow(self) -> Channel:
        channel = self._pop_idle()
        if channel is None and len(self._channels) >= limits.CHANNELS_BEFORE_WAITING:
            channel = self._await_turn()
        return self._new_channel() if channel is None else channel

    def _pop_idle(self) -> Channel | None:
        while self._idle:
            with suppress(IndexError):  # another thread was quicker
                channel = self._idle.pop()
                if channel.is_usable:
                    return channel
                channel.close()
        return None

    def _new_channel(self) -> Channel:
        try:
            channel = self.own_channel()
        except OSError as error:  # no descriptor is to be had, or no memory
            raise Unavailable(
                f"nothing was sent, no connection can be opened: {error.strerror}"
            ) from error
        self._channels.add(
            channel
        )  # for as long as it is there: one that an interruption lost is not counted
        return channel

    def _await_turn(self) -> Channel | None:
        """A channel that another thread gives back, None where none does for a while: these may all
        be held up.
        """
        turn = _Turn()
        self._turns.append(turn)
        try:
            channel = self._pop_idle()  # given back just before
            if channel is None:
                turn.given.acquire(timeout=self._timeout_seconds * _TURN_SHARE)
        except BaseException:
            self._give_back(self._withdraw(turn))
            raise
        given = self._withdraw(turn)
        if channel is None:
            return given
        self._give_back(given)
        return channel

    def _withdraw(self, turn: _Turn) -> Channel | None:
        """Wait no longer; the channel that was handed over by now."""
        try:
            self._turns.remove(turn)
        except ValueError:
            if turn.channel is None:  # at this very moment
                turn.given.acquire()
        return turn.channel

    def _give_back(self, channel: Channel | None) -> None:
        if channel is None:
            return
        if self._closed or len(self._idle) >= limits.MAX_IDLE_CHANNELS or not channel.is_usable:
            self._channels.discard(channel)
            channel.close()
        elif self._turns:
            self._hand_over(channel)
        else:
            self._idle.append(channel)

    def _hand_over(self, channel: Channel) -> None:
        """Give a channel to the thread that has waited longest."""
        try:
            turn = self._turns.popleft()
        except IndexError:  # it waits no more
            self._idle.append(channel)
            return
        turn.channel = channel
        turn.given.release()

    def _close_idle(self) -> None:
        with self._lock:
            idle, self._idle = self._idle, []
        for channel in idle:
            channel.close()
