"""The calls that several groups time."""

from __future__ import annotations

from typing import TYPE_CHECKING

from redrepl import Coordinator
from redrepl_cli.bench.settings import plain_key, single_key
from redrepl_cli.bench.subjects import TakeTurn, each_call

if TYPE_CHECKING:
    from redis import Redis

Store = Coordinator[str, bytes]


def plain_sets(client: Redis, value: bytes) -> TakeTurn:
    """redis-py's `set` on one server."""
    return each_call(lambda number: client.set(plain_key(single_key(number)), value))


def plain_gets(client: Redis) -> TakeTurn:
    """redis-py's `get` on one server."""
    return each_call(lambda number: client.get(plain_key(single_key(number))))


def store_sets(store: Store, value: bytes, level: str = "quorum") -> TakeTurn:
    """redrepl's `set`."""
    return each_call(lambda number: store.set(single_key(number), value, level=level))


def store_gets(store: Store, level: str) -> TakeTurn:
    """redrepl's `get`."""
    return each_call(lambda number: store.get(single_key(number), level=level))
