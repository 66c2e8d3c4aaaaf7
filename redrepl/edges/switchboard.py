"""Connections to all nodes and what is owed on them: what the blocking and the asyncio driver
share.

Replies come in the order in which requests left, and each is matched by that order to the run that
asked, never to whoever happens to wait. A reply that nobody wants any more is read and dropped. A
connection whose oldest debt is too old is closed and its node reported.
"""

from __future__ import annotations

import time
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping

import hiredis

from redrepl.edges.connection import NodeConnection
from redrepl.edges.denials import describe_denial
from redrepl.edges.opening import NodeGate
from redrepl.edges.packing import encode
from redrepl.edges.pending import Resent, Run, Waiting
from redrepl.edges.restarts import RestartGuard
from redrepl.values import limits
from redrepl.values.answers import is_ours
from redrepl.values.effects import Event, Exchange, Failure, PlainCommand, Reply, Request
from redrepl.values.reasons import NOT_OURS, lost_connection

STALLED_ROUND_TRIPS = 4.0
"""A connection that owes for longer than so many of its usual round trips, and than the time-out,
is dead.
"""

IDLE_SECONDS = 0.5
IDLE_ROUND_TRIPS = 10.0
LONGEST_IDLE_SECONDS = 5.0
"""A connection on which nothing was answered for so long is asked before anything leaves on it: for
ten round trips, so that asking costs a tenth of the pause at most, but not less than half a second,
in which no firewall forgets, nor more than five.
"""

KNOCK_SECONDS = 0.1
"""For the answer to that, where the node is near; a far one has its usual round trip."""

LATE_SECONDS = 0.05
"""Who notices a deadline later than this was held up: by other callbacks of the event loop, a slow
callback of the caller's, a stopped process.
"""

DEADLINE_EXTENSION_SECONDS = 1.0
"""By how much a deadline that passed meanwhile is moved, once.

Who was held up was to send and to read in that time: requests may have waited for that alone, to
leave after an idle connection had been asked first for example.
"""

_PING = PlainCommand((b"PING",))


class _Knock(Run):
    """The question on an idle connection whether anybody is there, before anything else leaves on
    it.

    until: when it counts as unanswered (monotonic clock, seconds).
    """

    __slots__ = ("_board", "connection", "until")

    def __init__(self, board: Switchboard, connection: NodeConnection, until: float) -> None:
        super().__init__()
        self.connection = connection
        self.until = until
        self._board = board

    def put(self, event: Event) -> None:
        """There is an answer, be it an error, or the connection is gone."""
        del event
        self._board.end_knock(self, self.connection.is_closed)


