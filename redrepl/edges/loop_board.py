"""The connections of one event loop, over which the plans of its tasks go.

All tasks share one connection per node. Requests made in one turn of the loop leave in one write.
Replies are matched to who asked by their order on the connection: a task that is cancelled or late
can neither take nor leave an answer that belongs to another.

An exception from outside, a signal's handler above all, may come between any two steps, as in
`redrepl.edges.channel`: what connections owe and what is on its way then differ, and a callback of
the loop may be lost before it began. So a board notes while it is touched. One that was left in the
midst of that is given up, with all that was under way on it; the next operation gets a new one. And
while operations are under way, a callback that was lost is made up for.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Protocol

from redrepl.edges.connection import NodeConnection
from redrepl.edges.locks import give_back_all
from redrepl.edges.opening import NodeGate
from redrepl.edges.pending import Run
from redrepl.edges.switchboard import Switchboard
from redrepl.values import limits
from redrepl.values.effects import Request
from redrepl.values.reasons import lost_connection

WATCH_SECONDS = 0.2
"""While operations are under way, so often what should have been done is looked for and done."""


class OnBoard(Protocol):
    """An operation whose requests go over a board: what the board tells it."""

    def step(self) -> None:
        """Take what has come, and continue."""
        ...

    def end_if_later_than(self, at: float) -> None:
        """Continue, or end, where the deadline passed before this (monotonic clock, seconds)
        unnoticed.
        """
        ...

    def give_up(self) -> None:
        """The board was given up: end with an error."""
        ...


class Sharing(Protocol):
    """What operations on a board were put together from."""

    @property
    def is_idle(self) -> bool:
        """Whether nothing waits to be sent."""
        ...

    def look_again(self) -> None:
        """Send what waits: the callback that was to do it may have been lost."""
        ...

    def give_up(self) -> None:
        """The board was given up: tell everybody who still waits."""
        ...


class LoopBoard(Switchboard):
    """A switchboard that an event loop reads and writes.

    Whoever touches it from outside, a callback of the loop or a task, calls `enter` before and
    `leave` after that.
    """

    def __init__(
        self,
        loop: asyncio.AbstractEventLoop,
        current_gates: Callable[[], Mapping[str, NodeGate]],
        stall_seconds: float,
    ) -> None:
        super().__init__(current_gates, stall_seconds)
        self.loop = loop
        self.under_way: set[OnBoard] = set()
        self.sharing: list[Sharing] = []
        self.is_given_up = False
        self._unsent: list[NodeConnection] = []
        self._ready: deque[OnBoard] = deque()
        self._is_stepping = False
        self._is_amid = False
        self._watched_until = 0.0

    @property
    def is_usable(self) -> bool:
        """Whether whoever touched it last left the connections as their books say."""
        return not self._is_amid and not self.is_given_up

    @property
    def is_idle(self) -> bool:
        """Whether no operation is under way."""
        return not self.under_way

    def enter(self) -> bool:
        """Whether the board may be touched; gives it up where it was left in the midst of that."""
        if self._is_amid or self.is_given_up:
            self.give_up_all()
            return False
        self._is_amid = True
        return True

    def leave(self) -> None:
        """Books and streams agree again."""
        self._is_amid = False

    def wake(self, operation: OnBoard) -> None:
        """Something has come for this operation: have it go on, before the loop turns where that is
        possible.
        """
        self._ready.append(operation)
        if not self._is_stepping:
            self._step_soon()

    def close(self) -> None:
        """Close all connections. What is under way learns that they are lost."""
        self.close_connections()
        for gate in self.gates.values():
            gate.forget(
                self._ring
            )  # also where it was noted there and, after an interruption, not here

    def give_up_all(self) -> None:
        """Nothing on this board can be trusted.

        May be called again where it was interrupted itself.
        """
        self.is_given_up = True
        give_back_all()
        self.close()
        for operation in list(self.under_way):
            operation.give_up()
        for sharing in self.sharing:
            sharing.give_up()

    # Making up for lost callbacks -----------------------------------------------------------------

    def keep_watch(self) -> None:
        """Look again after a moment, and so on while anything is under way.

        Called before there is anything to lose.

        Two looks are to come at any time: one of them may be lost itself.
        """
        now = self.loop.time()
        if self._watched_until < now + WATCH_SECONDS:
            until = max(self._watched_until, now)
            while until < now + 2 * WATCH_SECONDS:
                until += WATCH_SECONDS
                self.loop.call_at(until, self._look_after_all)
            self._watched_until = until

    def _look_after_all(self) -> None:
        if self.under_way or not all(sharing.is_idle for sharing in self.sharing):
            self.keep_watch()
            if self.enter():
                self._make_up_for_lost_callbacks()
                self.leave()

    def _make_up_for_lost_callbacks(self) -> None:
        late = time.monotonic() - WATCH_SECONDS
        for operation in list(self.under_way):
            operation.end_if_later_than(late)
        if self._waiting:
            self.answer_bell()
        self.end_late_knocks()
        for sharing in self.sharing:
            sharing.look_again()
        self._step_all()
        self.flush()

    # Connections ----------------------------------------------------------------------------------

    def _watch(self, connection: NodeConnection) -> None:
        self.loop.add_reader(connection.fileno, self._readable, connection)

    def _unwatch(self, connection: NodeConnection) -> None:
        if not self.loop.is_closed():
            self.loop.remove_reader(connection.fileno)
            self.loop.remove_writer(connection.fileno)

    def _send(
        self, run: Run, connection: NodeConnection, request: Request, data: bytes, now: float
    ) -> None:
        connection.owed.append((run, request, now))
        unsent = connection.unsent
        if unsent:
            unsent += data
            if len(unsent) > limits.MAX_LOOP_UNSENT_BYTES + len(data):
                self._drop(connection, f"takes no more data: {len(unsent)} bytes wait", pause=True)
        elif len(self.under_way) == 1:
            self._send_now(connection, data)
        else:
            if not self._unsent:
                self.loop.call_soon(self._flush_at_end_of_turn)
            self._unsent.append(connection)
            unsent += data

    def _send_now(self, connection: NodeConnection, data: bytes) -> None:
        """Nobody else is here whose requests could leave together with these."""
        try:
            connection.send(data)
        except OSError as error:
            self._drop(connection, lost_connection(error, connection.client_id))
            return
        if connection.unsent:
            self.loop.add_writer(connection.fileno, self._writable, connection)

    def _flush_at_end_of_turn(self) -> None:
        if self.enter():
            self.flush()
            self.leave()

    def flush(self) -> None:
        """Have what was asked in this turn leave."""
        connections, self._unsent = self._unsent, []
        for connection in connections:
            if self._flush(connection):
                self.loop.add_writer(connection.fileno, self._writable, connection)

    def look(self) -> None:
        """Send what waits for the turn's end, and take what has come, without waiting for the loop
        to notice.
        """
        self.flush()
        self.answer_bell()
        for connection in list(self._connections.values()):
            if connection.owed:
                self.receive(connection)

    def _flush(self, connection: NodeConnection, is_backlog: bool = False) -> bool:
        """Send what the socket takes; answers whether something is left.

        ``is_backlog``: it took no more before.
        """
        if connection.is_closed:
            return False
        try:
            (connection.flush_backlog if is_backlog else connection.flush)()
        except OSError as error:
            self._drop(connection, lost_connection(error, connection.client_id))
            return False
        return bool(connection.unsent)

    def _writable(self, connection: NodeConnection) -> None:
        if not self.enter():
            self._let_go(connection)
            return
        if not self._flush(connection, is_backlog=True) and not connection.is_closed:
            self.loop.remove_writer(connection.fileno)
        self.leave()

    def _readable(self, connection: NodeConnection) -> None:
        if not self.enter():
            self._let_go(connection)
            return
        self._is_stepping = True
        self.receive(connection)
        self._step_all()
        self.leave()

    def _step(self) -> None:
        if self.enter():
            self._step_all()
            self.leave()

    def _step_all(self) -> None:
        """Let every operation for which something has come go on."""
        self._is_stepping = True
        while self._ready:
            self._ready.popleft().step()
        self._is_stepping = False

    def _step_soon(self) -> None:
        if not self.loop.is_closed():  # else nobody is left who could be told
            self._is_stepping = True
            self.loop.call_soon(self._step)

    def _look_again_at(self, at: float) -> None:
        self.loop.call_later(max(0.0, at - time.monotonic()), self._end_late_knocks)

    def _end_late_knocks(self) -> None:
        if self.enter():
            self.end_late_knocks()
            self.leave()

    def _ring(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed: nobody waits any more
            self.loop.call_soon_threadsafe(self._take_opened)

    def _take_opened(self) -> None:
        if self.enter():
            self.answer_bell()
            self.leave()
