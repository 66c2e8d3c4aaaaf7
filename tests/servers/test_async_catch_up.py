"""ASYNC leaves the replicas to the workers, and an outage ships each key once."""

from __future__ import annotations

from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.support.clients import connect
from tests.support.waiting import wait_until


def test_an_async_write_sends_nothing_to_the_replicas(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("warm", b"up", level="all")
    before = {node: cluster.raw(node).calls("evalsha") for node in "bc"}
    for number in range(100):
        receipt = store.set(f"key-{number}", b"v", level="async")
        assert receipt.acked == {"a"}
    store.set_many({f"many-{number}": b"v" for number in range(100)}, level="async")
    store.delete("key-1", level="async")
    store.increment("counter", level="async")
    assert {node: cluster.raw(node).calls("evalsha") for node in "bc"} == before
    for node in "bc":
        assert cluster.raw(node).values() == {b"warm": b"up"}


def test_async_writes_reach_all_replicas_through_rq_alone(make_cluster: MakeCluster) -> None:
    # A tick this slow never comes: what arrives came by the jobs that the writes queued.
    cluster = make_cluster(queue=True, tick_seconds=3600)
    store = cluster.open()
    for number in range(300):
        store.set(f"key-{number % 100}", b"v%d" % number, level="async")
    store.delete_many([f"key-{number}" for number in range(0, 100, 5)], level="async")
    for node in "bc":
        assert cluster.raw(node).records() == {}
    cluster.worker()
    expected = cluster.raw("a").records()
    assert len(expected) == 100
    for node in "bc":
        wait_until(
            lambda node=node: cluster.raw(node).records() == expected,  # type: ignore[misc]
            30,
            f"{node} gets it all",
        )


def test_a_write_wakes_an_idle_worker(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True, tick_seconds=3600)
    cluster.worker()
    store = cluster.open()
    for number in range(3):
        store.set("key", b"v%d" % number, level="async")
        expected = cluster.raw("a").records()
        wait_until(
            lambda e=expected: cluster.raw("b").records() == e and cluster.raw("c").records() == e,  # type: ignore[misc]
            30,
            "woken",
        )


def test_an_outage_of_repeated_writes_ships_each_key_once(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(persistence="none")
    store = cluster.open()
    keys = [f"key-{number}" for number in range(1000)]
    for round_number in range(20):
        store.set_many(
            {key: b"%s-%d" % (key.encode(), round_number) for key in keys}, level="async"
        )
    done = cluster.bring_up("b")
    assert done.finished
    assert done.full_syncs == 0
    assert 1000 <= done.records <= 1100
    assert cluster.raw("b").records() == cluster.raw("a").records()


def test_an_outage_of_20_000_repeated_writes_ships_each_key_once(cluster: Cluster) -> None:
    store = cluster.open()
    keys = [f"key-{number}" for number in range(1000)]
    cluster["b"].kill()
    for number in range(1000):
        store.set(keys[number], b"single", level="one")
    for round_number in range(19):
        for start in range(0, 1000, 25):
            store.set_many(
                dict.fromkeys(keys[start : start + 25], b"round %d" % round_number), level="one"
            )
    cluster["b"].start()
    done = cluster.bring_up("b")
    assert done.entries >= 1000 + 19 * 40
    assert done.full_syncs == 0, "its log position survived with its data"
    assert 1000 <= done.records <= 1100
    cluster.settle()
    cluster.assert_identical()


def test_catching_up_twice_copies_nothing_the_second_time(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" for number in range(500)}, level="async")
    assert cluster.bring_up("b").records == 500
    again = cluster.bring_up("b")
    assert (again.records, again.entries, again.full_syncs) == (0, 0, 0)


def test_the_job_count_stays_small(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    store = cluster.open()
    for number in range(500):
        store.set(f"key-{number}", b"v", level="async")
    assert cluster.queue is not None
    with connect(cluster.queue) as client:
        wait_until(lambda: client.llen("rq:queue:redrepl-shop"), message="a job is queued")
        assert client.llen("rq:queue:redrepl-shop") <= 4, (
            "two slots for each replica, not a job for each write"
        )
