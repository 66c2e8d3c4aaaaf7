"""QUORUM with three servers: the loss of one replica fails no write, and it catches up by itself
when it is back.
"""

from __future__ import annotations

from collections.abc import Callable

import pytest

from redrepl import Outcome
from redrepl.embedded import EmbeddedServer, ServerBinary
from redrepl.embedded.proxy import TcpProxy
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import TIMEOUT_SECONDS, Cluster, Store
from tests.servers.support.writers import Writers

SCHEDULING_SECONDS = 2.0
"""Slack of a loaded machine on top of an operation's own time-out."""

Fault = Callable[[EmbeddedServer], None]


def write_through(store: Store, start: int, count: int, level: str = "quorum") -> None:
    """Writes and deletes that must all commit, each within its time-out."""
    for number in range(start, start + count):
        key = f"key-{number % 40}"
        if number % 9 == 4:
            receipt = store.delete(key, level=level)
        else:
            receipt = store.set(key, b"value-%d" % number, level=level)
        assert receipt.outcome is Outcome.COMMITTED
        assert receipt.elapsed < TIMEOUT_SECONDS + SCHEDULING_SECONDS


def return_with_data(server: EmbeddedServer) -> None:
    server.start()


def return_empty(server: EmbeddedServer) -> None:
    server.restart(empty=True)


def freeze(server: EmbeddedServer) -> None:
    server.freeze()


def resume(server: EmbeddedServer) -> None:
    server.resume()


@pytest.mark.parametrize(
    ("fault", "cure"),
    [
        (EmbeddedServer.kill, return_with_data),
        (EmbeddedServer.kill, return_empty),
        (freeze, resume),
    ],
    ids=["killed, back with its data", "killed, back empty", "frozen and resumed"],
)
def test_losing_a_replica_fails_no_write_and_it_catches_up_by_itself(
    make_cluster: MakeCluster, fault: Fault, cure: Fault
) -> None:
    cluster = make_cluster(queue=True)
    cluster.worker()
    store = cluster.open()
    write_through(store, 0, 100)
    fault(cluster["b"])
    write_through(store, 100, 200)
    cure(cluster["b"])
    write_through(store, 300, 100)
    cluster.wait_lag_free("b")
    cluster.wait_settled()
    assert len(cluster.assert_identical()) == 40


def test_a_replica_killed_over_and_over_fails_no_write(
    server_binary: ServerBinary, make_cluster: MakeCluster
) -> None:
    assert server_binary
    cluster = make_cluster()
    cluster.ticker()
    store = cluster.open()
    for round_number in range(4):
        cluster["c"].kill()
        write_through(store, round_number * 100, 50)
        cluster["c"].restart(empty=round_number % 2 == 0)
        write_through(store, round_number * 100 + 50, 50)
    cluster.wait_settled()
    cluster.assert_identical()


def cut(proxy: TcpProxy) -> None:
    proxy.cut()


def blackhole(proxy: TcpProxy) -> None:
    proxy.blackhole()


@pytest.mark.parametrize("fault", [cut, blackhole])
@pytest.mark.parametrize(
    "deliver", [True, False], ids=["what was held arrives", "what was held is lost"]
)
def test_a_replica_behind_a_broken_network_fails_no_write(
    cluster: Cluster, fault: Callable[[TcpProxy], None], deliver: bool
) -> None:
    proxy, store = cluster.proxied("b")
    write_through(store, 0, 50)
    fault(proxy)
    write_through(store, 50, 100)
    proxy.heal(deliver=deliver)
    write_through(store, 150, 50)
    cluster.ticker()
    cluster.wait_settled()
    assert len(cluster.assert_identical()) == 40


def test_a_replica_that_is_down_when_the_client_starts_fails_no_write(cluster: Cluster) -> None:
    cluster["c"].kill()
    store = cluster.open()
    write_through(store, 0, 50)
    assert "c" not in store.set("last", b"1").acked


def test_the_receipt_names_the_copies_that_have_the_write(cluster: Cluster) -> None:
    store = cluster.open()
    assert store.set("key", b"1", level="all").acked == {"a", "b", "c"}
    cluster["b"].kill()
    receipt = store.set("key", b"2")
    assert receipt.acked == {"a", "c"}
    assert "b" in {*receipt.failed, *receipt.pending}


def test_replicas_restarted_one_after_the_other_fail_no_write(cluster: Cluster) -> None:
    store = cluster.open()
    cluster.ticker()
    with Writers(store, 2) as writers:
        for victim in "bcbc":
            writers.wait_more(200)
            cluster[victim].kill()
            writers.wait_more(200)
            cluster[victim].start()
            cluster.wait_active(victim)
    assert writers.errors == []
