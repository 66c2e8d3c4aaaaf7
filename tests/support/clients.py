"""Plain clients of embedded servers, which never retry behind a test's back."""

from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

from redrepl.embedded import EmbeddedServer


def connect(server: EmbeddedServer, timeout_seconds: float = 5.0, **options: Any) -> "redis.Redis":
    """A client of `server` with one attempt per command, without TLS also where other clients need it."""
    url = getattr(server, "plain_url", server.url)
    return redis.Redis.from_url(url, socket_timeout=timeout_seconds, retry=Retry(NoBackoff(), 0), **options)
