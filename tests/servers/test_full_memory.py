"""Servers at full memory: what takes no more memory goes on, and the role moves."""

from __future__ import annotations

import asyncio

import pytest
import redis

from redrepl import AsyncCoordinator, Outcome, RedreplError
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import SETTLE_SECONDS, Cluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("server_binary")
LARGE = b"x" * 5000
KEYS = 200


def fill_up(cluster: Cluster, *nodes: str) -> None:
    """Let these nodes have used up their memory."""
    for node in nodes:
        with redis.Redis.from_url(cluster[node].url) as client:
            client.config_set("maxmemory", client.info("memory")["used_memory"] - 50_000)


def make_room(cluster: Cluster, *nodes: str) -> None:
    """As much memory as they want."""
    for node in nodes:
        with redis.Redis.from_url(cluster[node].url) as client:
            client.config_set("maxmemory", 0)


def filled(cluster: Cluster) -> None:
    with cluster.open() as store:
        store.set_many({f"k{number}": LARGE for number in range(KEYS)}, level="all")
    cluster.settle()


def test_a_full_cluster_deletes(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(persistence="none")
    filled(cluster)
    fill_up(cluster, *cluster.nodes)
    with cluster.open() as store:
        with pytest.raises(RedreplError, match="OOM"):
            store.set("new", b"1", timeout_seconds=0.3)
        assert store.delete("k0", level="all").outcome is Outcome.COMMITTED
        assert store.expire("k1", 0.001, level="all").applied
        assert {r.outcome for r in store.delete_many(["k2", "k3"], level="all").values()} == {
            Outcome.COMMITTED
        }
        with store.batch(level="all") as batch:
            batch.delete("k4")
        with store.transaction(level="all") as transaction:
            transaction.delete("k5")
        assert set(
            store.get_many([f"k{number}" for number in range(6)], level="quorum").values()
        ) == {None}

    async def delete_and_set() -> list[object]:
        store: AsyncCoordinator[str, bytes] = AsyncCoordinator(
            cluster.configuration(timeout_seconds=0.5)
        )
        async with store:
            calls = [
                store.delete("k6", level="all"),
                store.delete("k7", level="all"),
                store.set("k8", LARGE * 2),
            ]
            return await asyncio.gather(*calls, return_exceptions=True)

    *deleted, refused = asyncio.run(delete_and_set())
    assert [getattr(receipt, "outcome", receipt) for receipt in deleted] == [
        Outcome.COMMITTED,
        Outcome.COMMITTED,
    ]
    assert isinstance(refused, RedreplError)
    make_room(cluster, *cluster.nodes)
    cluster.settle()
    cluster.assert_identical()


@pytest.mark.parametrize("full", ["c", "bc"])
def test_the_role_moves_although_others_are_full(make_cluster: MakeCluster, full: str) -> None:
    cluster = make_cluster(persistence="none")
    filled(cluster)
    proxy, store = cluster.proxied("c")
    proxy.cut()
    store.set("late", LARGE, level="quorum")
    fill_up(cluster, *full)
    # On a and b alone: c has to take it at full memory before it serves.
    cluster["a"].kill()
    done = cluster.administration.failover(away=["a"])
    assert sorted(done.active) == ["b", "c"]
    assert cluster.raw("c").values()[b"late"] == LARGE
    with cluster.open() as store:
        assert store.get("late", level="quorum") == LARGE
        assert store.delete("k1", level="quorum").outcome is Outcome.COMMITTED


def test_a_full_copy_that_lags_gets_the_deletes_it_missed_and_then_the_rest(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(persistence="none")
    filled(cluster)
    fill_up(cluster, "c")
    proxy, store = cluster.proxied("c")
    proxy.cut()
    # What c cannot take comes first in the log, and the deletes that would make room for it stand
    # behind.
    store.set_many({f"new{number}": LARGE for number in range(20)}, level="quorum")
    store.delete_many([f"k{number}" for number in range(KEYS)], level="quorum")
    assert len(cluster.raw("c").values()) == KEYS
    cluster.ticker()
    wait_until(lambda: not cluster.lacking(), SETTLE_SECONDS, "the full copy is caught up")
    assert set(cluster.values_everywhere()) == {b"new%d" % number for number in range(20)}
