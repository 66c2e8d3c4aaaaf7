"""One connection to one node: opened by redis-py (TLS, login, database), then used as a bare
socket.

The hot path needs three things that redis-py's clients do not give: the same bytes for every node,
answers read as they come from whichever node, and answers that may be left for later.
"""

from __future__ import annotations

import select
import socket
import ssl
import time
from collections import deque
from typing import Any

import hiredis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

from redrepl.edges.admission import Admission
from redrepl.edges.announced_lists import AnnouncedLists
from redrepl.edges.endpoint import Endpoint, connection_options
from redrepl.edges.introduction import NOTHING_YET, RECEIVE_BYTES, NodeUnusable, introduce
from redrepl.edges.lifetimes import end_with, let_go_of_frames
from redrepl.edges.opening_errors import describe_error
from redrepl.edges.pending import Owed
from redrepl.values import limits
from redrepl.values.answers import most_answer_bytes
from redrepl.values.errors import ConfigError
from redrepl.values.reasons import NOT_OURS
from redrepl.values.round_trip import RoundTrip

_TURN_BYTES = 1024 * 1024
_TLS_RECORD_BYTES = 16384
"""The most that one record of TLS holds.

Python does not let OpenSSL take a part of what it is given: a send that the socket had no room for
must be repeated with the same bytes, else the connection is lost (BAD_LENGTH). Given one record at
a time, that is all it repeats.
"""

_ROUND_TRIPS = 4.0
"""A node is given so many of its round trips for each answer while a connection is opened (TLS
needs up to three).
"""

_KEEPALIVE = (("TCP_KEEPIDLE", 30), ("TCP_KEEPINTVL", 10), ("TCP_KEEPCNT", 3))
"""In seconds and times.

Firewalls forget idle connections after a minute at the earliest, mostly after several.
"""

_CLOSE = socket.SocketType.close
"""The interpreter's own, without the lines of Python around it."""

_WOULD_BLOCK = (BlockingIOError, InterruptedError, ssl.SSLWantReadError, ssl.SSLWantWriteError)


class NodeConnection:
    """A socket that does not block, with its parser and the replies it owes, in order.

    proven_at: when the last request that was answered left: the way there was open then. took_at:
    when it last took some of what had waited for it in `unsent`. Both by the monotonic clock, in
    seconds. client_id: what the server calls this connection, None where that is not known.
    """

    __slots__ = (
        "__weakref__",
        "_full_bytes",
        "_is_tls",
        "_lists",
        "_received",
        "_repeated_bytes",
        "_sock",
        "_unfinished_bytes",
        "client_id",
        "fileno",
        "is_closed",
        "node",
        "owed",
        "poller",
        "proven_at",
        "run_id",
        "took_at",
        "unsent",
    )

    def __init__(
        self, node: str, sock: socket.socket, run_id: str, client_id: int | None = None
    ) -> None:
        sock.setblocking(False)
        self.client_id = client_id
        self.node = node
        self.run_id = run_id
        self.fileno = sock.fileno()
        self.poller = select.poll()
        self.poller.register(self.fileno, select.POLLIN)
        self.owed: deque[Owed] = deque()
        self.unsent = bytearray()
        self.is_closed = False
        self.proven_at = time.monotonic()
        self.took_at = 0.0
        self._sock = sock
        end_with(self, map(_CLOSE, [sock]))
        self._is_tls = isinstance(sock, ssl.SSLSocket)
        self._unfinished_bytes = 0
        self._full_bytes = _TLS_RECORD_BYTES if self._is_tls else RECEIVE_BYTES
        self._repeated_bytes = 0
        self._received = hiredis.Reader(notEnoughData=NOTHING_YET)
        self._lists = AnnouncedLists()

    def __repr__(self) -> str:
        state = "closed" if self.is_closed else "open"
        client = "" if self.client_id is None else f" client={self.client_id}"
        return f"<{type(self).__name__} {self.node}{client} owed={len(self.owed)} {state}>"

    def send(self, data: bytes) -> None:
        """Send now what the socket takes and keep the rest in `unsent`.

        Raises OSError when the connection is gone.
        """
        if self.unsent:
            self.unsent += data
            return
        if self._is_tls:
            self.unsent += data
            self._send_records()
            return
        try:
            sent = self._sock.send(data)
        except _WOULD_BLOCK:
            sent = 0
        if sent < len(data):
            self.unsent += memoryview(data)[sent:]

    def flush(self) -> None:
        """Send on what is still unsent. Raises OSError when the connection is gone."""
        if self._is_tls:
            self._send_records()
            return
        try:
            while self.unsent:
                sent = self._sock.send(memoryview(self.unsent)[:RECEIVE_BYTES])
                del self.unsent[:sent]
        except _WOULD_BLOCK:
            return

    def _send_records(self) -> None:
        """Send what is unsent record by record; first the one again that the socket had no room
        for.
        """
        try:
            while self.unsent:
                self._repeated_bytes = self._repeated_bytes or min(
                    len(self.unsent), _TLS_RECORD_BYTES
                )
                sent = self._sock.send(memoryview(self.unsent)[: self._repeated_bytes])
                self._repeated_bytes = 0
                del self.unsent[:sent]
        except _WOULD_BLOCK:
            return

    def flush_backlog(self) -> None:
        """As `flush`, after the socket had taken no more for a while.

        What it takes now is a sign of life.
        """
        waiting_bytes = len(self.unsent)
        self.flush()
        if len(self.unsent) < waiting_bytes:
            self.took_at = time.monotonic()

    def receive(self) -> list[Any]:
        """Whole replies that have arrived; errors as values.

        Raises OSError when the connection is gone.
        """
        received, gets = self._received, self._received.gets
        replies: list[Any] = []
        taken = 0
        while True:
            try:
                data = self._sock.recv(RECEIVE_BYTES)
            except _WOULD_BLOCK:
                return replies
            if not data:
                if replies:
                    return replies  # the end is met again next time
                raise ConnectionResetError("the node closed the connection")
            self._lists.check(data)
            received.feed(data)
            known = len(replies)
            try:
                while (reply := gets()) is not NOTHING_YET:
                    replies.append(reply)
            except (TypeError, ValueError, RecursionError, MemoryError) as error:
                # A map whose keys cannot be keys, a list for which there is no room, and the like.
                raise hiredis.ProtocolError(f"{NOT_OURS}: {error}") from error
            self._lists.note(data, not received.has_data())
            taken += len(data)
            self._unfinished_bytes = (
                0 if len(replies) > known else self._unfinished_bytes + len(data)
            )
            if self._unfinished_bytes > limits.MAX_VERDICT_BYTES:
                self._check_length(len(replies))
            # The rest of a flood waits, so that others get their turn.
            if len(data) < self._full_bytes or taken >= _TURN_BYTES:
                if self._is_tls and self._sock.pending():  # type: ignore[attr-defined]  # of an SSLSocket
                    continue  # what TLS has decrypted shows nowhere
                return replies

    def _check_length(self, answered: int) -> None:
        """Raise ProtocolError for an answer that is longer than any to its question; ``answered``:
        those before it, which are owed until they are handed on.
        """
        most = most_answer_bytes(self.owed[answered][1].command) if answered < len(self.owed) else 0
        if self._unfinished_bytes > most:
            raise hiredis.ProtocolError(f"{NOT_OURS}: an answer without end")

    def close(self) -> None:
        """Close the socket at once."""
        self.is_closed = True
        self._sock.close()


