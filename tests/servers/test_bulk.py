"""Many keys at once: chunks on their way together, and a log that is shipped while the next page is
read.
"""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import pytest

from redrepl import WriteNotConfirmed
from redrepl.plans.copies import catch_up
from redrepl.plans.operations.chunk import Chunk, Draft
from redrepl.plans.recovery.bring_up import BroughtUp
from redrepl.values import limits
from redrepl.values.errors import NotAReplicatedRecord
from redrepl.values.keys import KeyLayout
from redrepl.values.receipt import Outcome
from redrepl.values.record import HEADER_BYTES, value_record
from redrepl_workers.context import WorkerContext
from redrepl_workers.jobs import Stopping, bring_up_with_lease
from redrepl_workers.jobs import _Watch as Watch
from redrepl_workers.lease import lease
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster
from tests.support.clients import connect
from tests.support.program_clocks import physical_clock

LAYOUT = KeyLayout("shop")
KEYS = [f"key-{number}" for number in range(2345)]


# Writing ------------------------------------------------------------------------------------------


@pytest.mark.parametrize("level", ["async", "one", "quorum", "all"])
def test_a_large_batch_arrives_whole(cluster: Cluster, level: str) -> None:
    store = cluster.open()
    for round_number in range(2):
        items = {key: b"%s %d" % (key.encode(), round_number) for key in KEYS}
        receipts = store.set_many(items, level=level)
        assert list(receipts) == KEYS
        assert {receipt.outcome for receipt in receipts.values()} == {Outcome.COMMITTED}
        assert all(receipt.key == key and receipt.applied for key, receipt in receipts.items())
        stamps = {key.encode(): receipt.stamp for key, receipt in receipts.items()}
        records = cluster.raw("a").records()
        assert {key: str(stamp) for key, stamp in stamps.items()} == {
            k: r[:22].decode() for k, r in records.items()
        }
    assert len(set(stamps.values())) == 5, "one stamp for each chunk"
    assert cluster.raw("a").values() == {key.encode(): b"%s 1" % key.encode() for key in KEYS}
    cluster.settle()
    cluster.assert_identical()
    store.delete_many(KEYS, level=level)
    assert cluster.raw("a").values() == {}


def test_a_batch_of_a_client_whose_clock_is_behind_is_restamped_whole(cluster: Cluster) -> None:
    ahead, behind = cluster.open(), cluster.open()
    physical_clock(ahead).offset_micros += 1_200_000
    physical_clock(behind).offset_micros -= 1_200_000
    first = ahead.set_many(dict.fromkeys(KEYS, b"first"), level="all")
    second = behind.set_many(dict.fromkeys(KEYS, b"second"), level="all")
    assert all(second[key].stamp > first[key].stamp for key in KEYS)
    assert set(cluster.values_everywhere().values()) == {b"second"}


def test_a_batch_that_meets_a_change_of_members_is_written_once(cluster: Cluster) -> None:
    store, other = cluster.open(), cluster.open()
    before = store.set_many(dict.fromkeys(KEYS, b"before"))
    cluster.administration.remove_node("c")
    receipts = other.set_many(dict.fromkeys(KEYS, b"after"))
    assert {receipt.outcome for receipt in receipts.values()} == {Outcome.COMMITTED}
    assert {frozenset(receipt.acked | receipt.pending) for receipt in receipts.values()} == {
        frozenset("ab")
    }
    assert all(receipts[key].stamp > before[key].stamp for key in KEYS)
    assert cluster.raw("a").records() == cluster.raw("b").records()
    assert set(cluster.raw("a").values().values()) == {b"after"}


