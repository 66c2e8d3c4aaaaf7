"""Reads: a session sees its own writes, quorum reads repair, preferences go where they say."""

from __future__ import annotations

import asyncio

import pytest

from redrepl import AsyncCoordinator, Session, Unavailable
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until


def test_a_session_reads_its_own_writes_while_replicas_lag(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"old", level="all")
    store.set("key", b"new", level="async")
    store.delete("deleted", level="async")
    assert cluster.open().get("key", prefer="replica") == b"old", "the replicas do lag"
    assert {store.get("key", prefer="replica") for _ in range(6)} == {b"new"}
    assert store.get_many(["key", "deleted"], prefer="replica") == {"key": b"new", "deleted": None}


def test_a_session_never_goes_back_in_time(cluster: Cluster) -> None:
    writer, reader = cluster.open(), cluster.open()
    for number in range(20):
        writer.set("key", b"%d" % number, level="async")
        assert reader.get("key") == b"%d" % number
        assert reader.get("key", prefer="replica") == b"%d" % number
        if number == 10:
            cluster.settle()


def test_a_session_handed_to_another_process_goes_on_there(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"old", level="all")
    store.set("key", b"new", level="async")
    heir = cluster.open(session=Session.from_token(store.session.token()))
    stranger = cluster.open()
    assert {stranger.get("key", prefer="replica") for _ in range(4)} == {b"old"}
    assert {heir.get("key", prefer="replica") for _ in range(4)} == {b"new"}


def test_a_quorum_read_repairs_the_copies_it_needs(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"old", level="all")
    store.set("key", b"new", level="async")
    assert cluster.open().get("key", level="quorum") == b"new"
    holders = [node for node in "abc" if cluster.raw(node).values() == {b"key": b"new"}]
    assert "a" in holders
    assert len(holders) >= 2, "a majority holds it before the read returns"


def test_a_read_at_all_repairs_every_copy(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"old" for number in range(20)}, level="all")
    store.set_many({f"key-{number}": b"new" for number in range(10)}, level="async")
    store.delete("key-19", level="async")
    found = cluster.open().get_many([f"key-{number}" for number in range(20)], level="all")
    assert list(found.values()) == [b"new"] * 10 + [b"old"] * 9 + [None]
    cluster.assert_identical()


def test_a_quorum_read_never_answers_what_only_a_replica_holds(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"decided", level="all")
    record = cluster.raw("b").record("key")
    assert record is not None
    later = record._replace(
        stamp=record.stamp._replace(micros=record.stamp.micros + 1), payload=b"undecided"
    )
    cluster.raw("b").put("key", later.encode())
    assert store.get("key", level="quorum") == b"decided"
    assert store.get("key", level="all") == b"decided"


