"""A server in front of a real one that answers what it likes."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Any

import hiredis

Twist = Callable[[list[bytes]], bytes | None]
"""What is answered to a command in place of the real answer; None: that one."""

RUBBISH = {
    "integer": b":7\r\n",
    "negative": b":-1\r\n",
    "huge": b":9223372036854775807\r\n",
    "nil": b"$-1\r\n",
    "text": b"$3\r\nabc\r\n",
    "binary": b"$4\r\n\xff\xfe\x00\x01\r\n",
    "status": b"+OK\r\n",
    "empty list": b"*0\r\n",
    "list of nil": b"*3\r\n$-1\r\n$-1\r\n$-1\r\n",
    "ok alone": b"*1\r\n$2\r\nok\r\n",
    "ok and a number": b"*2\r\n$2\r\nok\r\n:5\r\n",
    "ok and no stamp": b"*2\r\n$2\r\nok\r\n$22\r\nzzzzzzzzzzzzzzzzzzzzzz\r\n",
    "has nothing": b"*1\r\n$3\r\nhas\r\n",
    "refused short": b"*1\r\n$7\r\nrefused\r\n",
    "refused in no epoch": b"*3\r\n$7\r\nrefused\r\n$1\r\nx\r\n$1\r\ny\r\n",
    "some out of range": b"*4\r\n$4\r\nsome\r\n:99\r\n$2\r\nok\r\n$1\r\nx\r\n",
    "conflict out of range": b"*3\r\n$8\r\nconflict\r\n:99\r\n$1\r\nx\r\n",
    "nested": b"*1\r\n" * 7 + b":1\r\n",
    "error": b"-ERR rubbish\r\n",
    "two answers": b":1\r\n:1\r\n",
    "no protocol": b"\x00\x01\x02\r\n",
}
"""Answers that no node gives to what it is asked, by what they are."""


class Liar:
    """Passes commands on to the server at ``port``, and answers what ``twist`` says; `close` ends
    it.

    answered: how many answers were replaced.
    """

    def __init__(self, port: int) -> None:
        self.twist: Twist = _honest
        self.answered = 0
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._sockets: list[socket.socket] = [self._listener]
        threading.Thread(target=self._accept, daemon=True).start()

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self._listener.getsockname()[1]}/0"

    def close(self) -> None:
        for each in self._sockets:
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)
            each.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                client, _ = self._listener.accept()
                server = socket.create_connection(("127.0.0.1", self._target))
                self._sockets += [client, server]
                threading.Thread(target=self._serve, args=(client, server), daemon=True).start()

    def _serve(self, client: socket.socket, server: socket.socket) -> None:
        commands, answers = hiredis.Reader(), hiredis.Reader()
        with contextlib.suppress(OSError), client, server:
            while (command := _next(client, commands)) is not None:
                server.sendall(hiredis.pack_command(tuple(command)))
                answer, lie = _next(server, answers), self.twist(command)
                self.answered += lie is not None
                client.sendall(encoded(answer) if lie is None else lie)


def _honest(_: list[bytes]) -> bytes | None:
    return None


def _next(sock: socket.socket, reader: Any) -> Any:
    while (found := reader.gets()) is False:
        data = sock.recv(65536)
        if not data:
            raise ConnectionResetError
        reader.feed(data)
    return found if found is not None else _NIL


_NIL = object()


def encoded(answer: Any) -> bytes:
    """An answer as it goes over the wire."""
    if answer is None or answer is _NIL:
        return b"$-1\r\n"
    if isinstance(answer, hiredis.ReplyError):
        return b"-%b\r\n" % str(answer).encode()
    if isinstance(answer, int):
        return b":%d\r\n" % answer
    if isinstance(answer, bytes):
        return b"$%d\r\n%b\r\n" % (len(answer), answer)
    return b"*%d\r\n%b" % (len(answer), b"".join(map(encoded, answer)))
