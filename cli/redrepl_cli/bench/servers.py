"""Clusters and clients that groups measure on; each opener is for `Stage.use`."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from redrepl import Administration, Configuration, Coordinator, NodeRole
from redrepl.edges.endpoint import split_url
from redrepl.embedded import EmbeddedCluster, find_server_binary
from redrepl_cli.bench.cleaning import sweep
from redrepl_cli.bench.clients import client_of, primary_endpoint
from redrepl_cli.bench.settings import Settings
from redrepl_cli.bench.stage import CannotMeasure, Stage

if TYPE_CHECKING:
    from redis import Redis

CLUSTER = "redrepl-bench"


@dataclass(frozen=True, slots=True)
class Cluster:
    """A running cluster. ``servers`` None: they are yours, and stay as they are."""

    configuration: Configuration
    servers: EmbeddedCluster | None


@contextmanager
def embedded_servers(settings: Settings, count: int, *arguments: str) -> Iterator[EmbeddedCluster]:
    """Servers of the run's own. Raises CannotMeasure where the run is on servers of yours."""
    if settings.own is not None:
        raise CannotMeasure("needs servers of its own; this run is on the servers of --config")
    binary = settings.binary or find_server_binary()
    with EmbeddedCluster(count, binary=binary, extra_arguments=arguments) as servers:
        yield servers


@contextmanager
def embedded_cluster(settings: Settings, copies: int) -> Iterator[Cluster]:
    """A cluster of the run's own."""
    with embedded_servers(settings, copies) as servers:
        configuration = configuration_of(servers.urls)
        initialise(configuration)
        yield Cluster(configuration, servers)


def configuration_of(urls: dict[str, str]) -> Configuration:
    """A primary and its replicas behind these addresses."""
    endpoints = tuple(split_url(node, url) for node, url in urls.items())
    return Configuration(
        CLUSTER, endpoints, (NodeRole.PRIMARY, *[NodeRole.REPLICA] * (len(urls) - 1))
    )


def initialise(configuration: Configuration) -> None:
    """Make the servers a cluster."""
    with Administration(configuration) as administration:
        administration.initialise()


@contextmanager
def cluster(stage: Stage) -> Iterator[Cluster]:
    """The cluster that the run is about: yours, swept at the end, or an embedded one."""
    own = stage.settings.own
    if own is None:
        with embedded_cluster(stage.settings, stage.settings.copies) as made:
            yield made
        return
    # No worker needs to be woken for what is deleted a moment later: what a copy lacks, the tick
    # finds.
    configuration = replace(own, queue_url=None)
    try:
        yield Cluster(configuration, None)
    finally:
        sweep(configuration)


@contextmanager
def coordinator(stage: Stage) -> Iterator[Coordinator[str, bytes]]:
    """The blocking coordinator on the run's cluster."""
    with Coordinator[str, bytes](stage.use(cluster).configuration) as opened:
        yield opened


@contextmanager
def plain(stage: Stage) -> Iterator[Redis]:
    """redis-py on the primary's server alone."""
    with client_of(primary_endpoint(stage.use(coordinator))) as client:
        yield client
