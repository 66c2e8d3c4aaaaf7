"""Primaries that answer and take no writes: they are named with the server's words, replaced, and
not chosen again.
"""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from typing import Any

import pytest
import redis

from redrepl import AsyncCoordinator, Mode, Outcome, Unavailable, WriteNotConfirmed, WriteRejected
from redrepl.plans.status import UNWATCHED_SECONDS
from redrepl.values.status import Condition
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.support.waiting import wait_until

pytestmark = pytest.mark.usefixtures("server_binary")


def fail_to_save(client: Any, cluster: Cluster, node: str) -> None:
    """Its directory is gone, as on a lost disk."""
    shutil.rmtree(cluster[node].directory)
    client.config_set("save", "3600 1")
    client.set("dirty", "1")
    client.bgsave()
    wait_until(
        lambda: client.info("persistence")["rdb_last_bgsave_status"] == "err",
        20,
        "the snapshot fails",
    )


REFUSALS: dict[str, Callable[[Any, Cluster, str], Any]] = {
    "READONLY": lambda client, *_: client.execute_command("REPLICAOF", "127.0.0.1", "1"),
    "NOREPLICAS": lambda client, *_: client.config_set("min-replicas-to-write", 1),
    "OOM": lambda client, *_: client.config_set("maxmemory", 1),
    "MISCONF": fail_to_save,
    "NOPERM": lambda client, *_: client.execute_command("ACL", "SETUSER", "default", "-mset"),
}
EVERY_KIND = pytest.mark.parametrize("kind", list(REFUSALS))


def refuse(cluster: Cluster, node: str, kind: str) -> None:
    """Let a node take no writes from now on."""
    with redis.Redis.from_url(cluster[node].url) as client:
        REFUSALS[kind](client, cluster, node)


@EVERY_KIND
def test_a_primary_that_takes_no_writes_is_named_and_replaced(
    make_cluster: MakeCluster, kind: str
) -> None:
    cluster = make_cluster(persistence="none")
    with cluster.open() as store:
        store.set("key", b"1", level="all")
        refuse(cluster, "a", kind)
        status = cluster.administration.status()
        assert status.condition is Condition.UNAVAILABLE
        assert any(f"a: takes no writes: {kind}" in problem for problem in status.problems), (
            status.problems
        )
        node = next(node for node in status.nodes if node.id == "a")
        assert (node.healthy, node.takes_writes) == (False, False)

        cluster.monitor()
        wait_until(
            lambda: cluster.administration.find_members().decider != "a", 20, "another primary"
        )
        assert store.set("key", b"2", timeout_seconds=5).outcome is Outcome.COMMITTED
        assert store.get("key", level="quorum") == b"2"

    assert cluster.administration.status().condition is Condition.DEGRADED
    with pytest.raises(Unavailable, match=kind):
        cluster.administration.failover("a")
    with pytest.raises(Unavailable, match=kind):
        cluster.administration.switchover("a")
    assert cluster.administration.failover().primary != "a"


@EVERY_KIND
def test_a_failover_chooses_nobody_who_takes_no_writes(
    make_cluster: MakeCluster, kind: str
) -> None:
    """Although it has seen most of the primary's log."""
    cluster = make_cluster(persistence="none", count=5)
    proxy, store = cluster.proxied("c")
    proxy.cut()
    store.set_many({f"k{number}": b"v" for number in range(50)}, level=3)
    cluster.bring_up("b")
    refuse(cluster, "b", kind)
    foreseen = cluster.administration.foresee_failover("d")
    assert foreseen.primary == "d"
    cluster["a"].kill()
    assert cluster.administration.failover(away=["a"]).primary in ("c", "d", "e")
    assert cluster.open().get("k1", level="quorum") == b"v"


