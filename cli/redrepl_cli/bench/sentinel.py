"""Redis Sentinel: three of them watch native replication, and redis-py's Sentinel client writes."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING, Any

from redrepl.embedded import EmbeddedCluster
from redrepl.embedded.configuration import LOOPBACK_ADDRESS
from redrepl_cli.bench.clients import client_of
from redrepl_cli.bench.native import SERVERS, native_servers
from redrepl_cli.bench.outages import Scene
from redrepl_cli.bench.servers import configuration_of, embedded_servers
from redrepl_cli.bench.stage import Stage
from redrepl_cli.bench.waiting import await_until
from redrepl_cli.bench.writer import event_key, event_value

if TYPE_CHECKING:
    from redis import Redis

SENTINELS = 3
QUORUM = 2
SERVICE = "bench"

OPTIONS = {"down-after-milliseconds": 1000, "parallel-syncs": 1, "failover-timeout": 5000}
"""The first is 30 s by default, the last 3 min; after a failover that failed the next one waits
twice as long.
"""

SETTLE_SECONDS = 20.0
"""For all to know all; it takes some tenths of a second."""

HELLO_MILLIS = 2000
FIRST_HELLO_MILLIS = 100
"""How often a sentinel tells the others that it is there: its default, and until all know all,
which makes the preparation of each outage two seconds shorter.
"""

CLIENT_TIMEOUT_SECONDS = 0.25
"""For connecting, and for an answer: a program that waits longer for a frozen server is away
longer.
"""

WAIT_MILLIS = 200
"""The time-out of WAIT, within the client's."""


class NotConfirmed(Exception):
    """WAIT counted no replica."""


@contextmanager
def _sentinels(stage: Stage) -> Iterator[EmbeddedCluster]:
    """Sentinels that watch the native servers and know of each other and of the replicas."""
    servers = stage.use(native_servers)
    with embedded_servers(stage.settings, SENTINELS, "--sentinel") as sentinels:
        port = next(iter(servers.servers.values())).port
        with ExitStack() as stack:
            endpoints = configuration_of(sentinels.urls).endpoints
            clients = [stack.enter_context(client_of(endpoint)) for endpoint in endpoints]
            for client in clients:
                _watch(client, port)
            await_until(
                lambda: all(map(_knows_all, clients)),
                SETTLE_SECONDS,
                lambda: (
                    "the sentinels had not found each other and the replicas in "
                    f"{SETTLE_SECONDS:g} s"
                ),
            )
            for client in clients:
                _say_hello_every(client, HELLO_MILLIS)
        yield sentinels


def _watch(client: Redis, port: int) -> None:
    _say_hello_every(client, FIRST_HELLO_MILLIS)
    client.sentinel_monitor(SERVICE, LOOPBACK_ADDRESS, port, QUORUM)
    for option, value in OPTIONS.items():
        client.sentinel_set(SERVICE, option, value)


def _say_hello_every(client: Redis, millis: int) -> None:
    client.execute_command("SENTINEL", "DEBUG", "publish-period", millis)  # type: ignore[no-untyped-call]


def _knows_all(client: Redis) -> bool:
    state: Any = client.sentinel_master(SERVICE)
    found = state["num-other-sentinels"], state["num-slaves"]
    return found == (SENTINELS - 1, SERVERS - 1)


@contextmanager
def _master_client(stage: Stage) -> Iterator[Redis]:
    """A client that asks the sentinels who the primary is whenever it connects."""
    from redis.backoff import NoBackoff
    from redis.retry import Retry
    from redis.sentinel import Sentinel

    timeouts = {
        "socket_timeout": CLIENT_TIMEOUT_SECONDS,
        "socket_connect_timeout": CLIENT_TIMEOUT_SECONDS,
    }
    # The writer tries again by itself, at once; redis-py's own retries would wait longer each time.
    options = {**timeouts, "retry": Retry(NoBackoff(), 0)}
    addresses = [
        (LOOPBACK_ADDRESS, server.port) for server in stage.use(_sentinels).servers.values()
    ]
    sentinel = Sentinel(addresses, sentinel_kwargs=dict(options), **options)  # type: ignore[no-untyped-call]
    client: Redis = sentinel.master_for(SERVICE)  # type: ignore[no-untyped-call]
    try:
        yield client
    finally:
        client.close()
        for asked in sentinel.sentinels:
            asked.close()


def sentinel_scene(with_wait: bool, stage: Stage) -> Scene:
    """Native replication under Sentinel; ``with_wait``: a write counts when one replica has
    confirmed it.
    """
    from redis import RedisError

    client = stage.use(_master_client)
    value_bytes = stage.settings.value_bytes
    primary = next(iter(stage.use(native_servers).servers.values()))
    write = _set_and_wait(client, value_bytes) if with_wait else _set(client, value_bytes)
    return Scene(
        primary, write, lambda numbers: _read(client, numbers), (RedisError, OSError, NotConfirmed)
    )


def _set(client: Redis, value_bytes: int) -> Callable[[int], object]:
    return lambda number: client.set(event_key(number), event_value(number, value_bytes))


def _set_and_wait(client: Redis, value_bytes: int) -> Callable[[int], object]:
    def write(number: int) -> None:
        pipeline = client.pipeline(transaction=False)
        pipeline.set(event_key(number), event_value(number, value_bytes))
        pipeline.wait(1, WAIT_MILLIS)
        if pipeline.execute()[-1] < 1:
            raise NotConfirmed

    return write


def _read(client: Redis, numbers: Sequence[int]) -> Sequence[bytes | None]:
    found: Any = client.mget([event_key(number) for number in numbers])
    return found  # type: ignore[no-any-return]
