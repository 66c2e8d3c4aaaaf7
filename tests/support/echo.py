"""A server that echoes, and what a client of it can observe."""

import contextlib
import socket
import threading

SILENCE_SECONDS = 0.1
"""How long nothing must arrive to call it silence; loopback answers a thousand times faster."""


class EchoServer:
    """Echoes what it receives, connection by connection, and remembers it."""

    def __init__(self) -> None:
        self.received = bytearray()
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            threading.Thread(target=self._echo, args=(connection,), daemon=True).start()

    def _echo(self, connection: socket.socket) -> None:
        with connection:
            try:
                while data := connection.recv(65536):
                    self.received += data
                    connection.sendall(data)
            except ConnectionError:
                return

    def close(self) -> None:
        """Accept no more connections."""
        # shutdown() wakes the accepting thread, close() alone does not; it fails on a socket
        # already closed.
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()


def connect(port: int) -> socket.socket:
    """A client connection."""
    return socket.create_connection(("127.0.0.1", port), timeout=10)


def exchange(connection: socket.socket, data: bytes) -> bytes:
    """Send `data` and return the echo."""
    connection.sendall(data)
    return receive(connection, len(data))


def receive(connection: socket.socket, count: int) -> bytes:
    """The next `count` bytes, fewer if the other side ends."""
    received = b""
    while len(received) < count and (data := connection.recv(65536)):
        received += data
    return received


def is_silent(connection: socket.socket) -> bool:
    """Whether nothing arrives, not even the end."""
    connection.settimeout(SILENCE_SECONDS)
    try:
        connection.recv(1)
    except TimeoutError:
        return True
    finally:
        connection.settimeout(10)
    return False


def is_broken(connection: socket.socket) -> bool:
    """Whether the connection has ended, orderly or not."""
    try:
        return connection.recv(1) == b""
    except ConnectionError:
        return True
