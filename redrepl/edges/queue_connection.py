"""Connections to the queue's Redis, which nothing is believed of: what it answers is bounded in
size.

They speak protocol 2, which every Redis and every proxy in front of one knows: nothing on the queue
needs HELLO.
"""

from __future__ import annotations

import socket
import threading
from contextlib import suppress
from typing import Any

from redis import ConnectionPool, Redis
from redis.backoff import NoBackoff
from redis.exceptions import ConnectionError, NoPermissionError, ResponseError
from redis.retry import Retry

from redrepl.edges.endpoint import connection_options, split_url
from redrepl.edges.lifetimes import Living
from redrepl.edges.tls import TlsConnection
from redrepl.values import limits

TIMEOUT_SECONDS = 2.0

_PEEK = getattr(socket, "MSG_PEEK", 0)


def queue_connection(queue_url: str, socket_timeout: float | None = TIMEOUT_SECONDS) -> Any:
    """A redis-py client for the queue.

    Its answers are bounded, and nothing that it is asked is sent twice.
    """
    connection_class, options = connection_options(split_url("queue", queue_url))
    options.update(
        protocol=2,
        driver_info=None,  # a login that is for the queue alone may say nothing of itself
        socket_timeout=socket_timeout,
        socket_connect_timeout=TIMEOUT_SECONDS,
        retry=Retry(NoBackoff(), 0),
    )
    if issubclass(connection_class, TlsConnection):
        options["redis_connect_func"] = _begin_over_tls
    return Redis(
        connection_pool=ConnectionPool(connection_class=_bounded(connection_class), **options)
    )


def interrupt(queue: Any) -> None:
    """Have what waits for an answer on this client's connections end with an error; from any
    thread.

    Whoever uses a connection closes it. Were that done from here, a connection that is just being
    opened could be lost from redis-py's books, and nothing would end the wait on it any more.
    """
    queue.connection_pool.connection_class.open_sockets.interrupt()


def _begin_over_tls(connection: Any) -> None:
    """Log in, and read what the server sends by itself after the handshake.

    With TLS 1.3 those are session tickets. redis-py takes the bytes for an answer that was not
    asked for, and refuses the connection; they are gone when anything has been read. HELLO is a
    command that no ACL denies.
    """
    connection.on_connect()
    connection.send_command("HELLO", check_health=False)
    with suppress(ResponseError):  # a server or a proxy that does not know it answers too
        connection.read_response()


def describe_queue_error(queue_url: str, error: Exception) -> str:
    """What the queue's server said, and where its login lacks a right, which login that is and what
    to do.
    """
    # RQ sends several commands at once, and says which one failed, with names that change.
    text = str(error).rpartition("of pipeline caused error: ")[2] or type(error).__name__
    if not isinstance(error, NoPermissionError):
        return text
    login = split_url("queue", queue_url).username or "default"
    return (
        f"login {login!r} lacks a right: {text}; `redrepl acl --role ROLE --queue` prints what "
        "it needs"
    )


def _bounded(connection_class: type[Any]) -> type[Any]:
    """The class of connections whose answers are bounded."""

    open_sockets = _OpenSockets()

    def connect(connection: Any) -> BoundedSocket:
        return open_sockets.add(BoundedSocket(connection_class._connect(connection)))

    attributes = {"_connect": connect, "open_sockets": open_sockets}
    return type(f"Bounded{connection_class.__name__}", (connection_class,), attributes)


class _OpenSockets:
    """The sockets of one client, whichever connection has them."""

    def __init__(self) -> None:
        self._lock = (
            threading.RLock()
        )  # a signal's handler may open a connection while its own thread is here
        self._sockets: Living[BoundedSocket] = Living()

    def add(self, opened: BoundedSocket) -> BoundedSocket:
        with self._lock:
            self._sockets.add(opened)
        return opened

    def interrupt(self) -> None:
        with self._lock:
            sockets = [*self._sockets]
        for each in sockets:
            each.interrupt()


class BoundedSocket:
    """A socket that ends with an error where more than a bound is received after the last
    sending.
    """

    def __init__(self, inner: Any, most: int = limits.MAX_QUEUE_ANSWER_BYTES) -> None:
        self._inner = inner
        self._most = self._left = most

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def interrupt(self) -> None:
        """Have whoever waits on it get an error; it stays open for its owner to close."""
        with suppress(OSError):  # it is closed, or was never connected
            self._inner.shutdown(socket.SHUT_RDWR)

    def sendall(self, data: Any) -> None:
        """Send all; the bound begins anew."""
        self._left = self._most
        self._inner.sendall(data)

    def recv(self, size: int, flags: int = 0) -> bytes:
        """Receive some bytes. Raises ConnectionError beyond the bound."""
        found: bytes = self._inner.recv(size, flags)
        self._count(0 if flags & _PEEK else len(found))
        return found

    def recv_into(self, buffer: Any) -> int:
        """Receive into a buffer. Raises ConnectionError beyond the bound."""
        count: int = self._inner.recv_into(buffer)
        self._count(count)
        return count

    def _count(self, count: int) -> None:
        self._left -= count
        if self._left < 0:
            raise ConnectionError(f"the answer is longer than {self._most} bytes")
