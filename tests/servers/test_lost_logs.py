"""A change log that is gone, and data that is gone, from a server that runs on: noticed and brought
up, never lag 0.
"""

from __future__ import annotations

import pytest
import redis

from redrepl.values.status import Condition
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("server_binary")
KEYS = 100


def filled(make_cluster: MakeCluster) -> Cluster:
    cluster = make_cluster(persistence="none")
    with cluster.open() as store:
        for number in range(KEYS):
            store.set(f"k{number}", b"v", level="all")
    cluster.settle()
    return cluster


def delete_log(cluster: Cluster, node: str) -> None:
    with redis.Redis.from_url(cluster[node].url) as client:
        assert client.delete("shop:m:log")


@pytest.mark.parametrize("node", ["a", "b"])
def test_a_lost_log_is_told_and_mended(make_cluster: MakeCluster, node: str) -> None:
    cluster = filled(make_cluster)
    proxy, store = cluster.proxied("c")
    proxy.cut()
    # The logs alone name what c lacks.
    store.set_many({f"late{number}": b"v" for number in range(10)}, level="quorum")
    delete_log(cluster, node)

    status = cluster.administration.status()
    assert status.condition is not Condition.HEALTHY
    assert any(f"{node}: lost its change log" in problem for problem in status.problems), (
        status.problems
    )
    assert node in cluster.lacking()

    cluster.ticker()
    cluster.monitor()
    wait_until(lambda: not cluster.lacking(), 40, "nothing left to bring up")
    assert len(cluster.values_everywhere()) == KEYS + 10
    assert cluster.administration.verify().consistent
    assert cluster.administration.status().condition is Condition.HEALTHY


@pytest.mark.parametrize("node", ["a", "b"])
@pytest.mark.parametrize("command", ["FLUSHALL", "FLUSHDB"])
def test_a_server_that_was_emptied_as_it_ran_is_filled_again(
    make_cluster: MakeCluster, node: str, command: str
) -> None:
    cluster = filled(make_cluster)
    with cluster.open() as store:
        store.set("before", b"1", level="all")
        with redis.Redis.from_url(cluster[node].url) as client:
            client.execute_command(command)
        assert cluster.administration.status().condition is not Condition.HEALTHY
        cluster.ticker()
        cluster.monitor()
        wait_until(lambda: not cluster.lacking(), 40, "nothing left to bring up")
        assert store.get("before", level="quorum", timeout_seconds=5) == b"1"
    assert len(cluster.values_everywhere()) == KEYS + 1


def test_a_log_is_lost_with_two_copies_too(make_cluster: MakeCluster) -> None:
    """No other can take over: the primary is put back to work after a look at what it lost."""
    cluster = make_cluster(persistence="none", count=2)
    with cluster.open() as store:
        for number in range(10):
            store.set(f"k{number}", b"v", level="all")
        cluster.settle()
        delete_log(cluster, "a")
        cluster.ticker()
        wait_until(lambda: not cluster.lacking(), 40, "nothing left to bring up")
        store.set("after", b"1", level="all", timeout_seconds=5)
    assert len(cluster.values_everywhere()) == 11