def open_connection(
    endpoint: Endpoint, admission: Admission, timeout_seconds: float, round_trip: RoundTrip
) -> NodeConnection:
    """Connect, log in, pass the admission check, load missing scripts.

    Blocks; raises NodeUnusable with the reason.

    timeout_seconds: for each answer of a node that is near. ``round_trip`` tells how far it is, as
    soon as anything is known, and learns from what is seen here. Two round trips in all, where TLS
    needs none and the scripts are loaded.
    """
    if endpoint.withheld is not None:
        raise NodeUnusable(endpoint.withheld)
    try:
        connection_class, options = connection_options(endpoint)
    except ConfigError as error:
        raise NodeUnusable(error.message) from error
    answer_seconds = _answer_seconds(timeout_seconds, round_trip)
    options.update(
        protocol=2,
        retry=Retry(NoBackoff(), 0),
        socket_timeout=answer_seconds,
        socket_connect_timeout=answer_seconds,
        redis_connect_func=_leave_to_us,
        driver_info=None,  # else redis-py reads its own version from disk, each time
    )
    connection: Any = connection_class(**options)
    waited_seconds = answer_seconds
    try:
        began = time.monotonic()
        connection.connect()
        # redis-py has no public way to hand its socket over; the versions are pinned and a test
        # holds this line.
        sock, connection._sock = connection._sock, None
        try:
            waited_seconds = max(answer_seconds, _ROUND_TRIPS * (time.monotonic() - began))
            found, answered_seconds, client_id = introduce(
                sock, endpoint, connection, admission, waited_seconds
            )
            round_trip.note(answered_seconds)
        except BaseException:
            sock.close()
            raise
        _keep_alive(sock)
        return NodeConnection(endpoint.node, sock, found.actual_run_id, client_id)
    except NodeUnusable as error:
        let_go_of_frames(error)
        raise
    except (RedisError, OSError, hiredis.ProtocolError) as error:
        reason = describe_error(endpoint, error, waited_seconds)
        let_go_of_frames(error)
        raise NodeUnusable(reason) from error
    finally:
        connection.disconnect()
        # redis-py's parser refers to itself, and has a finalizer.
        vars(connection._parser).clear()


def _leave_to_us(_: object) -> None:
    """redis-py would log in, name itself and select a database with a round trip for each."""


def _answer_seconds(timeout_seconds: float, round_trip: RoundTrip) -> float:
    """How long to wait for each answer. How far a node is that was never reached is not known."""
    if round_trip.smoothed_seconds:
        return round_trip.patience_seconds(timeout_seconds, _ROUND_TRIPS)
    return max(timeout_seconds, limits.FIRST_CONTACT_SECONDS)


def _keep_alive(sock: socket.socket) -> None:
    """Have the kernel keep an idle connection known to the firewalls on its way, and notice a peer
    that vanished.
    """
    if sock.family not in (socket.AF_INET, socket.AF_INET6):
        return
    sock.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    for name, value in _KEEPALIVE:
        if (
            option := getattr(socket, name, None)
        ) is not None:  # macOS names the first one differently
            sock.setsockopt(socket.IPPROTO_TCP, option, value)
