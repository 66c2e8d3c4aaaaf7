"""One caller's connections, one to each node, and the loop that drives a plan over them.

A channel belongs to one operation at a time. Replies that an operation did not wait for stay owed on the connection and
are drained by the next operation. A connection whose oldest debt is too old is closed and its node reported.
"""

from __future__ import annotations

import os
import select
import time
from collections import deque
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import hiredis

from redrepl.edges.connection import NodeConnection, Owed
from redrepl.edges.opening import NodeGate
from redrepl.edges.scripts import all_scripts
from redrepl.values import limits
from redrepl.values.effects import (
    Command,
    DeadlinePassed,
    Event,
    Exchange,
    Failure,
    Plan,
    Progress,
    Reply,
    Request,
    ScriptCall,
)

R = TypeVar("R")
IDLE_CHECK_SECONDS = 0.01
"""A channel unused for longer looks first whether a node closed the connection meanwhile (a restart)."""
_READ = select.POLLIN
_READ_WRITE = select.POLLIN | select.POLLOUT


def encode(command: Command) -> bytes:
    """The bytes of a command as a server reads them."""
    if type(command) is ScriptCall:
        sha = all_scripts()[command.script].sha
        parts: tuple[bytes | int, ...] = (b"EVALSHA", sha, len(command.keys), *command.keys, *command.arguments)
    else:
        parts = command.arguments
    packed: bytes = hiredis.pack_command(parts)  # type: ignore[arg-type]  # takes any mix of bytes and int
    return packed


