"""Making a cluster: of fit servers alone; it can be completed before the first write, and never
afterwards.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from redrepl import Administration, Configuration, NodeRole, RequestError
from redrepl.edges.endpoint import split_url
from redrepl.embedded import EmbeddedCluster, ServerBinary
from redrepl.values.keys import CLUSTERS_KEY
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.servers.support.raw import LAYOUT
from tests.support.clients import connect
from tests.support.waiting import wait_until


def forget_membership(cluster: Cluster, node: str) -> None:
    with cluster.raw(node).client as client:
        client.delete(
            LAYOUT.member, LAYOUT.topology, LAYOUT.log, LAYOUT.cursors, LAYOUT.marks, CLUSTERS_KEY
        )


def test_doing_it_again_changes_nothing(cluster: Cluster) -> None:
    cluster.open().set("key", b"v", level="all")
    before = {node: cluster.raw(node).member() for node in "abc"}
    assert cluster.administration.initialise() == dict.fromkeys("abc", "already a member")
    assert {node: cluster.raw(node).member() for node in "abc"} == before


def test_a_run_that_was_cut_off_is_completed(cluster: Cluster) -> None:
    forget_membership(cluster, "c")
    assert cluster.administration.initialise()["c"] == "created"
    assert cluster.open().set("key", b"v", level="all").acked == {"a", "b", "c"}


@pytest.mark.parametrize("node", ["a", "b"])
def test_a_member_that_came_back_empty_is_not_made_anew(cluster: Cluster, node: str) -> None:
    cluster.open().set("key", b"v", level="all")
    cluster[node].restart(empty=True)
    with pytest.raises(RequestError, match=f"at work on .*; {node} came back without membership"):
        cluster.administration.initialise()
    assert cluster.raw(node).member() == {}


def test_a_node_with_records_but_no_membership_is_refused(make_cluster: MakeCluster) -> None:
    cluster = make_cluster()
    cluster.open().set("key", b"v", level="all")
    for node in "abc":
        forget_membership(cluster, node)
    with pytest.raises(RequestError, match=r"holds records of cluster 'shop' .*but no membership"):
        cluster.administration.initialise()
    assert [cluster.raw(node).member() for node in "abc"] == [{}, {}, {}]


@pytest.fixture
def servers(some_binary: ServerBinary) -> Iterator[EmbeddedCluster]:
    """Servers a, b and c that nobody has made a cluster of."""
    with EmbeddedCluster(binary=some_binary) as running:
        yield running


def administration_of(urls: dict[str, str]) -> Administration:
    """Of a cluster that is to be made on these servers, the first of them its primary."""
    endpoints = tuple(split_url(node, url) for node, url in urls.items())
    roles = (NodeRole.PRIMARY, *[NodeRole.REPLICA] * (len(urls) - 1))
    return Administration(Configuration("shop", endpoints, roles))


def told(*command: str) -> Callable[[EmbeddedCluster], str]:
    """Have c's server do this; its address stays."""

    def tell(servers: EmbeddedCluster) -> str:
        with connect(servers["c"]) as client:
            client.execute_command(*command)
        return servers.urls["c"]

    return tell


UNFIT: dict[str, tuple[Callable[[EmbeddedCluster], str], str]] = {
    "one server by two names": (
        lambda servers: servers.urls["b"].replace("127.0.0.1", "localhost"),
        "c: is the same server as node 'b' (they have the same run id)",
    ),
    "two databases of one server": (
        lambda servers: servers.urls["b"][:-1] + "1",
        "c: is the same server as node 'b' (they have the same run id)",
    ),
    "a native replica": (
        told("REPLICAOF", "127.0.0.1", "1"),
        "c: is a native replica of 127.0.0.1:1",
    ),
    "a server that evicts": (
        told("CONFIG", "SET", "maxmemory-policy", "allkeys-lru"),
        "c: evicts keys when memory is full (maxmemory-policy allkeys-lru)",
    ),
}


@pytest.mark.parametrize("kind", list(UNFIT))
def test_servers_that_cannot_be_nodes_are_refused_and_named_and_nothing_is_written(
    servers: EmbeddedCluster, kind: str
) -> None:
    make_unfit, said = UNFIT[kind]
    with administration_of({**servers.urls, "c": make_unfit(servers)}) as administration:
        with pytest.raises(RequestError) as refused:
            administration.initialise()
        assert said in str(refused.value)
        assert [node for node in "abc" if f"{node}: " in str(refused.value)] == ["c"]
        assert list(administration.unfit_servers()) == ["c"]
    for node in "abc":
        with connect(servers[node]) as client:
            assert client.info("keyspace") == {}, "nothing was written"


def test_a_server_that_has_native_replicas_is_refused(servers: EmbeddedCluster) -> None:
    with connect(servers["c"]) as client:
        client.execute_command("REPLICAOF", "127.0.0.1", str(servers["a"].port))
    with administration_of({node: servers.urls[node] for node in "ab"}) as administration:
        wait_until(administration.unfit_servers, 30, "the replica is attached")
        with pytest.raises(RequestError, match="a: has 1 native replicas attached"):
            administration.initialise()
