"""redis-py's clients, opened as its users open them, on servers that are measured."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from redrepl import Coordinator
from redrepl.edges.cluster import endpoints_of
from redrepl.edges.endpoint import Endpoint

if TYPE_CHECKING:
    from redis import Redis


def primary_endpoint(opened: Coordinator[Any, Any]) -> Endpoint:
    """The server that takes this coordinator's writes."""
    configuration, topology = opened.configuration, opened.topology
    wanted = configuration.home or topology.primaries[0]
    return next(e for e in endpoints_of(topology, configuration) if e.node == wanted)


@contextmanager
def client_of(endpoint: Endpoint) -> Iterator[Redis]:
    """redis-py as its users open it."""
    from redis import Redis

    client = Redis.from_url(
        redis_url(endpoint), username=endpoint.username, password=endpoint.password
    )
    try:
        yield client
    finally:
        client.close()


def redis_url(endpoint: Endpoint) -> str:
    """The address in redis-py's spelling, which knows no valkey://."""
    scheme, _, rest = endpoint.reached_at.partition("://")
    return f"{scheme.replace('valkey', 'redis')}://{rest}"
