"""One job per node at a time, across workers. A lease only saves work: two at once would do no harm."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

from redis.exceptions import RedisError

LEASE_SECONDS = 15.0
"""A worker that dies holds others up for at most this long."""

_RELEASE = "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


class Lease:
    """A lease that was obtained, or none where the queue's Redis does not answer (then everybody may go on)."""

    def __init__(self, connection: Any, key: str, token: str) -> None:
        self._connection = connection
        self._key = key
        self._token = token

    def renew(self) -> bool:
        """Hold it for another LEASE_SECONDS; False where it had run out and another worker holds it by now."""
        try:
            return bool(self._connection.eval(_RENEW, 1, self._key, self._token, int(LEASE_SECONDS * 1000)))
        except RedisError:  # without the queue there is nobody to keep out
            return True

    def release(self) -> None:
        """Let others go on."""
        with suppress(RedisError):  # it runs out by itself
            self._connection.eval(_RELEASE, 1, self._key, self._token)


@contextmanager
def lease(connection: Any | None, cluster: str, node: str) -> Iterator[Lease | None]:
    """The lease on a node while the block runs, None where another worker holds it."""
    key, token = f"redrepl:lease:{cluster}:{node}", secrets.token_hex(8)
    obtained = True
    if connection is not None:
        with suppress(RedisError):
            obtained = bool(connection.set(key, token, nx=True, px=int(LEASE_SECONDS * 1000)))
    if not obtained:
        yield None
        return
    held = Lease(connection, key, token) if connection is not None else _NoLease()
    try:
        yield held
    finally:
        held.release()


class _NoLease(Lease):
    """For workers without a queue."""

    def __init__(self) -> None:
        super().__init__(None, "", "")

    def renew(self) -> bool:
        """Nothing to hold."""
        return True

    def release(self) -> None:
        """Nothing to let go."""