def test_status_tells_that_no_other_could_take_over(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(persistence="none")
    assert cluster.administration.status().condition is Condition.HEALTHY
    refuse(cluster, "c", "OOM")
    status = cluster.administration.status()
    assert status.condition is Condition.DEGRADED
    assert any("no other could take over" in problem for problem in status.problems)


def test_status_knows_when_a_monitor_looked(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(persistence="none")
    assert cluster.administration.status().monitor_seconds_ago is None
    cluster.monitor()
    wait_until(
        lambda: cluster.administration.status().monitor_seconds_ago is not None,
        20,
        "a monitor's look",
    )


@pytest.mark.parametrize(
    ("failover", "seconds", "condition"),
    [
        ("automatic", 1, Condition.HEALTHY),
        ("automatic", UNWATCHED_SECONDS + 20, Condition.DEGRADED),
        ("manual", UNWATCHED_SECONDS + 20, Condition.HEALTHY),
    ],
)
def test_status_is_not_healthy_where_all_monitors_have_stopped(
    make_cluster: MakeCluster, failover: str, seconds: float, condition: Condition
) -> None:
    """A failover would not happen now."""
    cluster = make_cluster(persistence="none", failover=failover)
    for node in cluster.nodes:
        with cluster.raw(node).client as client:
            now_seconds, _ = client.time()
            client.hset("shop:m:probe", "monitor", int((now_seconds - seconds) * 1000))
    status = cluster.administration.status()
    assert status.condition is condition
    is_named = any("no worker or monitor has looked for" in problem for problem in status.problems)
    assert is_named is (condition is Condition.DEGRADED)


def test_a_note_of_the_future_does_not_stand_for_a_monitor_that_looks(
    make_cluster: MakeCluster,
) -> None:
    """It was made while that node's clock was ahead."""
    cluster = make_cluster(persistence="none", failover="automatic")
    for node, seconds in {
        "a": UNWATCHED_SECONDS + 20,
        "b": -86_400,
        "c": UNWATCHED_SECONDS + 20,
    }.items():
        with cluster.raw(node).client as client:
            now_seconds, _ = client.time()
            client.hset("shop:m:probe", "monitor", int((now_seconds - seconds) * 1000))
    status = cluster.administration.status()
    assert status.condition is Condition.DEGRADED
    assert any("no worker or monitor has looked for" in problem for problem in status.problems)


def test_probing_changes_no_records_and_makes_no_log_entries(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(persistence="none")
    before = cluster.raw("a").records()
    for _ in range(3):
        cluster.administration.status()
    assert cluster.raw("a").records() == before
    with redis.Redis.from_url(cluster["a"].url) as client:
        assert not client.exists("shop:m:no-stream", "shop:m:no-string", "shop:m:log")
        assert client.hlen("shop:m:probe") == 1


@EVERY_KIND
def test_what_every_copy_refuses_is_rejected_at_once_in_the_servers_words(
    make_cluster: MakeCluster, kind: str
) -> None:
    cluster = make_cluster(persistence="none")
    for node in cluster.nodes:
        refuse(cluster, node, kind)
    expected = r"can't run|no permissions" if kind == "NOPERM" else kind
    with cluster.open() as store:
        with pytest.raises(WriteRejected, match=expected) as caught:
            store.set_many({"x": b"1", "y": b"2"})
        assert set(caught.value.receipt.failed) == {"a", "b", "c"}
        if kind == "NOPERM":
            return  # this login lacks what batches need alone
        with pytest.raises(WriteRejected, match=expected) as caught:
            store.set("key", b"1", level="all")
        assert set(caught.value.receipt.failed) == {"a", "b", "c"}
        assert {len(cluster.raw(node).records()) for node in cluster.nodes} == {0}


def test_a_condition_that_the_primary_refuses_is_rejected(make_cluster: MakeCluster) -> None:
    """Nobody else was asked: nothing can have happened."""
    cluster = make_cluster(persistence="none")
    refuse(cluster, "a", "READONLY")
    with cluster.open() as store:
        with pytest.raises(WriteRejected, match="READONLY"):
            store.increment("key", timeout_seconds=0.3)
        with (
            pytest.raises(WriteRejected, match="READONLY"),
            store.transaction(timeout_seconds=0.3) as transaction,
        ):
            transaction.set("key", b"1")
        with pytest.raises(WriteRejected, match="READONLY"):  # by now it is asked first, alone
            store.set("key", b"1", timeout_seconds=0.3)


WRITES: dict[str, Callable[[Any, str], Any]] = {
    "set": lambda store, key: store.set(key, b"new"),
    "delete": lambda store, key: store.delete(key),
    "set_many": lambda store, key: store.set_many({key: b"new", f"{key}-2": b"new"}),
    "batch": lambda store, key: store.batch().set(key, b"new").execute(),
    "increment": lambda store, key: store.increment(f"{key}-number"),
    "transact": lambda store, key: _transact(store, key),
}


def _transact(store: Any, key: str) -> Any:
    with store.transaction() as transaction:
        transaction.set(key, b"new")


def test_without_another_primary_what_is_refused_is_rejected_and_stays_without_effect(
    make_cluster: MakeCluster,
) -> None:
    """The first write is on its way to all copies when the primary refuses it.

    From then on it is asked alone first.
    """
    cluster = make_cluster(persistence="none", failover="manual", timeout_seconds=1.0)
    with cluster.open() as store:
        for kind in WRITES:
            store.set(kind, b"old", level="all")
        refuse(cluster, "a", "READONLY")
        with pytest.raises(WriteNotConfirmed, match="READONLY"):
            store.set("first", b"new")
        for kind, write in WRITES.items():
            with pytest.raises(
                WriteRejected, match="READONLY You can't write against a read only replica"
            ):
                write(store, kind)
        for node in "bc":
            held = cluster.raw(node).values()
            assert {key for key, value in held.items() if value == b"new"} == {b"first"}, node
        cluster.administration.failover(away=["a"])
        assert [store.get(kind, level="quorum") for kind in WRITES] == [b"old"] * len(WRITES)
        assert store.set("set", b"again").outcome is Outcome.COMMITTED


def test_a_primary_that_takes_writes_again_is_not_asked_alone_for_ever(
    make_cluster: MakeCluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster(persistence="none", failover="manual", timeout_seconds=1.0)
    with cluster.open() as store, redis.Redis.from_url(cluster["a"].url) as client:
        client.config_set("maxmemory", 1)
        for error in (WriteNotConfirmed, WriteRejected):
            with pytest.raises(error, match="OOM"):
                store.set("key", b"1")
        client.config_set("maxmemory", 0)
        for write in (
            lambda: store.set("key", b"2", level="all"),
            lambda: store.set_many({"key": b"3"}, level="all"),
        ):
            assert write()
        assert store._store.cluster._refused_at
        monkeypatch.setattr("redrepl.plans.client.cluster_state.CARE_SECONDS", 0.0)
        assert store.set("key", b"4", level="all").outcome is Outcome.COMMITTED
        assert not store._store.cluster._refused_at
        assert cluster.values_everywhere() == {b"key": b"4"}


def test_another_of_several_primaries_takes_what_one_refuses(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(persistence="none", mode=Mode.MULTI_PRIMARY)
    with cluster.open(home="a") as store:
        refuse(cluster, "a", "READONLY")
        for kind, write in WRITES.items():
            write(store, kind)
        assert store.set("last", b"new").acked == {"b", "c"}


def test_tasks_are_told_that_what_is_refused_has_no_effect(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(persistence="none", failover="manual", timeout_seconds=1.0)

    async def go() -> list[type]:
        async with AsyncCoordinator[str, bytes](cluster.configuration()) as store:
            with pytest.raises(WriteNotConfirmed, match="READONLY"):
                await store.set("first", b"new")
            calls = [store.set(f"key-{number}", b"new") for number in range(5)]
            return [type(each) for each in await asyncio.gather(*calls, return_exceptions=True)]

    cluster.open().set("standing", b"old", level="all")
    refuse(cluster, "a", "READONLY")
    assert asyncio.run(go()) == [WriteRejected] * 5
    assert cluster.raw("b").values().keys() == {b"standing", b"first"}