def test_another_thread_takes_up_a_new_topology_under_a_large_batch(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("warm", b"up", level="all")

    def write(number: int) -> set[Outcome]:
        try:
            receipts = store.set_many(dict.fromkeys(KEYS, b"%d" % number))
        except WriteNotConfirmed as error:
            # The primary took a chunk before the change and its copies were asked after it: nobody
            # can tell.
            receipts = dict(zip(KEYS, error.receipts, strict=True))
        assert list(receipts) == KEYS
        return {receipt.outcome for receipt in receipts.values()}

    with ThreadPoolExecutor(1) as threads:
        batches = [threads.submit(write, number) for number in range(8)]
        cluster.administration.remove_node("c")
        for number in range(200):
            with suppress(WriteNotConfirmed):
                store.set(f"other-{number % 10}", b"1")
        outcomes = [batch.result() for batch in batches]
    assert outcomes[0] | outcomes[-1] <= {Outcome.COMMITTED, Outcome.UNKNOWN}
    assert sum(Outcome.UNKNOWN in found for found in outcomes) <= 1
    values = cluster.raw("a").values()
    assert {values[key.encode()] for key in KEYS} == {b"7"}


def test_a_replica_that_dies_under_a_large_batch_fails_none_of_it(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("warm", b"up", level="all")
    cluster["c"].kill()
    receipts = store.set_many(dict.fromkeys(KEYS, b"value"))
    assert {receipt.outcome for receipt in receipts.values()} == {Outcome.COMMITTED}
    assert all({"a", "b"} <= receipt.acked for receipt in receipts.values())
    cluster["c"].start()
    cluster.settle()
    assert len(cluster.assert_identical()) == len(KEYS) + 1


def test_without_the_required_copies_every_key_has_its_receipt(cluster: Cluster) -> None:
    store = cluster.open(timeout_seconds=0.5)
    store.set("warm", b"up", level="all")
    cluster["b"].kill()
    cluster["c"].kill()
    with pytest.raises(WriteNotConfirmed) as caught:
        store.set_many(dict.fromkeys(KEYS, b"value"))
    assert [receipt.key for receipt in caught.value.receipts] == KEYS
    assert {receipt.outcome for receipt in caught.value.receipts} == {Outcome.UNKNOWN}


def test_a_foreign_value_in_a_late_chunk_stays(cluster: Cluster) -> None:
    store = cluster.open()
    cluster.raw("a").put(KEYS[-1], b"foreign")
    with pytest.raises(NotAReplicatedRecord, match=KEYS[-1]) as caught:
        store.set_many(dict.fromkeys(KEYS, b"value"))
    assert cluster.raw("a").stored(KEYS[-1]) == b"foreign"
    assert [receipt.key for receipt in caught.value.receipts] == KEYS
    outcomes = [receipt.outcome for receipt in caught.value.receipts]
    assert outcomes == [Outcome.COMMITTED] * 2000 + [Outcome.UNKNOWN] * 345
    assert cluster.raw("a").stored(KEYS[2000]) is None, "nothing of its chunk is on the primary"
    stamps = {receipt.key: receipt.stamp for receipt in caught.value.receipts[:2000]}
    assert all(store.session.at_least(str(key).encode()) == stamp for key, stamp in stamps.items())


def test_scripts_that_go_over_and_over_under_a_large_batch_fail_none_of_it(
    cluster: Cluster, monkeypatch: pytest.MonkeyPatch
) -> None:
    store = cluster.open(timeout_seconds=2.5)
    store.set("warm", b"up", level="all")
    monkeypatch.setattr(limits, "BATCH_KEYS", 20)
    leave, left = Draft.leave, 0

    def leave_without_scripts(*arguments: Any) -> Chunk:
        nonlocal left
        left += 1
        if left % 4 == 0:
            for client in clients:
                client.script_flush()
        return leave(*arguments)

    monkeypatch.setattr(Draft, "leave", leave_without_scripts)
    with connect(cluster["a"]) as a, connect(cluster["b"]) as b, connect(cluster["c"]) as c:
        clients = [a, b, c]
        receipts = store.set_many(dict.fromkeys(KEYS[:800], b"value"), level="all")
    assert left == 40
    assert {receipt.outcome for receipt in receipts.values()} == {Outcome.COMMITTED}


def test_large_records_over_a_slow_link_are_all_confirmed(cluster: Cluster) -> None:
    # Far more waits for c than a node that takes nothing is allowed, and for longer than it may be
    # silent.
    proxy, store = cluster.proxied("c")
    store.set("warm", b"up", level="all")
    proxy.delay(0.4)  # the proxy holds 4 MiB, so no more than that passes in this time
    items = {f"large-{number}": b"%d" % number * 10_000_000 for number in range(5)}
    receipts = store.set_many(items, level="all", timeout_seconds=25)
    assert {receipt.acked for receipt in receipts.values()} == {frozenset("abc")}


# Catching up --------------------------------------------------------------------------------------


def _lag(cluster: Cluster, batches: bool) -> None:
    """Writes that reached the primary alone."""
    store = cluster.open()
    if batches:
        store.set_many(dict.fromkeys(KEYS, b"x" * 100), level="async")
        return
    for key in KEYS:
        store.set(key, b"x" * 100, level="async")


def _expect_shipped(done: BroughtUp, records: int) -> None:
    assert (done.records, done.full_syncs, done.finished) == (records, 0, True)
    assert done.payload_bytes <= 1.05 * records * (HEADER_BYTES + 100), "nothing is shipped twice"


@pytest.mark.parametrize("batches", [True, False])
def test_a_log_is_shipped_once(cluster: Cluster, batches: bool) -> None:
    _lag(cluster, batches)
    for node in "bc":
        _expect_shipped(cluster.bring_up(node), len(KEYS))
    cluster.assert_identical()
    assert not {"b", "c"} & set(cluster.lacking())
    _lag(cluster, batches)
    _expect_shipped(cluster.bring_up("b"), len(KEYS))


def test_the_target_is_not_asked_first_while_it_lacks_nearly_everything(cluster: Cluster) -> None:
    _lag(cluster, batches=False)
    before = cluster.raw("b").calls("getrange")
    cluster.bring_up("b")
    assert cluster.raw("b").calls("getrange") - before <= catch_up.FIRST_PAGE_ENTRIES


def test_what_the_target_has_is_hardly_shipped(cluster: Cluster) -> None:
    store = cluster.open()
    for start in range(0, len(KEYS), 5):
        store.set_many(dict.fromkeys(KEYS[start : start + 5], b"x" * 100), level="all")
    for node in "bc":
        done = cluster.bring_up(node)
        assert (done.records, done.finished) == (0, True)
        assert done.payload_bytes == 0


def test_foreign_values_on_the_target_are_left_out(cluster: Cluster) -> None:
    _lag(cluster, batches=False)
    foreign = [KEYS[5], KEYS[1200], KEYS[1201], KEYS[-1]]
    for key in foreign:
        cluster.raw("b").put(key, b"foreign")
    done = cluster.bring_up("b")
    assert (done.records, done.finished) == (len(KEYS) - len(foreign), True)
    assert f"{len(foreign)} keys left as they are" in " ".join(done.notes)
    assert {cluster.raw("b").stored(key) for key in foreign} == {b"foreign"}
    again = cluster.bring_up("b")
    assert (again.records, again.entries) == (0, 0), "the mark stands behind them"


def test_keys_gone_at_the_source_are_shipped_as_deleted(cluster: Cluster) -> None:
    _lag(cluster, batches=False)
    gone = KEYS[::7]
    with cluster.raw("a").client as client:
        client.delete(*(LAYOUT.data(key.encode()) for key in gone))
    done = cluster.bring_up("b")
    assert done.records == len(KEYS)
    kept = {key.encode(): b"x" * 100 for key in KEYS if key not in gone}
    assert cluster.raw("b").values() == kept


def test_large_records_go_in_slices(cluster: Cluster) -> None:
    store = cluster.open()
    expected = {f"large-{number}": b"%d" % number * 300_000 for number in range(40)}
    for key, value in expected.items():
        store.set(key, value, level="async")
    assert cluster.bring_up("b").records == 40
    assert cluster.raw("b").values() == {key.encode(): value for key, value in expected.items()}


def test_a_catch_up_stopped_in_the_middle_goes_on_from_there(cluster: Cluster) -> None:
    _lag(cluster, batches=False)
    pages = 0

    def stop(_: object) -> None:
        nonlocal pages
        pages += 1
        if pages == 3:
            raise Stopping("now")

    with pytest.raises(Stopping):
        cluster.administration.bring_up("b", on_progress=stop)
    done = cluster.bring_up("b")
    assert done.finished
    assert done.entries < len(KEYS) - 500, "the first pages are not read again"
    cluster.bring_up("c")
    cluster.assert_identical()


# Leases -------------------------------------------------------------------------------------------


def test_two_workers_do_not_do_the_same_work(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    _lag(cluster, batches=True)
    assert cluster.queue is not None
    contexts = [WorkerContext(cluster.configuration()) for _ in range(2)]
    with (
        connect(cluster.queue) as first,
        connect(cluster.queue) as second,
        ThreadPoolExecutor(2) as threads,
    ):
        jobs = [
            threads.submit(bring_up_with_lease, c, q, "b")
            for c, q in zip(contexts, (first, second), strict=True)
        ]
        said = sorted(job.result() for job in jobs)
    assert sum(f"{len(KEYS)} records" in text for text in said) == 1
    assert any("another worker is at it" in text or " 0 records" in text for text in said)
    for context in contexts:
        context.close()


def test_a_lease_that_ran_out_is_taken_again_or_given_up(make_cluster: MakeCluster) -> None:
    cluster = make_cluster(queue=True)
    assert cluster.queue is not None
    context = WorkerContext(cluster.configuration())
    with connect(cluster.queue) as client, lease(client, "shop", "b") as held:
        assert held is not None
        assert held.renew()
        client.delete("redrepl:lease:shop:b")
        assert held.renew(), "nobody took it meanwhile"
        with lease(client, "shop", "b") as other:
            assert other is None
        client.set("redrepl:lease:shop:b", "somebody")
        assert not held.renew()
        watch: Any = Watch(context, held)
        watch._renewed_at -= 3600
        with pytest.raises(Stopping, match="took it over"):
            watch(None)
    context.close()


def test_a_record_written_straight_after_a_batch_is_later(cluster: Cluster) -> None:
    store = cluster.open()
    batch = store.set_many({"x": b"1", "y": b"1"})
    assert batch["x"].stamp == batch["y"].stamp < store.set("x", b"2").stamp
    assert cluster.raw("a").record("y") == value_record(batch["y"].stamp, b"1")