def test_replica_reads_are_spread_evenly_and_spare_the_primary(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    before = {node: cluster.raw(node).calls("mget") for node in "abc"}
    for _ in range(100):
        assert store.get("key", prefer="replica") == b"v"
    calls = {node: cluster.raw(node).calls("mget") - before[node] for node in "abc"}
    assert calls["a"] == 0
    assert abs(calls["b"] - calls["c"]) <= 2
    assert calls["b"] + calls["c"] == 100


def test_primary_reads_touch_the_primary_alone(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    before = {node: cluster.raw(node).calls("mget") for node in "abc"}
    for _ in range(50):
        assert store.get("key") == b"v"
    assert {node: cluster.raw(node).calls("mget") - before[node] for node in "abc"} == {
        "a": 50,
        "b": 0,
        "c": 0,
    }


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_reads_from_the_primary_never_fall_back_to_a_replica(cluster: Cluster, fault: str) -> None:
    store = cluster.open(timeout_seconds=0.5)
    store.set("key", b"v", level="all")
    getattr(cluster["a"], fault)()
    for level in ("one", "quorum"):
        with pytest.raises(Unavailable) as caught:
            store.get("key", level=level)
        assert "a" in caught.value.evidence
    with pytest.raises(Unavailable):
        store.get_many(["key"])


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_primary_preferred_falls_back_to_a_replica(cluster: Cluster, fault: str) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    found = store.get_record("key", prefer="primary_preferred")
    assert found is not None
    assert found.node == "a"
    getattr(cluster["a"], fault)()
    found = store.get_record("key", prefer="primary_preferred")
    assert found is not None
    assert found.node in ("b", "c")
    assert store.get_many(["key"], prefer="primary_preferred") == {"key": b"v"}


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_replica_reads_go_on_with_one_replica(cluster: Cluster, fault: str) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    getattr(cluster["b"], fault)()
    for _ in range(10):
        assert store.get("key", prefer="replica") == b"v"


def test_replica_reads_fall_back_to_the_primary_without_replicas(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    for node in "bc":
        cluster[node].kill()
    found = store.get_record("key", prefer="replica")
    assert found is not None
    assert (found.value, found.node) == (b"v", "a")


def test_a_replica_that_is_being_brought_up_serves_no_reads(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    cluster["b"].restart(empty=True)
    assert {store.get("key", prefer="replica") for _ in range(10)} == {b"v"}
    assert {cluster.open().get("key", prefer="replica") for _ in range(4)} == {b"v"}


def test_a_replica_that_returned_serves_readers_again(cluster: Cluster) -> None:
    cluster.open().set("key", b"v", level="all")
    reader = cluster.open()
    cluster["b"].kill()
    assert {reader.get("key", prefer="replica") for _ in range(4)} == {b"v"}
    cluster["b"].start()
    cluster.settle()
    served_by = set()

    def served_by_both() -> bool:
        found = reader.get_record("key", prefer="replica")
        assert found is not None
        served_by.add(found.node)
        return served_by == {"b", "c"}

    wait_until(served_by_both, 3, message="b serves again")


def test_nearest_avoids_a_slow_copy(cluster: Cluster) -> None:
    proxy, store = cluster.proxied("a")
    store.set("key", b"v", level="all")
    proxy.delay(0.05)
    for node in range(4):
        assert store.get("key", prefer="replica") == b"v", node
    for _ in range(3):
        assert store.get("key") == b"v"
    found = store.get_record("key", prefer="nearest")
    assert found is not None
    assert found.node in ("b", "c")


def test_sessions_go_on_after_a_switchover(cluster: Cluster) -> None:
    """What was written before it, and on the new primary after it, is read from no copy that lacks
    it.
    """
    writer = cluster.open()
    writer.set("before", b"1", level="async")
    cluster.administration.switchover("b")
    writer.set("after", b"2", level="async")  # b alone has it
    reader = cluster.open(session=Session.from_token(writer.session.token()))
    for prefer in ("replica", "nearest", "primary"):
        for store in (writer, reader):
            assert store.get("before", prefer=prefer) == b"1", prefer
            assert store.get("after", prefer=prefer) == b"2", prefer
            assert store.get_many(["before", "after"], prefer=prefer) == {
                "before": b"1",
                "after": b"2",
            }, prefer
    assert cluster.raw("c").stored("after") is None


def test_sessions_of_tasks_go_on_after_a_switchover(cluster: Cluster) -> None:
    async def go() -> list[object]:
        async with AsyncCoordinator[str, bytes](cluster.configuration()) as writer:
            await writer.set("before", b"1", level="async")
            await asyncio.to_thread(cluster.administration.switchover, "b")
            await writer.set("after", b"2", level="async")
            session = Session.from_token(writer.session.token())
            async with AsyncCoordinator[str, bytes](
                cluster.configuration(), session=session
            ) as reader:
                return [
                    await store.get_many(["before", "after"], prefer="replica")
                    for store in (writer, reader)
                ]

    assert asyncio.run(go()) == [{"before": b"1", "after": b"2"}] * 2
