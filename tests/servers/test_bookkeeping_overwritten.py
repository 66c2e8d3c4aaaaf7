"""Something of another type was put where a node keeps its bookkeeping: it is made anew, and nothing is lost."""

from __future__ import annotations

from contextlib import suppress

import pytest

from redrepl import Administration, RedreplError
from redrepl.values.keys import CLUSTERS_KEY, KeyLayout
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until

LAYOUT = KeyLayout("shop")
NAMES = {name: key for name, key in vars(LAYOUT).items() if isinstance(key, bytes) and name != "data_prefix"}
NAMES |= {"clusters": CLUSTERS_KEY}
NEEDED_TO_SERVE = ("member", "log")


def overwrite(cluster: Cluster, node: str, name: str) -> None:
    """Put a list there, or a string where a list belongs."""
    with cluster.raw(node).client as client:
        client.delete(NAMES[name])
        if name in ("checkpoints", "discarded"):
            client.set(NAMES[name], "x")
        else:
            client.rpush(NAMES[name], "x")


@pytest.mark.parametrize(
    ("node", "names"),
    [("c", list(NAMES)), ("a", [name for name in NAMES if name not in NEEDED_TO_SERVE])],
)
def test_what_was_overwritten_is_made_anew(cluster: Cluster, node: str, names: list[str]) -> None:
    store = cluster.open()
    for name in names:
        store.set("key", b"before", level="all")
        overwrite(cluster, node, name)
        assert "a" in store.set("key", name.encode()).acked, name
        cluster.settle()
        assert cluster.values_everywhere() == {b"key": name.encode()}, name
    with cluster.raw("c").client as client:
        client.flushall()
    cluster.settle()
    assert cluster.administration.failover("b").primary == "b"
    wait_until(lambda: store.set("key", b"end", level="all").acked == {"a", "b", "c"}, message="all confirm")


def test_a_worker_that_connects_afterwards_fills_it(cluster: Cluster) -> None:
    cluster.open().set("key", b"1", level="all")
    overwrite(cluster, "c", "member")
    with Administration(cluster.configuration()) as administration:
        wait_until(lambda: administration.bring_up("c").activated, message="c is active")
    assert cluster.values_everywhere() == {b"key": b"1"}


def test_a_primary_takes_writes_whatever_was_put_where_they_are_tried(cluster: Cluster) -> None:
    for name in ("probe", "no_stream", "no_string"):
        overwrite(cluster, "a", name)
        status = cluster.administration.status(look_at_keys=False)
        assert status.nodes[0].takes_writes, name


def test_a_server_whose_list_of_clusters_is_none_is_filled(cluster: Cluster) -> None:
    """The list is all that a restart without data can leave there."""
    store = cluster.open()
    store.set("key", b"1", level="all")
    with cluster.raw("c").client as client:
        client.flushall()
        client.set(CLUSTERS_KEY, "x")
    cluster.settle()
    assert cluster.values_everywhere() == {b"key": b"1"}
    with cluster.raw("c").client as client:
        assert client.hgetall(CLUSTERS_KEY) == {b"shop": b"c"}


@pytest.mark.parametrize("name", NEEDED_TO_SERVE)
def test_a_primary_that_cannot_serve_without_it_is_replaced(cluster: Cluster, name: str) -> None:
    store = cluster.open()
    store.set("key", b"1", level="all")
    cluster.monitor()
    overwrite(cluster, "a", name)

    def is_written() -> bool:
        with suppress(RedreplError):
            return bool(store.set("key", b"2").acked)
        return False

    wait_until(is_written, 20, "another primary takes writes")
    assert store.topology.decider != "a"
    cluster.settle()
    assert cluster.values_everywhere() == {b"key": b"2"}
