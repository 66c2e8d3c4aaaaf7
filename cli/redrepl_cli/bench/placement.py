"""Where servers of yours are, seen from this process: on this machine or not, and how far away."""

from __future__ import annotations

import socket
from collections.abc import Mapping
from contextlib import suppress
from statistics import median
from time import perf_counter
from typing import NamedTuple
from urllib.parse import urlsplit

from redrepl import Coordinator
from redrepl.edges.cluster import endpoints_of
from redrepl.edges.endpoint import Endpoint
from redrepl_cli.bench.clients import redis_url
from redrepl_cli.bench.settings import Settings

PINGS = 50
"""Calls of which the round trip time is the median."""


class Placement(NamedTuple):
    """Round trip of a PING to each server in microseconds, None where it did not answer; and those
    at addresses of this machine.

    Empty for embedded servers, which are all here.
    """

    round_trip_micros: Mapping[str, float | None]
    here: tuple[str, ...]


EMBEDDED = Placement({}, ())


def find_placement(settings: Settings) -> Placement:
    """Look where the servers of the run are. Raises Unavailable where no member answers."""
    own = settings.own
    if own is None:
        return EMBEDDED
    with Coordinator[str, bytes](own) as coordinator:
        endpoints = endpoints_of(coordinator.topology, own)
    times = {endpoint.node: _round_trip(endpoint, own.timeout_seconds) for endpoint in endpoints}
    return Placement(
        times, tuple(endpoint.node for endpoint in endpoints if is_here(endpoint.reached_at))
    )


def _round_trip(endpoint: Endpoint, timeout_seconds: float) -> float | None:
    from redis import Redis, RedisError, ResponseError
    from redis.backoff import NoBackoff
    from redis.retry import Retry

    client = Redis.from_url(
        redis_url(endpoint),
        username=endpoint.username,
        password=endpoint.password,
        socket_timeout=timeout_seconds,
        socket_connect_timeout=timeout_seconds,
        retry=Retry(NoBackoff(), 0),
    )
    times = []
    try:
        for _ in range(PINGS + 1):
            start = perf_counter()
            with suppress(
                ResponseError
            ):  # a login that may not PING is told so, which takes as long
                client.ping()
            times.append(perf_counter() - start)
    except RedisError:
        return None
    finally:
        client.close()
    return median(times[1:]) * 1e6  # the first one opened the connection


def is_here(url: str) -> bool:
    """Whether the address is one of this machine's.

    A tunnel's end is too: there the round trip time tells.
    """
    parts = urlsplit(url)
    if parts.scheme == "unix":
        return True
    try:
        found = socket.getaddrinfo(parts.hostname, None, type=socket.SOCK_STREAM)
    except OSError:
        return False
    return any(_can_listen(family, address[0]) for family, _, _, _, address in found)


def _can_listen(family: int, host: str | int) -> bool:
    """Only addresses of one's own can be bound."""
    try:
        with socket.socket(family, socket.SOCK_STREAM) as probe:
            probe.bind((host, 0))
    except OSError:
        return False
    return True