class Channel:
    """Drives one plan at a time over its connections."""

    def __init__(self, current_gates: Callable[[], Mapping[str, NodeGate]], stall_seconds: float) -> None:
        self._current_gates = current_gates
        self.gates = current_gates()
        self._stall_seconds = stall_seconds
        self._connections: dict[str, NodeConnection] = {}
        self._by_fileno: dict[int, NodeConnection] = {}
        self._waiting: dict[str, list[Request]] = {}
        self._held: tuple[str, tuple[Request, ...]] | None = None
        self._retried: set[str] = set()
        self._events: deque[Event] = deque()
        self._run = 0
        self._used_at = 0.0
        self._bell_read, self._bell_write = os.pipe()
        os.set_blocking(self._bell_read, False)
        os.set_blocking(self._bell_write, False)
        self._poller = select.poll()
        self._poller.register(self._bell_read, _READ)
        self._closed = False

    def run(self, plan: Plan[R], on_progress: Callable[[Progress], None] | None = None) -> R:
        """Drive the plan to its end and answer its result."""
        self._begin()
        try:
            effect = next(plan)
            while True:
                if type(effect) is Exchange:
                    effect = plan.send(self._exchange(effect))
                else:
                    if on_progress is not None and isinstance(effect, Progress):
                        on_progress(effect)
                    effect = plan.send(None)
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
        self._closed = True
        for connection in self._connections.values():
            connection.close()
        self._connections.clear()
        os.close(self._bell_read)
        os.close(self._bell_write)

    def _begin(self) -> None:
        self._abandon()
        if self._used_at and time.monotonic() - self._used_at > IDLE_CHECK_SECONDS:
            self._poll(0.0)

    def _abandon(self) -> None:
        """Nothing that is owed from before is wanted any more."""
        self._run += 1
        self._events.clear()
        self._retried.clear()
        self._held = None
        if self._waiting:
            self._stop_waiting()
        if self._current_gates() is not self.gates:
            self._follow_gates()

    def _follow_gates(self) -> None:
        """The members changed: let go of connections to nodes that are gone or have moved."""
        before, self.gates = self.gates, self._current_gates()
        for node, connection in list(self._connections.items()):
            if self.gates.get(node) is not before.get(node):
                self._let_go(connection)

    def _stop_waiting(self) -> None:
        for node in self._waiting:
            if node in self.gates:
                self.gates[node].forget(self._ring)
        self._waiting.clear()

    def _exchange(self, effect: Exchange) -> Event:
        if effect.fresh:
            self._abandon()
        if effect.requests:
            self._start(effect)
        events = self._events
        while not events:
            left = effect.until - time.monotonic()
            if left <= 0:
                self._poll(0.0)
                self._give_up_waiting()
                if events:
                    break
                return DeadlinePassed(time.monotonic())
            self._poll(left)
        return events.popleft()

    def _give_up_waiting(self) -> None:
        """The deadline passed: what waits for a connection was never sent, and the plan should know."""
        now, late = time.monotonic(), "no connection within the time-out"
        if self._held is not None:
            (gate, requests), self._held = self._held, None
            self._fail_gate(gate, self.gates[gate].trouble or late, requests)
        for node, requests_waiting in self._waiting.items():
            reason, again = self.gates[node].trouble or late, node in self._retried
            self._events.extend(Failure(node, request.tag, reason, again, now) for request in requests_waiting)
        self._stop_waiting()

    def _start(self, effect: Exchange) -> None:
        gate = effect.gate
        if gate is not None and gate not in self._connections and not self._reach(gate):
            trouble = self._ask(gate)
            if trouble is None:
                self._held = (gate, effect.requests)
            else:
                self._fail_gate(gate, trouble, effect.requests)
            return
        self._send_all(effect.requests)

    def _send_all(self, requests: tuple[Request, ...]) -> None:
        encoded, data = None, b""
        now = time.monotonic()
        for request in requests:
            if request.command is not encoded:
                encoded = request.command
                data = encode(encoded)
            connection = self._connections.get(request.node)
            if connection is not None and connection.owed and self._is_stalled(connection, now):
                connection = None
            if connection is None:
                self._send_when_open(request, data, now)
            else:
                self._send(connection, request, data, now)

    def _send_when_open(self, request: Request, data: bytes, now: float) -> None:
        if request.node in self._waiting:
            # Also where the connection is there by now: what waits for it goes first.
            self._waiting[request.node].append(request)
        elif self._reach(request.node):
            self._send(self._connections[request.node], request, data, now)
        elif (trouble := self._ask(request.node)) is not None:
            again = request.node in self._retried
            self._events.append(Failure(request.node, request.tag, trouble, again, now))
        else:
            self._waiting[request.node].append(request)

    def _reach(self, node: str) -> bool:
        """Take over a connection that is open already, if there is one."""
        connection = self.gates[node].take() if node in self.gates else None
        if connection is None:
            return False
        self._connections[node] = connection
        self._by_fileno[connection.fileno] = connection
        self._poller.register(connection.fileno, _READ)
        return True

    def _ask(self, node: str) -> str | None:
        if node not in self.gates:
            return f"no address is known for node {node!r}"
        trouble = self.gates[node].request(self._ring)
        if trouble is None:
            self._waiting.setdefault(node, [])
        return trouble

    def _is_stalled(self, connection: NodeConnection, now: float) -> bool:
        owed_for = now - connection.owed[0].sent_at
        if owed_for <= self._stall_seconds and len(connection.owed) < limits.MAX_OUTSTANDING_REPLIES:
            return False
        if owed_for > self._stall_seconds:
            self._poll(0.0)  # the answers may have been here all along: nobody used this channel meanwhile
            if not connection.owed or connection.node not in self._connections:
                return connection.node not in self._connections
        self._drop(connection, f"has not answered for {owed_for:.1f} s", pause=True)
        return True

    def _send(self, connection: NodeConnection, request: Request, data: bytes, now: float) -> None:
        connection.owed.append(Owed(self._run, request, now))
        try:
            connection.send(data)
        except OSError as error:
            self._drop(connection, f"connection lost: {error}")
            return
        if connection.unsent:
            if len(connection.unsent) > limits.MAX_UNSENT_BYTES + len(data):
                self._drop(connection, f"takes no more data: {len(connection.unsent)} bytes wait", pause=True)
                return
            self._poller.modify(connection.fileno, _READ_WRITE)

    def _poll(self, left_seconds: float) -> None:
        for fileno, happened in self._poller.poll(left_seconds * 1000):
            if fileno == self._bell_read:
                self._answer_bell()
                continue
            connection = self._by_fileno.get(fileno)
            if connection is None:
                continue
            try:
                if happened & select.POLLOUT:
                    self._flush(connection)
                if happened & ~select.POLLOUT:
                    self._deliver(connection, connection.receive())
            except (OSError, hiredis.ProtocolError) as error:
                self._drop(connection, f"connection lost: {error}")

    def _flush(self, connection: NodeConnection) -> None:
        connection.flush()
        if not connection.unsent:
            self._poller.modify(connection.fileno, _READ)

    def _deliver(self, connection: NodeConnection, replies: list[Any]) -> None:
        now = time.monotonic()
        for content in replies:
            run, request, sent_at = connection.owed.popleft()
            if run != self._run:
                continue
            if isinstance(content, hiredis.ReplyError):
                self._deliver_error(connection, request, str(content), now)
                if request.node not in self._connections:
                    return
            else:
                gate = self.gates[request.node]
                gate.latency_seconds += (now - sent_at - gate.latency_seconds) * 0.1
                self._events.append(Reply(request.node, request.tag, content, now))

    def _deliver_error(self, connection: NodeConnection, request: Request, text: str, now: float) -> None:
        """An error reply. NOSCRIPT certainly did nothing: open anew, which checks the node, and send once more."""
        retry = text.startswith("NOSCRIPT") and request.node not in self._retried
        if not retry:
            self._events.append(Failure(request.node, request.tag, text, True, now))
            return
        self._retried.add(request.node)
        again = [request, *(owed.request for owed in connection.owed if owed.run == self._run)]
        connection.owed.clear()
        self._drop(connection, "lost its scripts: restarted or flushed")
        for lost in again:
            self._send_when_open(lost, encode(lost.command), now)

    def _drop(self, connection: NodeConnection, reason: str, pause: bool = False) -> None:
        """Close a connection and fail what this run waits for on it; with ``pause`` leave the node alone a while."""
        now = time.monotonic()
        if connection.node in self.gates:
            self.gates[connection.node].report(reason, pause)
        self._let_go(connection)
        for run, request, _ in connection.owed:
            if run == self._run:
                self._events.append(Failure(request.node, request.tag, reason, True, now))
        connection.owed.clear()

    def _let_go(self, connection: NodeConnection) -> None:
        if self._connections.get(connection.node) is connection:
            del self._connections[connection.node]
            del self._by_fileno[connection.fileno]
            self._poller.unregister(connection.fileno)
        connection.close()

    def _ring(self) -> None:
        """Called by opening threads: something to take, or a failure to report."""
        if self._closed:
            return
        try:
            os.write(self._bell_write, b"!")
        except (BlockingIOError, OSError):
            return  # full: the channel is woken anyway; closed: nobody waits any more

    def _answer_bell(self) -> None:
        os.read(self._bell_read, 4096)
        now = time.monotonic()
        for node in list(self._waiting):
            trouble = None if self._reach(node) else self.gates[node].failed_opening
            if trouble is None and node not in self._connections:
                trouble = self.gates[node].request(self._ring)  # another channel was quicker to take it
            if trouble is not None or node in self._connections:
                self._resume(node, self._waiting.pop(node), trouble, now)

    def _resume(self, node: str, waiting: list[Request], trouble: str | None, now: float) -> None:
        if self._held is not None and self._held[0] == node:
            requests, self._held = self._held[1], None
            if trouble is None:
                self._send_all(requests)
            else:
                self._fail_gate(node, trouble, requests)
        for request in waiting:
            if trouble is not None:
                # Sent for the second time, it counts as sent: the other copies have it since the first.
                self._events.append(Failure(node, request.tag, trouble, node in self._retried, now))
            else:
                self._send(self._connections[node], request, encode(request.command), now)

    def _fail_gate(self, gate: str, trouble: str, requests: tuple[Request, ...]) -> None:
        now = time.monotonic()
        for request in requests:
            reason = trouble if request.node == gate else f"not sent: {gate} cannot be used"
            self._events.append(Failure(request.node, request.tag, reason, False, now))