class Switchboard(ABC):
    """One connection to each node.

    Who uses it reads from them, and says how data leaves and how it is woken.

    restart_guard: for upkeep, which does not go on with a node that restarted in the middle of a
    plan.
    """

    def __init__(
        self,
        current_gates: Callable[[], Mapping[str, NodeGate]],
        stall_seconds: float,
        restart_guard: RestartGuard | None = None,
    ) -> None:
        self._restart_guard = restart_guard
        self._current_gates = current_gates
        self.gates = current_gates()
        self._stall_seconds = stall_seconds
        self._connections: dict[str, NodeConnection] = {}
        self._retired: set[NodeConnection] = set()
        self._waiting: dict[str, list[Waiting]] = {}
        self._shut: dict[str, str] = {}
        self._held: dict[str, list[tuple[Run, tuple[Request, ...]]]] = {}
        self._knocks: dict[str, _Knock] = {}
        self._closed = False

    @abstractmethod
    def _watch(self, connection: NodeConnection) -> None:
        """From now on, `receive` is to be called when this connection has something to read."""

    @abstractmethod
    def _unwatch(self, connection: NodeConnection) -> None:
        """No longer."""

    @abstractmethod
    def _send(
        self, run: Run, connection: NodeConnection, request: Request, data: bytes, now: float
    ) -> None:
        """Note what is owed, and have these bytes leave; drop the connection where it turns out to
        be gone.
        """

    @abstractmethod
    def _ring(self) -> None:
        """Called by opening threads: have `answer_bell` called, there is something to take or a
        failure to report.
        """

    @abstractmethod
    def _look_again_at(self, at: float) -> None:
        """Have `end_late_knocks` called at this time (monotonic clock, seconds)."""

    # Asking ---------------------------------------------------------------------------------------

    def begin_plan(self) -> None:
        """Another plan begins: a node that the one before would not use may be used again."""
        if self._restart_guard is not None:
            self._restart_guard.begin_plan()
            self._shut.clear()

    def start(self, run: Run, effect: Exchange) -> None:
        """Send the requests of an exchange, or keep them until there is a connection; failures go
        to the run.
        """
        gate = effect.required_node
        standing = None if gate is None else self._connections.get(gate)
        if (
            standing is not None
            and standing.owed
            and not self._is_within_bounds(standing, time.monotonic())
        ):
            # A gate that turns out to be silent keeps the others from being sent to, like one that
            # is away.
            self._is_stalled(standing)
        elif standing is not None and self._is_doubtful(standing, time.monotonic()):
            self._knock_at_all(effect.requests)
        if gate is not None and gate not in self._connections and not self._reach(gate):
            trouble = self._ask(gate)
            if trouble is None:
                self._held.setdefault(gate, []).append((run, effect.requests))
            else:
                self._fail_gate(run, gate, trouble, effect.requests)
            return
        self._send_all(run, effect.requests)

    def give_up(self, run: Run) -> None:
        """The deadline passed: what waits for a connection was never sent, and the plan should
        know.
        """
        now, late = time.monotonic(), "no connection within the time-out"
        for gate, held in self._held.items():
            for requests in [requests for owner, requests in held if owner is run]:
                self._fail_gate(run, gate, self.gates[gate].trouble or late, requests)
            held[:] = [entry for entry in held if entry[0] is not run]
        for node, waiting in self._waiting.items():
            reason = self.gates[node].trouble or late
            for request in [request for owner, request in waiting if owner is run]:
                run.put(Failure(node, request.tag, reason, type(request) is Resent, now))
            waiting[:] = [entry for entry in waiting if entry[0] is not run]

    def follow_gates(self) -> None:
        """Where the members changed: what goes to nodes that are gone or have moved finishes on the
        old connection.
        """
        gates = self._current_gates()
        if gates is self.gates:
            return
        before, self.gates = self.gates, gates
        for node, connection in list(self._connections.items()):
            if gates.get(node) is not before.get(node):
                self._retire(connection)
        for node, knock in list(self._knocks.items()):
            if gates.get(node) is not before.get(node):
                self._retired.add(knock.connection)
                self.end_knock(knock, True)
        for node in [node for node in {*self._waiting, *self._held} if node not in gates]:
            self._resume(node, f"no address is known for node {node!r}")

    def _send_all(self, run: Run, requests: tuple[Request, ...]) -> None:
        encoded, data = None, b""
        now = time.monotonic()
        connections = self._connections
        for request in requests:
            if request.command is not encoded:
                encoded = request.command
                data = encode(encoded)
            connection = connections.get(request.node)
            if connection is None or (
                (
                    now - connection.proven_at > IDLE_SECONDS
                    or len(connection.owed) >= limits.MAX_OUTSTANDING_REPLIES
                )
                and not self._is_usable(connection, now)
            ):
                self._send_when_open(run, request, data, now)
            else:
                self._send(run, connection, request, data, now)

    def _is_usable(self, connection: NodeConnection, now: float) -> bool:
        """Whether a connection on which nothing was answered lately can be used at once."""
        if connection.owed:
            return self._is_within_bounds(connection, now) or not self._is_stalled(connection)
        if self._is_doubtful(connection, now):
            self._knock(connection, now)
            return False
        return True

    def _send_when_open(self, run: Run, request: Request, data: bytes, now: float) -> None:
        node = request.node
        if node in self._waiting:
            # Also where the connection is there by now: what waits for it goes first.
            self._wait(run, request)
        elif self._reach(node):
            self._send(run, self._connections[node], request, data, now)
        elif (trouble := self._ask(node)) is not None:
            run.put(Failure(node, request.tag, trouble, type(request) is Resent, now))
        else:
            self._wait(run, request)

    def _wait(self, run: Run, request: Request) -> None:
        waiting = self._waiting[request.node]
        if len(waiting) >= limits.MAX_WAITING_REQUESTS:
            # The node opens no connection for long: the workers bring it what it missed.
            waiting[:] = [entry for entry in waiting if entry[0].is_live]
        waiting.append((run, request))

    def _is_stalled(self, connection: NodeConnection) -> bool:
        """Whether a connection that owes too long or too much cannot be used any more; then it is
        closed.
        """
        self.receive(
            connection
        )  # the answers may have been here all along: nobody looked meanwhile
        if self._connections.get(connection.node) is not connection:
            return True
        if not connection.owed or self._is_within_bounds(connection, now := time.monotonic()):
            return False
        # It may be back: a new connection tells at once, and a silent node is left alone after
        # that.
        self._drop(connection, f"has not answered for {now - connection.owed[0][2]:.1f} s")
        return True

    def _is_within_bounds(self, connection: NodeConnection, now: float) -> bool:
        # While a node takes what waits for it, however slowly, it is not silent: large records take
        # their time.
        owed = connection.owed
        silent_since = max(owed[0][2], connection.took_at)
        gate, patience_seconds = self.gates.get(connection.node), self._stall_seconds
        if gate is not None:
            patience_seconds = gate.round_trip.patience_seconds(
                patience_seconds, STALLED_ROUND_TRIPS
            )
        return now - silent_since <= patience_seconds and len(owed) < limits.MAX_OUTSTANDING_REPLIES

    # Asking first ---------------------------------------------------------------------------------

    def _is_doubtful(self, connection: NodeConnection, now: float) -> bool:
        """Whether a connection was idle for so long that something on the way may have forgotten
        it.

        Nobody would be told: what leaves on it then vanishes, and a write would end as unknown.
        """
        idle_seconds = now - connection.proven_at
        if idle_seconds <= IDLE_SECONDS or connection.owed:
            return False
        gate = self.gates.get(connection.node)
        if gate is None or gate.suspected_at > connection.proven_at:
            return True
        return idle_seconds > min(
            IDLE_ROUND_TRIPS * gate.round_trip.smoothed_seconds, LONGEST_IDLE_SECONDS
        )

    def _knock_at_all(self, requests: tuple[Request, ...]) -> None:
        """Ask on all connections that requests are to leave on, where these have been idle."""
        now = time.monotonic()
        for request in requests:
            connection = self._connections.get(request.node)
            if connection is not None and self._is_doubtful(connection, now):
                self._knock(connection, now)

    def _knock(self, connection: NodeConnection, now: float) -> None:
        """Ask whether anybody is there.

        Until that is known the node has no connection, and requests wait for one.
        """
        node = connection.node
        self._connections.pop(node, None)
        gate = self.gates.get(node)
        patience_seconds = (
            gate.round_trip.patience_seconds(KNOCK_SECONDS) if gate else KNOCK_SECONDS
        )
        knock = self._knocks[node] = _Knock(self, connection, now + patience_seconds)
        self._look_again_at(knock.until)
        self._send(knock, connection, Request(node, _PING), encode(_PING), now)

    def end_late_knocks(self) -> None:
        """Use other connections where no answer came in time: nothing but the question left on the
        silent ones.
        """
        now = time.monotonic()
        for node, knock in list(self._knocks.items()):
            if knock.until > now:
                continue
            self.receive(knock.connection)  # the answer may be here
            if self._knocks.get(node) is knock:
                if node in self.gates:
                    self.gates[node].suspect(now)
                self._retired.add(knock.connection)
                self.end_knock(knock, True)

    def end_knock(self, knock: _Knock, is_silent: bool) -> None:
        """Go on with what waited: on this connection, or on a new one."""
        node = knock.connection.node
        knock.is_live = False
        if self._knocks.get(node) is not knock or self._closed:
            return
        del self._knocks[node]
        if not is_silent:
            self._connections[node] = knock.connection
            self._resume(node, None)
        elif node in self._waiting:
            trouble = None if self._reach(node) else self._ask(node)
            if trouble is not None or node in self._connections:
                self._resume(node, trouble)

    # Opening --------------------------------------------------------------------------------------

    def _reach(self, node: str) -> bool:
        """Take over a connection that is open already, if there is one."""
        if node in self._knocks or node not in self.gates:
            return False
        connection = self.gates[node].take(self._ring)
        if connection is None:
            return False
        guard = self._restart_guard
        if guard is not None and (refusal := guard.refusal(node, connection.run_id)) is not None:
            self._shut[node] = refusal
            connection.close()
            return False
        self._connections[node] = connection
        self._watch(connection)
        if self._is_doubtful(
            connection, now := time.monotonic()
        ):  # it was left over, and nobody came for long
            self._knock(connection, now)
            return False
        return True

    def _ask(self, node: str) -> str | None:
        """Have a connection opened; the reason where it cannot be at the moment."""
        if node not in self.gates:
            return f"no address is known for node {node!r}"
        if node in self._shut:
            return self._shut[node]
        trouble = None if node in self._knocks else self.gates[node].request(self._ring)
        if trouble is None:
            self._waiting.setdefault(node, [])
        return trouble

    def answer_bell(self) -> None:
        """Take connections that were opened, and report what could not be."""
        for node in [node for node in self._waiting if node not in self._knocks]:
            trouble = (
                None
                if self._reach(node)
                else self._shut.get(node) or self.gates[node].failed_opening
            )
            if trouble is None and node not in self._connections and node not in self._knocks:
                trouble = self.gates[node].request(
                    self._ring
                )  # another caller was quicker to take it
            if trouble is not None or node in self._connections:
                self._resume(node, trouble)

    def _resume(self, node: str, trouble: str | None) -> None:
        """Go on with what waited for a connection to a node: there is one, or else trouble."""
        now = time.monotonic()
        waiting = self._waiting.pop(node, [])
        for run, requests in self._held.pop(node, []):
            if run.is_live and trouble is None:
                self._send_all(run, requests)
            elif run.is_live:
                self._fail_gate(run, node, trouble or "", requests)
        for run, request in waiting:
            if trouble is None:
                # Also where enough was known without it: the receipt named this copy as one that
                # gets it.
                self._send_again(run, request, now)
            elif run.is_live:
                run.put(Failure(node, request.tag, trouble, type(request) is Resent, now))

    def _send_again(self, run: Run, request: Request, now: float) -> None:
        data, connection = encode(request.command), self._connections.get(request.node)
        if connection is not None:
            self._send(run, connection, request, data, now)
        else:
            self._send_when_open(run, request, data, now)

    def _fail_gate(self, run: Run, gate: str, trouble: str, requests: tuple[Request, ...]) -> None:
        now = time.monotonic()
        for request in requests:
            reason = trouble if request.node == gate else f"not sent: {gate} cannot be used"
            run.put(Failure(request.node, request.tag, reason, False, now))

    # Answers --------------------------------------------------------------------------------------

    def receive(self, connection: NodeConnection) -> None:
        """Read what has come on a connection and hand it to those who asked; close it where it is
        lost.
        """
        try:
            replies = connection.receive()
        except (OSError, hiredis.ProtocolError, MemoryError) as error:
            self._drop(connection, lost_connection(error, connection.client_id))
            return
        owed, now, gate = connection.owed, time.monotonic(), self.gates.get(connection.node)
        for content in replies:
            if not owed:
                self._drop(connection, "answered what nobody asked")
                return
            run, request, sent_at = owed.popleft()
            connection.proven_at = sent_at
            if not run.is_live:
                continue
            if isinstance(content, hiredis.ReplyError):
                self._deliver_error(connection, run, request, str(content), now)
                continue
            if not is_ours(request.command, content):
                # What else comes on this connection may answer another question than it seems to.
                run.put(
                    Failure(request.node, request.tag, f"{NOT_OURS}: {content!r:.80}", True, now)
                )
                self._drop(connection, NOT_OURS, pause=True)
                return
            if gate is not None:
                gate.round_trip.note(now - sent_at)
            if self._restart_guard is not None and type(run) is not _Knock:
                self._restart_guard.note_reply(connection.node, connection.run_id)
            run.put(Reply(request.node, request.tag, content, now))
        if not owed and connection in self._retired:
            self._let_go(connection)

    def _deliver_error(
        self, connection: NodeConnection, run: Run, request: Request, text: str, now: float
    ) -> None:
        """An error reply.

        NOSCRIPT certainly did nothing: open anew, which checks the node, and send once more.

        What left after it on the old connection may have been carried out, so its own answer is
        waited for.
        """
        times = request.times if type(request) is Resent else 0
        if not text.startswith("NOSCRIPT") or times >= limits.MAX_SCRIPT_RETRIES:
            gate = self.gates.get(connection.node)
            told = describe_denial(
                None if gate is None else gate.endpoint.username, request.command, text
            )
            run.put(Failure(request.node, request.tag, told, True, now))
            return
        again = Resent(*request)
        again.times = times + 1
        if self._connections.get(connection.node) is connection:
            self.gates[connection.node].report(
                "lost its scripts: restarted or flushed", pause=False
            )
            self._retire(connection)
        self._send_when_open(run, again, encode(again.command), now)

    def _retire(self, connection: NodeConnection) -> None:
        """Use a connection no more.

        It is read until it owes nothing, or for as long as it may stay silent.
        """
        del self._connections[connection.node]
        self._retired.add(connection)
        now = time.monotonic()
        for retired in list(self._retired):
            if not retired.owed or not self._is_within_bounds(retired, now):
                self._drop(retired, "has not answered")

    def _drop(self, connection: NodeConnection, reason: str, pause: bool = False) -> None:
        """Close a connection and fail what is waited for on it; with ``pause`` leave the node alone
        a while.
        """
        now = time.monotonic()
        if self._connections.get(connection.node) is connection and not self._closed:
            self.gates[connection.node].report(reason, pause)
        self._let_go(connection)
        owed = list(connection.owed)
        connection.owed.clear()
        for run, request, _ in owed:
            if run.is_live:
                run.put(Failure(request.node, request.tag, reason, True, now))

    def _let_go(self, connection: NodeConnection) -> None:
        if self._connections.get(connection.node) is connection:
            del self._connections[connection.node]
        self._retired.discard(connection)
        if not connection.is_closed:
            self._unwatch(connection)
            connection.close()

    def _forget_waiting(self) -> None:
        """No connection is waited for any more."""
        for node in self._waiting:
            if node in self.gates:
                self.gates[node].forget(self._ring)
        self._waiting.clear()
        self._held.clear()

    def close_connections(self) -> None:
        """Close all connections; what was still waited for on them counts as lost."""
        self._closed = True
        self._forget_waiting()
        knocked = [knock.connection for knock in self._knocks.values()]
        for connection in [*self._connections.values(), *self._retired, *knocked]:
            self._drop(connection, "the coordinator was closed")
