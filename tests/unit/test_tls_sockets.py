"""Sending and receiving over TLS on a socket that does not block, whatever it has room for."""

from __future__ import annotations

import select
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import suppress

import hiredis
import pytest

from redrepl.edges import connection
from redrepl.edges.connection import NodeConnection
from redrepl.edges.pending import Run
from redrepl.values.effects import Request, ScriptCall
from tests.support.certificates import Authority

MEBIBYTE = 1024 * 1024
HOST = "node.example"


class _Pair:
    """A connection and the server's end of it, which reads and writes when it is told to."""

    def __init__(self, authority: Authority, room_bytes: int) -> None:
        near, far = socket.socketpair()
        near.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, room_bytes)
        certificate = authority.certify("server", f"DNS:{HOST}")
        server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        server.load_cert_chain(certificate.file, certificate.key)
        opening = threading.Thread(target=self._accept, args=(server, far))
        opening.start()
        client = ssl.create_default_context(cafile=str(authority.file))
        self._near = client.wrap_socket(near, server_hostname=HOST)
        opening.join()
        self.connection = NodeConnection("a", self._near, "run-1")

    def _accept(self, server: ssl.SSLContext, far: socket.socket) -> None:
        self.far = server.wrap_socket(far, server_side=True)

    def take(self, count: int) -> bytes:
        """What the server reads, while the connection flushes, until it has so many bytes."""
        taken = bytearray()
        reading = threading.Thread(target=self._read, args=(taken, count), daemon=True)
        reading.start()
        has_room = select.poll()
        has_room.register(self._near, select.POLLOUT)
        while self.connection.unsent:
            has_room.poll(10_000)
            self.connection.flush_backlog()
        reading.join()
        return bytes(taken)

    def _read(self, taken: bytearray, count: int) -> None:
        while len(taken) < count:
            taken += self.far.recv(65536)

    def close(self) -> None:
        """Close both ends."""
        with suppress(OSError):
            self.far.close()
        self.connection.close()


@pytest.fixture(params=[8192, 200_000], ids=["small-window", "large-window"])
def pair(authority: Authority, request: pytest.FixtureRequest) -> Iterator[_Pair]:
    """A connection over TLS whose socket has room for less than a record, or for many."""
    made = _Pair(authority, request.param)
    yield made
    made.close()


def _numbers(size: int) -> bytes:
    return b"".join(b"%08d" % number for number in range(size // 8))


@pytest.mark.parametrize("size", [8, 16384, 65536 + 8, 5 * MEBIBYTE])
def test_a_request_of_any_size_arrives_as_it_is(pair: _Pair, size: int) -> None:
    request = _numbers(size)
    pair.connection.send(request)
    assert pair.take(size) == request
    assert not pair.connection.unsent


def test_what_is_sent_while_others_wait_comes_after_them(pair: _Pair) -> None:
    large, small = _numbers(MEBIBYTE), [b"%d" % number for number in range(1000)]
    pair.connection.send(large)
    assert pair.connection.unsent
    for each in small:
        pair.connection.send(each)
    assert pair.take(len(large) + sum(map(len, small))) == large + b"".join(small)


def test_a_request_that_had_no_room_is_repeated_as_it_was_before_others_follow(pair: _Pair) -> None:
    sent = bytearray()
    while not pair.connection.unsent:
        pair.connection.send(part := b"%07d\n" % len(sent))
        sent += part
    pair.connection.send(more := _numbers(MEBIBYTE))
    assert pair.take(len(sent) + len(more)) == sent + more


def test_a_record_that_was_taken_is_a_sign_of_life(pair: _Pair) -> None:
    pair.connection.send(_numbers(MEBIBYTE))
    pair.connection.flush_backlog()
    assert pair.connection.took_at == 0.0
    pair.take(MEBIBYTE)
    assert pair.connection.took_at > 0.0


def _received(pair: _Pair, count: int) -> list[object]:
    found: list[object] = []
    while len(found) < count:
        assert pair.connection.poller.poll(2_000), "answers wait, and nothing shows it"
        found += pair.connection.receive()
    return found


@pytest.mark.parametrize("size", [1, 16383, 16384, 16385, 3 * MEBIBYTE])
def test_answers_of_any_size_are_all_read(pair: _Pair, size: int) -> None:
    answers = [bytes([65 + number]) * size for number in range(3)]
    question = Request("a", ScriptCall("read_many", (b"member",), ()))
    pair.connection.owed.extend([(Run(), question, 0.0)] * len(answers))
    data = b"".join(hiredis.pack_command((answer,)) for answer in answers)
    writing = threading.Thread(target=pair.far.sendall, args=(data,))
    writing.start()
    assert _received(pair, 3) == [[answer] for answer in answers]
    writing.join()


def test_answers_that_came_in_one_record_are_all_read(
    pair: _Pair, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(connection, "RECEIVE_BYTES", 100)
    pair.far.sendall(b"+OK\r\n" * 1000)
    assert _received(pair, 1000) == [b"OK"] * 1000
