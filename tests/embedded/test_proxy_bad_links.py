"""The proxy narrows connections, breaks them off and forgets them."""

import time
from collections.abc import Iterator

import pytest

from redrepl.embedded.proxy import TcpProxy
from tests.support.echo import EchoServer, connect, exchange, is_broken, is_silent, receive


@pytest.fixture
def target() -> Iterator[EchoServer]:
    made = EchoServer()
    yield made
    made.close()


@pytest.fixture
def proxy(target: EchoServer) -> Iterator[TcpProxy]:
    with TcpProxy("127.0.0.1", target.port) as made:
        yield made


def test_a_narrow_connection_passes_so_many_bytes_a_second_and_loses_none(proxy: TcpProxy) -> None:
    data = bytes(range(256)) * 40
    with connect(proxy.port) as connection:
        proxy.narrow(len(data) * 5)
        began = time.monotonic()
        assert exchange(connection, data) == data
        assert time.monotonic() - began >= 0.2, (
            "a fifth of a second there, while the way back follows"
        )
        proxy.narrow(0)
        assert exchange(connection, data * 20) == data * 20


def test_reset_breaks_what_is_open_and_serves_what_is_new(proxy: TcpProxy) -> None:
    with connect(proxy.port) as connection:
        assert exchange(connection, b"before") == b"before"
        proxy.reset()
        assert is_broken(connection)
    with connect(proxy.port) as connection:
        assert exchange(connection, b"after") == b"after"


def test_what_is_forgotten_stays_open_and_passes_nothing(
    proxy: TcpProxy, target: EchoServer
) -> None:
    with connect(proxy.port) as old:
        assert exchange(old, b"before") == b"before"
        proxy.forget()
        old.sendall(b"lost")
        assert is_silent(old)
        with connect(proxy.port) as new:
            assert exchange(new, b"after") == b"after"
        assert bytes(target.received) == b"beforeafter"
        assert proxy.connection_count >= 1, "nobody was told"


def test_what_is_forgotten_comes_back_no_more(proxy: TcpProxy) -> None:
    with connect(proxy.port) as old:
        proxy.blackhole()
        proxy.forget()
        old.sendall(b"y")
        proxy.heal()
        assert is_silent(old)
    with connect(proxy.port) as new:
        new.sendall(b"z")
        assert receive(new, 1) == b"z"
