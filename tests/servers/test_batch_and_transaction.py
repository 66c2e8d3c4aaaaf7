"""Batches, transactions and divided reads on real servers: conflicts, faults, what stands on every
copy.
"""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable
from typing import Any

import pytest

from redrepl import (
    Mode,
    Outcome,
    RequestError,
    Transaction,
    TransactionConflict,
    Unavailable,
    WriteNotConfirmed,
    WriteReceipt,
    WriteRejected,
)
from redrepl.edges.endpoint import split_url
from redrepl.embedded import ServerBinary
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import MAX_AGE_SECONDS, Cluster, Store
from tests.servers.support.raw import LAYOUT

Tx = Transaction[Any, bytes]


def _log(cluster: Cluster, node: str) -> list[dict[bytes, bytes]]:
    """Entries of a node's change log: users' keys and stamps."""
    with cluster.raw(node).client as client:
        return [
            {LAYOUT.user_key(name): stamp for name, stamp in fields.items()}
            for _, fields in client.xrange(LAYOUT.log)
        ]


def _together(threads: int, work: Callable[[int], object]) -> None:
    """Do this work in so many threads at once; fails with what failed in any of them."""
    failures: list[BaseException] = []

    def run(number: int) -> None:
        try:
            work(number)
        except BaseException as error:
            failures.append(error)

    workers = [threading.Thread(target=run, args=(number,)) for number in range(threads)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert failures == []


def _calls(cluster: Cluster, command: str) -> dict[str, int]:
    return {node: cluster.raw(node).calls(command) for node in cluster.nodes}


# Transactions -------------------------------------------------------------------------------------


def test_a_transaction_is_one_entry_of_the_same_stamps_on_every_copy(
    server_binary: ServerBinary, cluster: Cluster
) -> None:
    assert server_binary
    store = cluster.open()
    store.set_many({"from": b"100", "to": b"0", "gone": b"v", "word": b"one"}, level="all")
    with store.transaction(level="all") as tx:
        amount = int(tx.get("from") or 0)
        tx.set("from", b"0").increment("to", amount).delete("gone").expire("word", 600).add(
            "done", b"yes", ttl=600
        )
    assert {receipt.outcome for receipt in tx.receipts.values()} == {Outcome.COMMITTED}
    assert {receipt.acked for receipt in tx.receipts.values()} == {frozenset("abc")}
    assert tx.sums == {"to": 100}
    stamps = {str(key).encode(): receipt.stamp.encode() for key, receipt in tx.receipts.items()}
    for node in "abc":
        assert _log(cluster, node)[1:] == [stamps]
    assert cluster.values_everywhere() == {
        b"from": b"0",
        b"to": b"100",
        b"word": b"one",
        b"done": b"yes",
    }
    assert store.ttl("word") == pytest.approx(600, abs=5)


def test_a_conflict_writes_nothing_on_any_copy(cluster: Cluster) -> None:
    store, rival = cluster.open(), cluster.open()
    store.set_many({"x": b"1", "y": b"1"}, level="all")
    tx = store.transaction()
    assert tx.get("x") == b"1"
    tx.set("y", b"2").set("new", b"v")
    receipt = rival.set("x", b"rival", level="all")
    before = {node: _log(cluster, node) for node in "abc"}
    with pytest.raises(TransactionConflict) as caught:
        tx.commit()
    assert caught.value.standing == {"x": receipt.stamp}
    assert {node: _log(cluster, node) for node in "abc"} == before
    assert cluster.values_everywhere() == {b"x": b"rival", b"y": b"1"}


def test_one_operation_that_cannot_be_carried_out_stops_all(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("word", b"one", level="all")
    with (
        pytest.raises(RequestError, match="increment of key 'word' is impossible"),
        store.transaction() as tx,
    ):
        tx.set("x", b"1").increment("word").set("y", b"1")
    with pytest.raises(TransactionConflict), store.transaction() as tx:
        tx.set("x", b"1").add("word", b"two").set("y", b"1")
    assert cluster.values_everywhere() == {b"word": b"one"}


def test_concurrent_increments_by_reading_and_writing_lose_nothing(cluster: Cluster) -> None:
    store = cluster.open()
    stores = [store, cluster.open()]

    def add_one(tx: Tx) -> None:
        for key in ("n", "m"):
            tx.set(key, b"%d" % (int(tx.get(key) or 0) + 1))

    _together(
        6, lambda number: [stores[number % 2].transact(add_one, attempts=200) for _ in range(25)]
    )
    assert store.get_many(["n", "m"], level="all") == {"n": b"150", "m": b"150"}
    cluster.settle()
    assert cluster.values_everywhere() == {b"n": b"150", b"m": b"150"}


def test_transfers_keep_the_sum(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({"a": b"500", "b": b"500"}, level="all")

    def transfer(tx: Tx) -> None:
        tx.set("a", b"%d" % (int(tx.get("a") or 0) - 1)).set(
            "b", b"%d" % (int(tx.get("b") or 0) + 1)
        )

    _together(4, lambda _: [store.transact(transfer, attempts=200) for _ in range(20)])
    assert store.get_many(["a", "b"]) == {"a": b"420", "b": b"580"}


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_with_a_replica_down_a_majority_commits_and_all_is_unknown(
    cluster: Cluster, fault: str
) -> None:
    store = cluster.open(timeout_seconds=0.8)
    getattr(cluster["c"], fault)()
    with store.transaction() as tx:
        tx.set("x", b"1").increment("n")
    assert {receipt.acked for receipt in tx.receipts.values()} == {frozenset("ab")}
    tx = store.transaction(level="all").set("x", b"2").increment("n")
    with pytest.raises(WriteNotConfirmed) as caught:
        tx.commit()
    assert {receipt.outcome for receipt in caught.value.receipts} == {Outcome.UNKNOWN}
    assert list(tx.receipts) == ["x", "n"]
    cluster["c"].resume() if fault == "freeze" else cluster["c"].start()
    cluster.settle()
    assert cluster.values_everywhere() == {b"x": b"2", b"n": b"2"}, (
        "unknown, and here it took effect, everywhere"
    )


@pytest.mark.parametrize("after", ["soon", "late"])
def test_a_frozen_primary_leaves_a_transaction_unknown_and_takes_it_whole_or_not_at_all(
    cluster: Cluster, after: str
) -> None:
    store = cluster.open(timeout_seconds=0.5)
    store.set_many({"x": b"1", "n": b"1"}, level="all")
    tx = store.transaction()
    tx.get("x")
    tx.set("x", b"2").increment("n").set("y", b"2")
    cluster["a"].freeze()
    with pytest.raises(WriteNotConfirmed) as caught:
        tx.commit()
    assert [(receipt.key, receipt.outcome) for receipt in caught.value.receipts] == [
        (key, Outcome.UNKNOWN) for key in ("x", "n", "y")
    ]
    if after == "late":
        time.sleep(MAX_AGE_SECONDS)
    cluster["a"].resume()
    cluster.settle()
    changed = {b"x": b"2", b"n": b"2", b"y": b"2"}
    assert cluster.values_everywhere() == ({b"x": b"1", b"n": b"1"} if after == "late" else changed)


def test_while_servers_stall_and_die_nothing_is_lost_or_repeated(cluster: Cluster) -> None:
    store = cluster.open(timeout_seconds=0.5)
    store.set("n", b"0", level="all")
    outcomes: list[str] = []
    stop = threading.Event()

    def add_one(tx: Tx) -> None:
        tx.set("n", b"%d" % (int(tx.get("n") or 0) + 1)).increment("m")

    def add_one_blindly(tx: Tx) -> None:
        tx.increment("n").increment(
            "m"
        )  # nothing is read: a primary that stalls is met in the commit

    def work(number: int) -> None:
        while not stop.is_set():
            try:
                store.transact(add_one_blindly if number % 2 else add_one, attempts=200)
                outcomes.append("committed")
            except WriteNotConfirmed:
                outcomes.append("unknown")
            except (WriteRejected, Unavailable):
                outcomes.append("nothing")

    def trouble(_: int) -> None:
        try:
            for node in ("a", "b", "a"):
                time.sleep(0.4)
                cluster[node].freeze()
                time.sleep(0.8)
                cluster[node].resume()
            cluster["c"].kill()
            time.sleep(0.4)
        finally:
            stop.set()

    _together(4, lambda number: work(number) if number else trouble(number))
    cluster["c"].start()
    cluster.settle()
    values, counted = cluster.values_everywhere(), Counter(outcomes)
    assert values[b"n"] == values[b"m"], "all or nothing"
    assert counted["committed"] <= int(values[b"n"]) <= counted["committed"] + counted["unknown"]
    assert min(counted["committed"], counted["unknown"]) > 0, counted


def test_without_the_primary_it_certainly_had_no_effect(cluster: Cluster) -> None:
    store = cluster.open(timeout_seconds=0.5)
    store.set("x", b"1", level="all")
    stamp = store.get_record("x")
    assert stamp is not None
    cluster["a"].kill()
    with pytest.raises(Unavailable):
        store.transaction().get("x")
    with pytest.raises(WriteRejected) as caught:
        store.transaction().set("x", b"2").set("y", b"2").commit()
    assert {receipt.outcome for receipt in caught.value.receipts} == {Outcome.REJECTED}
    with pytest.raises(Unavailable, match="could not be verified"):
        store.transaction().check("x", stamp.stamp).commit()
    assert cluster.raw("b").values() == {b"x": b"1"}


def test_a_transaction_that_began_before_a_change_of_members_goes_on(cluster: Cluster) -> None:
    store = cluster.open()
    stamp = store.set("x", b"1", level="all").stamp
    tx = store.transaction().check("x", stamp).set("x", b"2").increment("n")
    batch = store.batch().set("y", b"1").increment("n", 10).get("n")
    cluster.administration.add_node(split_url("d", cluster.spare("d").url))
    assert tx.commit()["x"].outcome is Outcome.COMMITTED
    assert batch.execute()[1:] == [11, b"11"]
    assert store.topology.epoch == 2


def test_several_primaries_decide_for_their_own_clients(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(mode=Mode.MULTI_PRIMARY)
    left, right = cluster.open(home="a"), cluster.open(home="b")
    with left.transaction(level="all") as tx:
        tx.set("x", b"left").increment("n", 2)
    with right.transaction(level="all") as tx:
        assert tx.get("x") == b"left"
        tx.set("x", b"right").increment("n", 3)
    assert right.batch("all").set("y", b"1").increment("n").get("n").execute()[1:] == [6, b"6"]
    cluster.settle()
    assert cluster.values_everywhere() == {b"x": b"right", b"n": b"6", b"y": b"1"}


def test_a_large_transaction(cluster: Cluster) -> None:
    store = cluster.open(timeout_seconds=2.5)
    values = {f"key-{number}": b"%d" % number * 3000 for number in range(500)}
    with store.transaction(level="all") as tx:
        for key, value in values.items():
            tx.set(key, value)
    assert len(tx.receipts) == 500
    assert [len(_log(cluster, node)) for node in "abc"] == [1, 1, 1]
    assert store.get_many(values, level="all") == values
    cluster.assert_identical()


# Batches ------------------------------------------------------------------------------------------


def test_a_batch_is_one_entry_for_each_part_on_every_copy(
    server_binary: ServerBinary, cluster: Cluster
) -> None:
    assert server_binary
    store = cluster.open()
    with store.batch(level="all") as batch:
        batch.set("x", b"1").set("y", b"2", ttl=600).delete("z").get("x").get("z")
        batch.increment("x", 4).add("new", b"v").add("new", b"w").expire("y", 60).increment(
            "x", 5
        ).get("x")
    results = batch.results
    assert results[3:6] == [b"1", None, 5]
    assert [results[6].applied, results[7].applied, results[8].applied] == [True, False, True]
    assert results[9:] == [10, b"10"]
    for node in "abc":
        assert [set(entry) for entry in _log(cluster, node)] == [
            {b"x", b"y", b"z"},
            {b"x", b"y", b"new"},
        ]
    assert cluster.values_everywhere() == {b"x": b"10", b"y": b"2", b"new": b"v"}


def test_a_batch_reads_the_primary_alone(cluster: Cluster) -> None:
    store = cluster.open()
    store.set_many({f"key-{number}": b"v" for number in range(100)}, level="all")
    before = _calls(cluster, "mget")
    batch = store.batch()
    for number in range(100):
        batch.get(f"key-{number}")
    assert batch.execute() == [b"v"] * 100
    assert {node: calls - before[node] for node, calls in _calls(cluster, "mget").items()} == {
        "a": 1,
        "b": 0,
        "c": 0,
    }


@pytest.mark.parametrize("fault", ["kill", "freeze"])
def test_a_batch_ends_where_the_primary_does_not_answer(cluster: Cluster, fault: str) -> None:
    store = cluster.open(timeout_seconds=0.5)
    store.set("n", b"1", level="all")
    getattr(cluster["a"], fault)()
    if fault == "kill":
        with pytest.raises(Unavailable):
            store.get("n")  # from now on it is known that nothing can be sent
    batch = store.batch().increment("n").get("n").set("x", b"1")
    with pytest.raises(WriteRejected if fault == "kill" else WriteNotConfirmed) as caught:
        batch.execute()
    first = Outcome.REJECTED if fault == "kill" else Outcome.UNKNOWN
    assert [receipt.outcome for receipt in caught.value.receipts] == [first, Outcome.REJECTED]
    assert isinstance(batch.results[1], Unavailable)
    assert len(batch) == 0, "nothing is sent again by itself"
    cluster["a"].resume() if fault == "freeze" else cluster["a"].start()
    cluster.settle()
    assert cluster.values_everywhere() == {b"n": b"1" if fault == "kill" else b"2"}


def test_a_batch_with_a_replica_down(cluster: Cluster) -> None:
    store = cluster.open(timeout_seconds=0.8)
    cluster["b"].kill()
    assert store.batch().set("x", b"1").increment("n").get("n").execute()[1:] == [1, b"1"]
    batch = store.batch(level="all").increment("n").set("x", b"2")
    with pytest.raises(WriteNotConfirmed) as caught:
        batch.execute()
    assert [receipt.outcome for receipt in caught.value.receipts] == [
        Outcome.UNKNOWN,
        Outcome.REJECTED,
    ]
    cluster["b"].start()
    cluster.settle()
    assert cluster.values_everywhere() == {b"x": b"1", b"n": b"2"}


def test_concurrent_batches_lose_no_increment(cluster: Cluster) -> None:
    store = cluster.open()

    def work(_: int) -> None:
        for _ in range(20):
            batch = store.batch()
            for _ in range(10):
                batch.increment("n")
            batch.execute()

    _together(4, work)
    assert store.get("n", level="all") == b"800"


# Many keys ----------------------------------------------------------------------------------------


def _mixed_values() -> dict[str, bytes]:
    """10,000 values of 1 B to 1 MB: mostly small, a few large ones between them."""
    sizes = dict.fromkeys(range(0, 10000, 1250), 1048576)
    return {
        f"key-{number}": (b"%d:" % number)
        * ((sizes.get(number, 1 + number * number % 997)) // 6 + 1)
        for number in range(10_000)
    }


def test_ten_thousand_keys_of_all_sizes(cluster: Cluster) -> None:
    store = cluster.open(timeout_seconds=2.5)
    values = _mixed_values()
    assert {receipt.outcome for receipt in store.set_many(values, level="all").values()} == {
        Outcome.COMMITTED
    }
    for prefer in ("primary", "replica", "nearest"):
        assert store.get_many(values, prefer=prefer) == values
    changed = {key: value + b"!" for key, value in values.items()}
    batch = store.batch(level="all")
    for key, value in changed.items():
        batch.set(key, value)
    for key in changed:
        batch.get(key)
    results = batch.execute()
    assert all(
        isinstance(result, WriteReceipt) and len(result.acked) == 3 for result in results[:10_000]
    )
    assert results[10_000:] == list(changed.values())
    assert store.get_many(changed, prefer="replica") == changed
    cluster.assert_identical()


def _seeded(cluster: Cluster, **options: Any) -> tuple[Store, dict[str, bytes]]:
    store = cluster.open(**options)
    values = {f"key-{number}": b"%d" % number for number in range(400)}
    store.set_many(values, level="all")
    return store, values


def test_many_keys_are_divided_among_the_replicas(cluster: Cluster) -> None:
    store, values = _seeded(cluster)
    before = _calls(cluster, "mget")
    for _ in range(10):
        assert store.get_many([*values, "absent"], prefer="replica") == {**values, "absent": None}
    assert {node: calls - before[node] for node, calls in _calls(cluster, "mget").items()} == {
        "a": 0,
        "b": 10,
        "c": 10,
    }


@pytest.mark.parametrize("fault", ["kill", "freeze"])
@pytest.mark.parametrize("prefer", ["replica", "nearest"])
def test_what_a_dead_replica_was_asked_for_comes_from_elsewhere(
    cluster: Cluster, fault: str, prefer: str
) -> None:
    store, values = _seeded(cluster, timeout_seconds=1.5)
    getattr(cluster["b"], fault)()
    for _ in range(5):
        assert store.get_many(values, prefer=prefer) == values
    cluster["c"].kill()
    assert store.get_many(values, prefer=prefer) == values


def test_a_session_never_reads_its_past_among_many_keys(cluster: Cluster) -> None:
    store, values = _seeded(cluster)
    newer = {key: b"new" for number, key in enumerate(values) if number % 7 == 0}
    store.set_many(newer, level="async")
    store.delete("key-3", level="async")
    for prefer in ("replica", "nearest"):
        assert store.get_many(values, prefer=prefer) == {**values, **newer, "key-3": None}
