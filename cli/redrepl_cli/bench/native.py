"""Native replication, for SET followed by WAIT: embedded servers that follow one of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from redrepl.embedded import EmbeddedCluster
from redrepl.embedded.configuration import LOOPBACK_ADDRESS
from redrepl_cli.bench.clients import client_of
from redrepl_cli.bench.servers import configuration_of, embedded_servers
from redrepl_cli.bench.settings import plain_key, single_key
from redrepl_cli.bench.stage import CannotMeasure, Stage
from redrepl_cli.bench.waiting import await_until

if TYPE_CHECKING:
    from redis import Redis

SERVERS = 3
"""A primary and two replicas."""

SYNC_SECONDS = 15.0
"""For both replicas to be synced; an empty primary takes up to a second."""

LOOK_MILLIS = 100
"""How long each look whether they are waits for them."""

WAIT_MILLIS = 1000
"""The time-out given to WAIT; as long as redrepl's own."""

# By default a primary waits five seconds for more replicas before it sends its data, and a replica
# may take a second to notice that it has received them in a file.
_AT_ONCE = ("--repl-diskless-sync-delay", "0", "--repl-diskless-load", "on-empty-db")


@contextmanager
def native_servers(stage: Stage) -> Iterator[EmbeddedCluster]:
    """A primary `a` with its replicas, synced."""
    with embedded_servers(stage.settings, SERVERS, *_AT_ONCE) as servers:
        primary, *replicas = configuration_of(servers.urls).endpoints
        for replica in replicas:
            with client_of(replica) as client:
                client.replicaof(LOOPBACK_ADDRESS, str(servers[primary.node].port))
        with client_of(primary) as client:
            _await_replicas(client)
        yield servers


@contextmanager
def native_primary(stage: Stage) -> Iterator[Redis]:
    """redis-py on the primary of native replication."""
    servers = stage.use(native_servers)
    with client_of(configuration_of(servers.urls).endpoints[0]) as client:
        yield client


def _await_replicas(client: Redis) -> None:
    """Until both have confirmed a write: each side counts the other as connected some time before
    writes go there.
    """
    client.set(plain_key("synced"), b"")

    def confirmed() -> int:
        return int(client.wait(SERVERS - 1, LOOK_MILLIS))

    await_until(
        lambda: confirmed() == SERVERS - 1,
        SYNC_SECONDS,
        lambda: (
            f"only {confirmed()} of {SERVERS - 1} native replicas were synced in {SYNC_SECONDS:g} s"
        ),
    )


def set_then_wait(client: Redis, value: bytes, replicas: int) -> Callable[[int], None]:
    """SET and WAIT as two calls."""

    def call(number: int) -> None:
        client.set(plain_key(single_key(number)), value)
        _check(client.wait(replicas, WAIT_MILLIS), replicas)

    return call


def set_and_wait_in_pipeline(client: Redis, value: bytes, replicas: int) -> Callable[[int], None]:
    """SET and WAIT sent together."""

    def call(number: int) -> None:
        pipeline = client.pipeline(transaction=False)
        pipeline.set(plain_key(single_key(number)), value)
        pipeline.wait(replicas, WAIT_MILLIS)
        _check(pipeline.execute()[-1], replicas)

    return call


def _check(confirmed: Any, replicas: int) -> None:
    if confirmed < replicas:
        raise CannotMeasure(f"WAIT {replicas} was confirmed by {confirmed} replicas only")
