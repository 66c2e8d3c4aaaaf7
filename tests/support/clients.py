"""Plain clients of embedded servers, which never retry behind a test's back."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from redrepl.embedded import EmbeddedServer


def connect(server: EmbeddedServer, timeout_seconds: float = 5.0, **options: Any) -> "redis.Redis":
    """A client of `server` with one attempt per command, without TLS also where other clients need
    it.
    """
    url = getattr(server, "plain_url", server.url)
    return redis.Redis.from_url(
        url, socket_timeout=timeout_seconds, retry=Retry(NoBackoff(), 0), **options
    )


def connect_as(client: "redis.Redis", username: str) -> "redis.Redis":
    """A client of the same server with another login, which has no password."""
    options = {**client.connection_pool.connection_kwargs, "username": username, "password": "any"}
    return redis.Redis(
        connection_pool=redis.ConnectionPool(client.connection_pool.connection_class, **options)
    )
