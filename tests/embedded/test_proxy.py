"""The proxy passes bytes, cuts, delays and ends."""

import contextlib
import socket
import threading
import time
from collections.abc import Iterator
from functools import partial

import pytest
import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from redrepl.embedded import EmbeddedServer
from redrepl.embedded.proxy import TcpProxy
from tests.support.echo import EchoServer, connect, exchange, is_broken, receive
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


def test_bytes_pass_both_ways(proxy: TcpProxy) -> None:
    data = bytes(range(256)) * 4096
    with connect(proxy.port) as connection:
        sender = threading.Thread(target=connection.sendall, args=(data,))
        sender.start()
        assert receive(connection, len(data)) == data
        sender.join(10)
        assert proxy.connection_count == 1
    wait_until(lambda: proxy.connection_count == 0)


def test_an_orderly_end_passes_and_loses_nothing(proxy: TcpProxy) -> None:
    data = b"x" * 1_000_000
    with connect(proxy.port) as connection:
        received = bytearray()
        reader = threading.Thread(
            target=lambda: received.extend(receive(connection, len(data) + 1))
        )
        reader.start()
        connection.sendall(data)
        connection.shutdown(socket.SHUT_WR)
        reader.join(10)
        assert not reader.is_alive(), "the target's end arrives as well"
        assert received == data


def test_cut_breaks_connections_and_refuses_new_ones(proxy: TcpProxy) -> None:
    with connect(proxy.port) as connection:
        assert exchange(connection, b"before") == b"before"
        proxy.cut()
        assert is_broken(connection)
        with pytest.raises(ConnectionError):
            connect(proxy.port)
        assert proxy.connection_count == 0


def test_heal_after_cut_serves_the_same_port(proxy: TcpProxy) -> None:
    port = proxy.port
    for _ in range(3):
        proxy.cut()
        proxy.cut()
        proxy.heal()
        proxy.heal()
        with connect(proxy.port) as connection:
            assert exchange(connection, b"after") == b"after"
    assert proxy.port == port


def test_delay_counts_in_each_direction_and_ends(proxy: TcpProxy) -> None:
    with connect(proxy.port) as connection:
        proxy.delay(0.15)
        started = time.monotonic()
        assert exchange(connection, b"slow") == b"slow"
        assert time.monotonic() - started >= 0.3
        proxy.delay(0)
        fastest = min(_seconds_for_exchange(connection) for _ in range(10))
        assert fastest < 0.15


def _seconds_for_exchange(connection: socket.socket) -> float:
    started = time.monotonic()
    exchange(connection, b"x")
    return time.monotonic() - started


def has_read(proxy: TcpProxy, count: int) -> bool:
    return proxy.read_bytes >= count


def test_delay_is_a_distance_and_no_queue(proxy: TcpProxy, target: EchoServer) -> None:
    with connect(proxy.port) as connection:
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        proxy.delay(0.3)
        started = time.monotonic()
        for count in range(1, 21):
            connection.sendall(b"x")
            wait_until(partial(has_read, proxy, count))
        assert receive(connection, 20) == b"x" * 20
        # One after the other they would take 20 times 0.6 s.
        assert 0.6 <= time.monotonic() - started < 6
        assert target.received == b"x" * 20


def test_a_target_that_is_gone_breaks_the_connection(proxy: TcpProxy, target: EchoServer) -> None:
    target.close()
    # The reset may arrive before connect() has looked at its success.
    with contextlib.suppress(ConnectionResetError), connect(proxy.port) as connection:
        assert is_broken(connection)
    wait_until(lambda: proxy.connection_count == 0)


def test_url_keeps_all_but_the_address(proxy: TcpProxy) -> None:
    assert proxy.url() == f"redis://127.0.0.1:{proxy.port}/0"
    assert (
        proxy.url("rediss://me:p%40ss@example.com:7000/3?x=1")
        == f"rediss://me:p%40ss@127.0.0.1:{proxy.port}/3?x=1"
    )


def test_close_ends_everything(target: EchoServer) -> None:
    proxy = TcpProxy("127.0.0.1", target.port)
    thread_name = f"proxy-{proxy.port}"
    with connect(proxy.port) as connection:
        assert exchange(connection, b"1") == b"1"
        assert thread_name in {thread.name for thread in threading.enumerate()}
        proxy.close()
        proxy.close()
        assert is_broken(connection)
    assert thread_name not in {thread.name for thread in threading.enumerate()}
    with pytest.raises(ConnectionError):
        connect(proxy.port)


@pytest.mark.servers
def test_a_real_client_behind_the_proxy(server: EmbeddedServer) -> None:
    with TcpProxy("127.0.0.1", server.port) as proxy:
        client = redis.Redis.from_url(
            proxy.url(server.url), socket_timeout=0.3, retry=Retry(NoBackoff(), 0)
        )
        assert client.set("key", "value")
        proxy.blackhole()
        with pytest.raises(redis.TimeoutError):
            client.get("key")
        proxy.cut()
        with pytest.raises(redis.ConnectionError):
            client.get("key")
        proxy.heal()
        assert client.get("key") == b"value"
