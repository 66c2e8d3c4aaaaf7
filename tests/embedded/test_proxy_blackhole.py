"""In a blackhole nothing passes; what it held is delivered or lost, as the test wishes."""

import socket
from collections.abc import Iterator

import pytest

from redrepl.embedded.proxy import TcpProxy
from tests.support.echo import (
    SILENCE_SECONDS,
    EchoServer,
    connect,
    exchange,
    is_broken,
    is_silent,
    receive,
)
from tests.support.waiting import wait_until


@pytest.fixture
def target() -> Iterator[EchoServer]:
    made = EchoServer()
    yield made
    made.close()


@pytest.fixture
def proxy(target: EchoServer) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", target.port) as made:
        yield made


def test_blackhole_holds_what_is_sent_until_healed(proxy: TcpProxy, target: EchoServer) -> None:
    with connect(proxy.port) as connection:
        assert exchange(connection, b"1") == b"1"
        proxy.blackhole()
        connection.sendall(b"2")
        wait_until(lambda: proxy.read_bytes == 3, message="the proxy holds the byte")
        assert is_silent(connection)
        assert target.received == b"1"
        proxy.heal()
        assert receive(connection, 1) == b"2"


def test_blackhole_holds_the_answers_too(proxy: TcpProxy, target: EchoServer) -> None:
    with connect(proxy.port) as connection:
        proxy.delay(SILENCE_SECONDS)
        connection.sendall(b"1")
        # The request has arrived, and its answer is still on the way.
        wait_until(lambda: target.received == b"1")
        proxy.blackhole()
        assert is_silent(connection)
        assert is_silent(connection)
        proxy.heal()
        assert receive(connection, 1) == b"1"


def test_blackhole_accepts_connections_and_is_silent(proxy: TcpProxy, target: EchoServer) -> None:
    proxy.blackhole()
    with connect(proxy.port) as connection:
        connection.sendall(b"hello")
        assert is_silent(connection)
        assert target.received == b""
        proxy.heal()
        assert receive(connection, 5) == b"hello"


def test_blackhole_holds_the_end_of_a_connection(proxy: TcpProxy) -> None:
    with connect(proxy.port) as connection:
        assert exchange(connection, b"1") == b"1"
        proxy.blackhole()
        connection.shutdown(socket.SHUT_WR)
        assert is_silent(connection)
        proxy.heal()
        assert connection.recv(1) == b""


def test_heal_without_delivery_loses_what_was_held(proxy: TcpProxy, target: EchoServer) -> None:
    with connect(proxy.port) as connection:
        assert exchange(connection, b"1") == b"1"
        proxy.blackhole()
        connection.sendall(b"lost")
        assert is_silent(connection)
        proxy.heal(deliver=False)
        assert is_broken(connection)
    with connect(proxy.port) as connection:
        assert exchange(connection, b"2") == b"2"
    assert target.received == b"12"


def test_heal_without_delivery_spares_connections_that_were_not_in_a_blackhole(
    proxy: TcpProxy,
) -> None:
    with connect(proxy.port) as connection:
        assert exchange(connection, b"1") == b"1"
        proxy.heal(deliver=False)
        assert exchange(connection, b"2") == b"2"


def test_cut_in_a_blackhole_loses_what_was_held(proxy: TcpProxy, target: EchoServer) -> None:
    with connect(proxy.port) as connection:
        assert exchange(connection, b"1") == b"1"
        proxy.blackhole()
        connection.sendall(b"lost")
        assert is_silent(connection)
        proxy.cut()
        assert is_broken(connection)
    proxy.heal()
    with connect(proxy.port) as connection:
        assert exchange(connection, b"2") == b"2"
    assert target.received == b"12"


def test_blackhole_after_cut_accepts_again(proxy: TcpProxy) -> None:
    proxy.cut()
    proxy.blackhole()
    with connect(proxy.port) as connection:
        connection.sendall(b"1")
        assert is_silent(connection)
