"""One job per node at a time, across workers.

A lease only saves work: two at once would do no harm.

So none is respected for ever: whoever may write to the queue could hold it.
"""

from __future__ import annotations

import secrets
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any

from redis.exceptions import RedisError

LEASE_SECONDS = 15.0
"""A worker that dies holds others up for at most this long."""

ONE_JOB_SECONDS = 120.0
"""No job takes so long: a lease that has one holder for longer is none of a worker's, and is not
respected.
"""

RESPECT_SECONDS = 600.0
"""A lease that others hold all the time, whoever they are, is not respected after so long."""

UNSEEN_SECONDS = 30.0
"""A lease that was not looked at for so long may have been free meanwhile."""

_LEASE_TOKEN_BYTES = 64

_RELEASE = (
    "if redis.call('GET', KEYS[1]) == ARGV[1] then return redis.call('DEL', KEYS[1]) end return 0"
)
_RENEW = """
local holder = redis.call('GET', KEYS[1])
if holder and holder ~= ARGV[1] then return 0 end
redis.call('SET', KEYS[1], ARGV[1], 'PX', ARGV[2])
return 1
"""


class Lease:
    """A lease that was obtained, or none where the queue's Redis does not answer (then everybody
    may go on).
    """

    def __init__(self, connection: Any, key: str, token: str) -> None:
        self._connection = connection
        self._key = key
        self._token = token
        self._is_lost = False

    def renew(self) -> bool:
        """Hold it for another LEASE_SECONDS; False where it had run out and another worker holds it
        by now.
        """
        if self._is_lost:
            return True
        try:
            return bool(
                self._connection.eval(_RENEW, 1, self._key, self._token, int(LEASE_SECONDS * 1000))
            )
        except (
            RedisError
        ):  # without the queue there is nobody to keep out, and it is not asked again
            self._is_lost = True
            return True

    def release(self) -> None:
        """Let others go on."""
        if self._is_lost:
            return
        with suppress(RedisError):  # it runs out by itself
            self._connection.eval(_RELEASE, 1, self._key, self._token)


@dataclass(slots=True)
class _Held:
    """A lease that others hold: by which token, since when that one, since when any, and when it
    was looked at.
    """

    token: bytes
    token_since: float
    since: float
    seen_at: float


class Holders:
    """For how long others have been seen to hold leases. ``now``: a clock in seconds."""

    def __init__(self, now: Callable[[], float] = time.monotonic) -> None:
        self._now = now
        self._held: dict[str, _Held] = {}

    def forget(self, key: str) -> None:
        """The lease was free."""
        self._held.pop(key, None)

    def is_respected(self, key: str, token: bytes) -> bool:
        """Whether the lease that this token has now keeps us from working."""
        now = self._now()
        held = self._held.get(key)
        if held is None or now - held.seen_at > UNSEEN_SECONDS:
            held = self._held[key] = _Held(token, now, now, now)
        if held.token != token:
            held.token, held.token_since = token, now
        held.seen_at = now
        return now - held.since < RESPECT_SECONDS and now - held.token_since < ONE_JOB_SECONDS


@contextmanager
def lease(
    connection: Any | None, cluster: str, node: str, holders: Holders | None = None
) -> Iterator[Lease | None]:
    """The lease on a node while the block runs, None where another worker holds it."""
    key, token = f"redrepl:lease:{cluster}:{node}", secrets.token_hex(8)
    holders = holders or Holders()
    held = _obtain(connection, key, token, holders)
    if held is None:
        yield None
        return
    try:
        yield held
    finally:
        held.release()


def _obtain(connection: Any | None, key: str, token: str, holders: Holders) -> Lease | None:
    if connection is None:
        return _NoLease()
    try:
        if connection.set(key, token, nx=True, px=int(LEASE_SECONDS * 1000)):
            holders.forget(key)
            return Lease(connection, key, token)
        other = connection.getrange(key, 0, _LEASE_TOKEN_BYTES)
    except RedisError:  # it is away, takes no writes, or what is there is of another kind
        return _NoLease()
    return None if holders.is_respected(key, other) else _NoLease()


class _NoLease(Lease):
    """For workers without a queue."""

    def __init__(self) -> None:
        super().__init__(None, "", "")

    def renew(self) -> bool:
        """Nothing to hold."""
        return True

    def release(self) -> None:
        """Nothing to let go."""
