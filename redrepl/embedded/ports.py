"""Ports of the operating system's choice that nobody else takes while their server is down."""

import socket
import sys
from types import TracebackType

from redrepl.embedded.configuration import LOOPBACK_ADDRESS


class ReservedPort:
    """A TCP port on 127.0.0.1, held from construction until `release()`.

    On Linux a bound socket that never listens keeps the port: the server, which also sets
    SO_REUSEADDR, may bind next to it, but the kernel gives the port to no one else, neither to a
    server nor to an outgoing connection. So a killed server can come back to its port, and clients
    meanwhile get "connection refused". Elsewhere two sockets cannot share an address; there the
    port is only tried out and given back.

    Raises `OSError` when `port` is fixed (not 0) and in use.
    """

    def __init__(self, port: int = 0) -> None:
        self._socket: socket.socket | None = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind((LOOPBACK_ADDRESS, port))
        except OSError:
            self.release()
            raise
        self.number: int = self._socket.getsockname()[1]
        if sys.platform != "linux":
            self.release()

    def release(self) -> None:
        """Give the port back; calling it again does nothing."""
        if self._socket is not None:
            self._socket.close()
            self._socket = None

    def __enter__(self) -> "ReservedPort":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.release()
