"""One connection to one node: opened by redis-py (TLS, login, database), then used as a bare socket.

The hot path needs three things that redis-py's clients do not give: the same bytes for every node, answers read as
they come from whichever node, and answers that may be left for later.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import deque
from typing import TYPE_CHECKING, Any, TypeAlias

import hiredis
from redis.backoff import NoBackoff
from redis.exceptions import AuthenticationError, RedisError
from redis.retry import Retry

from redrepl.edges.admission import MEMBER_FIELDS, Admission, Membership
from redrepl.edges.endpoint import Endpoint, address, connection_options
from redrepl.edges.scripts import all_scripts
from redrepl.plans.inspect import run_id_in
from redrepl.values.effects import Request
from redrepl.values.reasons import REFUSES

if TYPE_CHECKING:
    from redrepl.edges.switchboard import Run

Owed: TypeAlias = "tuple[Run, Request, float]"
"""A reply that is still owed on a connection: who asked, what, and when it was sent."""

_RECEIVE_BYTES = 65536
_TURN_BYTES = 1024 * 1024
_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class NodeUnusable(Exception):
    """A node could not be reached or does not admit us; the text says why."""


class NodeConnection:
    """A socket that does not block, with its parser and the replies it owes, in order.

    took_at: when it last took some of what had waited for it in `unsent` (monotonic clock, seconds).
    """

    __slots__ = (
        "_is_tls",
        "_received",
        "_sock",
        "fileno",
        "is_closed",
        "node",
        "owed",
        "poller",
        "run_id",
        "took_at",
        "unsent",
    )

    def __init__(self, node: str, sock: socket.socket, run_id: str) -> None:
        sock.setblocking(False)
        self.node = node
        self.run_id = run_id
        self.fileno = sock.fileno()
        self.poller = select.poll()
        self.poller.register(self.fileno, select.POLLIN)
        self.owed: deque[Owed] = deque()
        self.unsent = bytearray()
        self.is_closed = False
        self.took_at = 0.0
        self._sock = sock
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self._received = hiredis.Reader()

    def send(self, data: bytes) -> None:
        """Send now what the socket takes and keep the rest in `unsent`. Raises OSError when the connection is gone."""
        if self.unsent:
            self.unsent += data
            return
        try:
            sent = self._sock.send(data)
        except _WOULD_BLOCK:
            sent = 0
        if sent < len(data):
            self.unsent += memoryview(data)[sent:]

    def flush(self) -> None:
        """Send on what is still unsent. Raises OSError when the connection is gone."""
        try:
            while self.unsent:
                sent = self._sock.send(memoryview(self.unsent)[:_RECEIVE_BYTES])
                del self.unsent[:sent]
        except _WOULD_BLOCK:
            return

    def flush_backlog(self) -> None:
        """As `flush`, after the socket had taken no more for a while. What it takes now is a sign of life."""
        waiting_bytes = len(self.unsent)
        self.flush()
        if len(self.unsent) < waiting_bytes:
            self.took_at = time.monotonic()

    def receive(self) -> list[Any]:
        """Whole replies that have arrived; errors as values. Raises OSError when the connection is gone."""
        received, gets = self._received, self._received.gets
        replies: list[Any] = []
        taken = 0
        while True:
            try:
                data = self._sock.recv(_RECEIVE_BYTES)
            except _WOULD_BLOCK:
                return replies
            if not data:
                if replies:
                    return replies  # the end is met again next time
                raise ConnectionResetError("the node closed the connection")
            received.feed(data)
            while (reply := gets()) is not False:
                replies.append(reply)
            taken += len(data)
            # The rest of a flood waits, so that others get their turn. TLS is read dry: what it holds shows nowhere.
            if (len(data) < _RECEIVE_BYTES or taken >= _TURN_BYTES) and not self._is_tls:
                return replies

    def close(self) -> None:
        """Close the socket at once."""
        self.is_closed = True
        self._sock.close()


def open_connection(endpoint: Endpoint, admission: Admission, timeout_seconds: float) -> NodeConnection:
    """Connect, log in, pass the admission check, load missing scripts. Blocks; raises NodeUnusable with the reason."""
    connection_class, options = connection_options(endpoint)
    options.update(
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
    )
    connection: Any = connection_class(**options)
    try:
        connection.connect()
        found, known = _introduce(connection, admission)
        if (reason := admission.refusal(endpoint.node, found)) is not None:
            raise NodeUnusable(f"{address(endpoint)} {reason}")
        _load_scripts(connection, known)
        # redis-py has no public way to hand its socket over; the versions are pinned and a test holds this line.
        sock, connection._sock = connection._sock, None
        return NodeConnection(endpoint.node, sock, found.actual_run_id)
    except (RedisError, OSError) as error:
        raise NodeUnusable(_describe(endpoint, error, timeout_seconds)) from error
    finally:
        connection.disconnect()


def _describe(endpoint: Endpoint, error: Exception, timeout_seconds: float) -> str:
    text = str(error) or type(error).__name__
    if isinstance(error, AuthenticationError):
        return f"{address(endpoint)} refused the login: {text}"
    if "Timeout" in type(error).__name__ or isinstance(error, TimeoutError):
        return f"{address(endpoint)} did not answer within {timeout_seconds:g} s"
    if isinstance(error.__cause__ or error.__context__, ConnectionRefusedError):
        return f"{address(endpoint)} {REFUSES}: no server runs there"
    return text if address(endpoint) in text else f"{address(endpoint)}: {text}"


def _introduce(connection: Any, admission: Admission) -> tuple[Membership, list[int]]:
    """Ask who the node is and which scripts it has, in one round trip."""
    scripts = all_scripts().values()
    connection.send_command("HMGET", admission.layout.member, *MEMBER_FIELDS)
    connection.send_command("INFO", "server")
    connection.send_command("SCRIPT", "EXISTS", *(script.sha for script in scripts))
    fields, information, known = (connection.read_response() for _ in range(3))
    cluster, node, state, run_id = [None if value is None else value.decode() for value in fields]
    return Membership(cluster, node, state, run_id, _run_id(information)), known


def _run_id(information: bytes) -> str:
    if not (run_id := run_id_in(information)):
        raise NodeUnusable("INFO names no run_id: this server hides it, so that restarts cannot be noticed")
    return run_id


def _load_scripts(connection: Any, known: list[int]) -> None:
    missing = [script for script, exists in zip(all_scripts().values(), known, strict=True) if not exists]
    for script in missing:
        connection.send_command("SCRIPT", "LOAD", script.source)
    for script in missing:
        if connection.read_response() != script.sha:
            raise NodeUnusable(f"script {script.name} was not loaded as it was sent")
