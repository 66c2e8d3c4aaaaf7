"""Servers a millisecond away: how many round trips an operation takes.

The delay lies between the client and each server. Native replicas stand beside their primary,
without a delay between them, which favours WAIT.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial

from redis import Redis

from redrepl.edges.endpoint import split_url
from redrepl.embedded import EmbeddedCluster
from redrepl.embedded.configuration import LOOPBACK_ADDRESS
from redrepl_cli.bench.calls import Store, plain_sets, store_sets
from redrepl_cli.bench.clients import client_of, primary_endpoint
from redrepl_cli.bench.delay import delayed
from redrepl_cli.bench.native import native_servers, set_and_wait_in_pipeline, set_then_wait
from redrepl_cli.bench.servers import configuration_of, embedded_servers, initialise
from redrepl_cli.bench.stage import Stage
from redrepl_cli.bench.subjects import Group, Spec, TakeTurn, each_call

SECONDS = 0.001
"""In each direction: a round trip takes two milliseconds, as between data centres of one region."""

SHARE = 1 / 10
"""A call takes some twenty times as long as one without a delay."""

DIRECT = "redis-py set, no proxy"
NO_DELAY = "redis-py set, proxy alone"
SET = "redis-py set, 1 ms away"

PRIMARY = "a"
"""What the first embedded server is called, here and in native replication."""


@contextmanager
def _servers(stage: Stage) -> Iterator[EmbeddedCluster]:
    with embedded_servers(stage.settings, stage.settings.copies) as servers:
        yield servers


@contextmanager
def _far_store(stage: Stage) -> Iterator[Store]:
    servers = stage.use(_servers).servers
    with delayed([server.port for server in servers.values()], SECONDS) as ports:
        configuration = configuration_of(dict(zip(servers, map(_url, ports), strict=True)))
        initialise(configuration)
        with Store(configuration) as store:
            yield store


@contextmanager
def _far_client(stage: Stage) -> Iterator[Redis]:
    with client_of(primary_endpoint(stage.use(_far_store))) as client:
        yield client


@contextmanager
def _far_native(stage: Stage) -> Iterator[Redis]:
    with (
        delayed([stage.use(native_servers)[PRIMARY].port], SECONDS) as (port,),
        _client(port) as client,
    ):
        yield client


@contextmanager
def _near_client(stage: Stage) -> Iterator[Redis]:
    with _client(stage.use(_servers)[PRIMARY].port) as client:
        yield client


@contextmanager
def _proxied_client(stage: Stage) -> Iterator[Redis]:
    with delayed([stage.use(_servers)[PRIMARY].port], 0.0) as (port,), _client(port) as client:
        yield client


def _client(port: int) -> AbstractContextManager[Redis]:
    return client_of(split_url(PRIMARY, _url(port)))


def _url(port: int) -> str:
    return f"redis://{LOOPBACK_ADDRESS}:{port}/0"


def _plain(opener: Callable[[Stage], AbstractContextManager[Redis]], stage: Stage) -> TakeTurn:
    return plain_sets(stage.use(opener), stage.settings.value)


def _wait(how: Callable[..., Callable[[int], None]], stage: Stage) -> TakeTurn:
    return each_call(how(stage.use(_far_native), stage.settings.value, 1))


DISTANCE = Group(
    "delay",
    "servers 1 ms away in each direction",
    (
        Spec(DIRECT, partial(_plain, _near_client), share=SHARE),
        Spec(NO_DELAY, partial(_plain, _proxied_client), share=SHARE),
        Spec(SET, partial(_plain, _far_client), share=SHARE),
        Spec(
            "set QUORUM",
            lambda s: store_sets(s.use(_far_store), s.settings.value),
            (SET,),
            share=SHARE,
        ),
        Spec(
            "SET + WAIT 1, pipeline", partial(_wait, set_and_wait_in_pipeline), (SET,), share=SHARE
        ),
        Spec("SET + WAIT 1, two calls", partial(_wait, set_then_wait), (SET,), share=SHARE),
    ),
)
"""The first two show what the proxy itself adds."""
