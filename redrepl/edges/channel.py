"""One caller's connections, one to each node, and the loop that drives a plan over them.

A channel belongs to one operation at a time. Replies that an operation did not wait for stay owed
on the connection and are drained by the next operation.

An exception from outside, a signal's handler above all, may come between any two steps: between
noting what a connection owes and sending it, or between reading an answer and taking it off the
books. Books and stream then differ. So a channel notes while it touches them, and one that was left
in the midst of that is closed and never used again.
"""

from __future__ import annotations

import os
import select
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from functools import partial
from heapq import nlargest
from itertools import chain, starmap
from typing import TypeVar, cast

from redrepl.edges.connection import NodeConnection
from redrepl.edges.lifetimes import end_with
from redrepl.edges.opening import NodeGate
from redrepl.edges.packing import size_of
from redrepl.edges.pending import Run
from redrepl.edges.restarts import RestartGuard
from redrepl.edges.switchboard import DEADLINE_EXTENSION_SECONDS, LATE_SECONDS, Switchboard
from redrepl.values import limits
from redrepl.values.effects import Ask, DeadlinePassed, Event, Exchange, Plan, Progress, Request
from redrepl.values.errors import RequestError
from redrepl.values.reasons import lost_connection

R = TypeVar("R")
IDLE_CHECK_SECONDS = 0.01
"""A channel unused for longer looks first whether a node closed the connection meanwhile (a
restart).
"""
_READ = select.POLLIN
_READ_WRITE = select.POLLIN | select.POLLOUT


class Channel(Switchboard):
    """Drives one plan at a time over its connections."""

    def __init__(
        self,
        current_gates: Callable[[], Mapping[str, NodeGate]],
        stall_seconds: float,
        restart_guard: RestartGuard | None = None,
    ) -> None:
        super().__init__(current_gates, stall_seconds, restart_guard)
        self._run = Run()
        self._used_at = 0.0
        self._waited_until = 0.0
        self._grace_seconds = 0.0
        self._is_amid = False
        self._by_fileno: dict[int, NodeConnection] = {}
        self._unsent: set[NodeConnection] = set()
        self._bell = _Bell()
        self._poller = select.poll()
        self._poller.register(self._bell.fileno, _READ)

    @property
    def is_usable(self) -> bool:
        """Whether the last operation left the connections as their books say. If not, close it."""
        return not self._is_amid and not self._closed

    def run(self, plan: Plan[R], on_progress: Callable[[Progress], None] | None = None) -> R:
        """Drive the plan to its end and answer its result.

        Whatever else ends it may leave a channel of no use.
        """
        self._is_amid = True
        self._begin()
        self._is_amid = False
        try:
            effect = next(plan)
            while True:
                if isinstance(effect, Progress):
                    if on_progress is not None:
                        on_progress(effect)
                    effect = plan.send(DeadlinePassed(time.monotonic()))
                else:
                    self._is_amid = True
                    event = self._exchange(effect)
                    self._is_amid = False
                    effect = plan.send(event)
        except StopIteration as end:
            result: R = end.value
            return result
        finally:
            plan.close()
            self._used_at = time.monotonic()

    def close(self) -> None:
        """Close all connections."""
        if self._closed:
            return
        for gate in self.gates.values():
            gate.forget(
                self._ring
            )  # also where it was noted there and, after an interruption, not here
        self.close_connections()
        self._bell.close()

    def _begin(self) -> None:
        """Every plan begins with a question, and so with a new run."""
        self.begin_plan()
        if self._used_at and time.monotonic() - self._used_at > IDLE_CHECK_SECONDS:
            self._poll(0.0)

    def _abandon(self) -> None:
        """Nothing that is owed from before is wanted any more."""
        self._run.is_live = False
        self._run = Run()
        self._waited_until = self._grace_seconds = 0.0
        if self._waiting:
            self._forget_waiting()
        self.follow_gates()

    def _exchange(self, effect: Exchange) -> Event:
        if type(effect) is Ask:
            self._abandon()
        run = self._run
        if effect.requests:
            self.start(run, effect)
        events, until = run.events, effect.until
        if effect.required_node is not None and not events:
            self._await_required(effect.required_node, until)
        while not events:
            left = self._left_seconds(until)
            if left <= 0:
                return self._last_look(run, effect.is_deadline)
            self._poll(self._knocked(left) if self._knocks else left)
        return events.popleft()

    def _left_seconds(self, until: float) -> float:
        """How long to wait yet.

        A deadline that passed while the caller was held up is moved, once for a question.
        """
        left = until + self._grace_seconds - time.monotonic()
        if left > 0:
            self._waited_until = until
        elif left < -LATE_SECONDS and not self._grace_seconds and until >= self._waited_until > 0.0:
            self._grace_seconds = DEADLINE_EXTENSION_SECONDS - left
            return DEADLINE_EXTENSION_SECONDS
        return left

    def _knocked(self, left_seconds: float) -> float:
        """Give up connections on which nobody answers; how long to wait now, until the next one is
        to be given up.
        """
        self.end_late_knocks()
        next_at = min([knock.until for knock in self._knocks.values()], default=float("inf"))
        return max(0.0, min(left_seconds, next_at - time.monotonic()))

    def _look_again_at(self, at: float) -> None:
        """The time is kept by who waits."""

    def _await_required(self, node: str, until: float) -> None:
        """Wait for its answer alone: without it the others' mean nothing yet, and waking up for
        each costs.
        """
        connection = self._connections.get(node)
        if connection is None or self._waiting or self._unsent:
            return
        left = until - time.monotonic()
        if left > 0 and connection.poller.poll(left * 1000):
            self.receive(connection)

    def _last_look(self, run: Run, is_deadline: bool) -> Event:
        """The time is over: what has come by now still counts."""
        self._poll(0.0)
        if is_deadline:
            self.give_up(run)
            self._forget_waiting()
        return run.events.popleft() if run.events else DeadlinePassed(time.monotonic())

    def _watch(self, connection: NodeConnection) -> None:
        self._by_fileno[connection.fileno] = connection
        self._poller.register(connection.fileno, _READ)

    def _unwatch(self, connection: NodeConnection) -> None:
        self._by_fileno.pop(connection.fileno, None)
        with suppress(KeyError):  # an interruption came before it was watched
            self._poller.unregister(connection.fileno)
        self._unsent.discard(connection)

    def _send(
        self, run: Run, connection: NodeConnection, request: Request, data: bytes, now: float
    ) -> None:
        connection.owed.append((run, request, now))
        try:
            connection.send(data)
        except OSError as error:
            self._drop(connection, lost_connection(error, connection.client_id))
            return
        if connection.unsent:
            self._keep_unsent(connection)

    def _keep_unsent(self, connection: NodeConnection) -> None:
        beyond = len(connection.unsent) - limits.MAX_UNSENT_BYTES
        if beyond > 0 and beyond > _largest_bytes(connection):
            self._drop(
                connection, f"takes no more data: {len(connection.unsent)} bytes wait", pause=True
            )
            return
        self._unsent.add(connection)
        self._poller.modify(connection.fileno, _READ_WRITE)

    def _poll(self, left_seconds: float) -> None:
        for fileno, happened in self._poller.poll(left_seconds * 1000):
            if fileno == self._bell.fileno:
                self._bell.silence()
                self.answer_bell()
                continue
            connection = self._by_fileno.get(fileno)
            if connection is None:
                continue
            if happened & select.POLLOUT:
                self._flush(connection)
            if happened & ~select.POLLOUT and not connection.is_closed:
                self.receive(connection)

    def _flush(self, connection: NodeConnection) -> None:
        try:
            connection.flush_backlog()
        except OSError as error:
            self._drop(connection, lost_connection(error, connection.client_id))
            return
        if not connection.unsent:
            self._unsent.discard(connection)
            self._poller.modify(connection.fileno, _READ)

    def _ring(self) -> None:
        self._bell.ring()


