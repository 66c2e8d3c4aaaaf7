"""Adding and removing nodes while clients write."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace

import pytest

from redrepl import (
    Administration,
    Configuration,
    NodeRole,
    Outcome,
    RedreplError,
    RequestError,
    Unavailable,
    WriteReceipt,
)
from redrepl.edges.endpoint import split_url
from redrepl.embedded import EmbeddedServer
from redrepl.values.stamp import Stamp
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.servers.support.raw import LAYOUT
from tests.servers.support.sending import send_write
from tests.servers.support.writers import Writers
from tests.servers.test_client_killed import some_record
from tests.support.program_clocks import physical_clock
from tests.support.waiting import wait_until


def add(cluster: Cluster, name: str) -> EmbeddedServer:
    server = cluster.spare(name)
    cluster.administration.add_node(split_url(name, server.url))
    return server


def slow_administration(cluster: Cluster) -> Administration:
    """One whose orders reach the replicas late: the primary is in the new epoch for a good while
    before them.
    """
    proxies = {node: cluster.proxy(node) for node in "bc"}
    for proxy in proxies.values():
        proxy.delay(0.05)
    urls = {node: proxy.url() for node, proxy in proxies.items()}
    administration = Administration(cluster.configuration(urls))
    administration.find_members()
    return cluster.stack.enter_context(administration)


def test_a_node_is_added_while_clients_write(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" for number in range(1000)}, level="all")
    server = cluster.spare("d")
    administration = slow_administration(cluster)
    with Writers(store, 3) as writers:
        writers.wait_more(100)
        administration.add_node(split_url("d", server.url))
        writers.wait_more(100)
    assert writers.errors == [], "no quorum write fails because of the new epoch"


def test_a_node_is_removed_while_clients_write(cluster: Cluster) -> None:
    store = cluster.open()
    administration = slow_administration(cluster)
    with Writers(store, 3) as writers:
        writers.wait_more(100)
        administration.remove_node("c")
        writers.wait_more(100)
    assert writers.errors == [], "no quorum write fails because of the new epoch"


def test_clients_follow_to_a_new_node_and_it_is_filled_while_they_write(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" for number in range(1000)}, level="all")
    cluster.ticker()
    with Writers(store, 2) as writers:
        writers.wait_more(100)
        add(cluster, "d")
        cluster.wait_active("d")
        wait_until(
            lambda: "d" in store.set("probe", b"1", level="all").acked, message="d confirms writes"
        )
    assert store.topology.ids == ("a", "b", "c", "d")
    cluster.wait_settled()
    cluster.nodes = ("a", "b", "c", "d")
    assert len(cluster.values_everywhere()) > 1000


def test_clients_follow_when_a_node_is_removed(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    cluster.administration.remove_node("c")
    wait_until(
        lambda: store.set("probe", b"1", level="all").acked == {"a", "b"}, message="they follow"
    )
    assert store.topology.ids == ("a", "b")
    assert cluster.raw("c").stored("probe") is None
    assert cluster.raw("c").member() == {}
    cluster.nodes = ("a", "b")
    cluster.settle()
    cluster.assert_identical()


def test_the_write_that_meets_a_larger_cluster_needs_its_larger_quorum(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    add(cluster, "d")
    cluster.settle()
    assert store.set("key", b"w", level="quorum").required == 2, "a majority of four"


def test_the_write_that_meets_a_larger_cluster_reaches_the_new_node(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    add(cluster, "d")
    cluster.settle()
    assert store.set("key", b"w", level="all").acked == {"a", "b", "c", "d"}


def test_the_write_that_meets_a_smaller_cluster_needs_no_more_than_it_has(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    cluster.administration.remove_node("c")
    assert store.set("key", b"w", level="all").acked == {"a", "b"}


def test_writes_of_an_old_epoch_are_refused_everywhere(cluster: Cluster) -> None:
    add(cluster, "d")
    cluster.settle()
    for node in "abcd":
        answer = send_write(cluster[node], "late", some_record(cluster), epoch=1)
        assert answer == [b"refused", b"2", b"active"]
        assert cluster.raw(node).stored("late") is None


def test_a_member_that_was_down_when_the_epoch_changed_is_brought_over(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    cluster["c"].kill()
    add(cluster, "d")
    cluster.bring_up("b")
    cluster.bring_up("d")
    cluster["c"].start()
    assert cluster.raw("c").member()["epoch"] == "1"
    assert "c" not in store.set("key", b"w", level="one").acked
    cluster.settle()
    assert cluster.raw("c").member()["epoch"] == "2"
    wait_until(lambda: "c" in store.set("key", b"x", level="all").acked, message="c confirms again")


def test_a_client_that_only_reads_leaves_a_removed_node(cluster: Cluster) -> None:
    store, reader = cluster.open(), cluster.open()
    keys = [f"key-{number}" for number in range(20)]
    store.set_many(dict.fromkeys(keys, b"old"), level="all")
    assert [reader.get(key, prefer="replica") for key in keys] == [b"old"] * 20
    cluster.administration.remove_node("c")
    wait_until(
        lambda: store.set_many(dict.fromkeys(keys, b"new"), level="all"),
        message="the writer follows",
    )
    wait_until(
        lambda: [reader.get(key, prefer="replica") for key in keys] == [b"new"] * 20,
        4,
        "the removed node is left",
    )


def test_a_removed_node_can_be_added_again_with_its_old_records(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"old" for number in range(50)}, level="all")
    cluster.administration.remove_node("c")
    store.delete_many([f"key-{number}" for number in range(25)])
    store.set_many({f"key-{number}": b"new" for number in range(25, 40)})
    cluster.administration.add_node(split_url("c", cluster["c"].url))
    cluster.settle()
    assert len(cluster.values_everywhere()) == 25


def test_a_node_of_another_cluster_is_refused(make_cluster: MakeCluster) -> None:
    cluster, other = make_cluster(), make_cluster(count=2)
    record = some_record(other, b"theirs")
    other.raw("b").put("key", record.encode())
    before = {node: other.raw(node).member() for node in "ab"}
    stranger = replace(cluster.configuration(), cluster="bakery")
    with (
        Administration(stranger) as administration,
        pytest.raises(RequestError, match="belongs to cluster 'shop'"),
    ):
        administration.initialise()
    with pytest.raises(RequestError, match="is node 'b' of a cluster 'shop', not 'd'"):
        cluster.administration.add_node(split_url("d", other["b"].url))
    assert {node: other.raw(node).member() for node in "ab"} == before


@pytest.mark.parametrize("what", ["another cluster's", "not there"])
def test_a_node_that_is_refused_changes_nothing(make_cluster: MakeCluster, what: str) -> None:
    cluster, other = make_cluster(), make_cluster(count=2)
    url = other["b"].url
    if what == "not there":
        other["b"].kill()
    with pytest.raises(RedreplError):
        cluster.administration.add_node(split_url("d", url))
    assert [cluster.raw(node).member()["epoch"] for node in "abc"] == ["1", "1", "1"]
    assert cluster.open().topology.ids == ("a", "b", "c")


def test_a_member_of_a_cluster_of_another_name_is_refused(cluster: Cluster) -> None:
    server = cluster.spare("d")
    with Administration(
        Configuration("bakery", (split_url("x", server.url),), (NodeRole.PRIMARY,))
    ) as bakery:
        bakery.initialise()
    with pytest.raises(RequestError, match="belongs to cluster 'bakery'"):
        cluster.administration.add_node(split_url("d", server.url))
    assert cluster.raw("d").member() == {}


def test_strangers_cannot_be_removed(cluster: Cluster) -> None:
    with pytest.raises(RequestError, match="is no member"):
        cluster.administration.remove_node("x")


def test_a_restamp_of_a_new_epoch_is_never_one_of_the_old(cluster: Cluster) -> None:
    store = cluster.open()
    stamps: set[Stamp] = set()
    for _ in range(3):
        with cluster.raw("a").client as client:
            client.hset(LAYOUT.member, "probe", 1)
        stamps.add(store.set("key", b"v", level="all").stamp)
        behind = cluster.open()
        physical_clock(behind).offset_micros = -1_000_000
        stamps.add(behind.set("key", b"w", level="all").stamp)
        cluster.administration.remove_node("c")
        cluster.administration.add_node(split_url("c", cluster["c"].url))
        cluster.settle()
    assert len(stamps) == 6


def _in_a_batch(store: Store) -> list[WriteReceipt]:
    results: list[WriteReceipt] = (
        store.batch(timeout_seconds=2.9).set("x", b"1").delete("y").execute()
    )
    return results


def _as_changes_in_a_batch(store: Store) -> list[WriteReceipt]:
    results: list[WriteReceipt] = (
        store.batch(timeout_seconds=2.9).add("x", b"1").add("z", b"1").execute()
    )
    return results


def _in_a_transaction(store: Store) -> list[WriteReceipt]:
    receipts = store.transaction(timeout_seconds=2.9).set("x", b"1").increment("n").commit()
    return list(receipts.values())


def _as_many(store: Store) -> list[WriteReceipt]:
    return list(store.set_many({"x": b"1", "y": b"2"}, timeout_seconds=2.9).values())


@pytest.mark.parametrize(
    "write", [_in_a_batch, _as_changes_in_a_batch, _in_a_transaction, _as_many]
)
def test_what_the_primary_took_just_before_a_change_of_members_is_looked_up(
    cluster: Cluster, write: Callable[[Store], list[WriteReceipt]]
) -> None:
    proxies = {node: cluster.proxy(node) for node in "bc"}
    store = cluster.open({node: proxy.url() for node, proxy in proxies.items()})
    store.set("warm", b"up", level="all")
    server = cluster.spare("d")
    for proxy in proxies.values():
        proxy.blackhole()
    with ThreadPoolExecutor(1) as threads:
        writing = threads.submit(write, store)
        wait_until(lambda: cluster.raw("a").stored("x") is not None, message="the primary took it")
        cluster.administration.add_node(split_url("d", server.url))
        for proxy in proxies.values():
            proxy.heal()
        receipts = writing.result()
    assert {receipt.outcome for receipt in receipts} == {Outcome.COMMITTED}
    assert store.topology.epoch == 2
    cluster.settle()
    assert cluster.raw("a").values()[b"x"] == b"1"
    cluster.assert_identical()


def test_a_primary_that_is_removed_hands_its_role_over_first(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" for number in range(500)}, level="async")
    done = cluster.administration.remove_node("a")
    assert done["a"].startswith("taken out")
    assert store.set("key-0", b"after").outcome is Outcome.COMMITTED
    assert "a" not in store.topology.ids
    assert store.get("key-499", level="quorum") == b"v"


def test_a_node_goes_only_when_enough_of_the_others_have_everything(cluster: Cluster) -> None:
    """What is committed on the primary and the one that goes would stand on the primary alone."""
    store = cluster.open()
    cluster["b"].kill()
    store.set("key", b"v")
    with pytest.raises(Unavailable, match="1 of the other replicas must be brought up first"):
        cluster.administration.remove_node("c")
    cluster["b"].start()
    cluster.settle()
    cluster.administration.remove_node("c")
    assert cluster.raw("b").values() == {b"key": b"v"}