class _Bell:
    """A pipe by which opening threads wake the thread that waits on a channel.

    The end that is written to stays open for as long as a thread may hold it, so that none ever
    rings on a number that has been given to another file meanwhile. Both go with the object, also
    where an interruption lost the channel: each is made and noted, and forgotten and closed, in one
    step of the interpreter's own code. There is no `__del__`, for the reason that
    `redrepl.edges.lifetimes` gives.
    """

    _close_file = staticmethod(os.close)

    def __init__(self) -> None:
        self._ends: list[int | None] = [None]
        end_with(self, self._closing(self._ends))
        self._ends[:0] = chain.from_iterable(starmap(os.pipe, ((),)))
        self.fileno, self._write = cast(list[int], self._ends[:-1])
        os.set_blocking(self.fileno, False)
        os.set_blocking(self._write, False)

    def ring(self) -> None:
        """Wake who waits."""
        with suppress(OSError):  # full: it is woken anyway; closed: nobody waits any more
            os.write(self._write, b"!")

    def silence(self) -> None:
        """Take what was rung.

        Raises RequestError where it is closed.

        At the interpreter's end it may have been closed before somebody's finalizer uses the store,
        and the number may be another file's by now.
        """
        if self.fileno not in self._ends:
            raise RequestError("this coordinator is closed: the interpreter is ending")
        with suppress(BlockingIOError):
            os.read(self.fileno, 4096)

    def close(self) -> None:
        """Nobody waits any more."""
        if self.fileno in self._ends:
            next(self._closing(self._ends))

    @classmethod
    def _closing(cls, ends: list[int | None]) -> Iterator[None]:
        """Closes one end at each step, and forgets it with that."""
        return map(cls._close_file, iter(partial(ends.pop, 0), None))


def _largest_bytes(connection: NodeConnection) -> int:
    """Bytes of the requests that may be on their way at once, a batch's chunks above all, however
    large they are.
    """
    return sum(
        nlargest(
            limits.CHUNKS_IN_FLIGHT, (size_of(request.command) for _, request, _ in connection.owed)
        )
    )
