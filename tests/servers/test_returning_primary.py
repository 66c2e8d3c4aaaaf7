"""A primary that comes back: with its data it is admitted again, with less than its replicas have
it is not.
"""

from __future__ import annotations

import logging
import threading
from functools import partial

import pytest

from redrepl import Outcome, RedreplError, Unavailable, WriteRejected
from redrepl.edges.endpoint import split_url
from redrepl.values.errors import WriteFailure
from tests.servers.conftest import MakeCluster
from tests.servers.support.cluster import Cluster, Store
from tests.support.waiting import wait_until

KEYS = 300


@pytest.fixture
def cluster(make_cluster: MakeCluster) -> Cluster:
    """One whose primary is never replaced: it is put back to work, or its absence stops writes."""
    return make_cluster(failover="manual")


def fill(cluster: Cluster, payload: bytes) -> dict[bytes, bytes]:
    store = cluster.open()
    store.set_many({f"key-{number}": payload for number in range(KEYS)}, level="all")
    store.delete("key-0", level="all")
    return cluster.assert_identical()


def test_an_empty_primary_stops_writes_and_keeps_the_replicas_data(cluster: Cluster) -> None:
    before = fill(cluster, b"v")
    store = cluster.open()
    cluster["a"].restart(empty=True)
    cluster.ticker()
    for client in (store, cluster.open()):
        with pytest.raises(WriteRejected, match=r"a: .*came back empty"):
            client.set("key-1", b"new")
    # The workers have looked at it by now, more than once.
    with pytest.raises(RedreplError, match=r"primary 'a' came back empty"):
        cluster.bring_up("a")
    for node in "bc":
        cluster.bring_up(node)
        assert cluster.raw(node).records() == before
    assert store.get("key-2", prefer="replica") == b"v"


def test_after_a_rejected_write_the_replicas_can_still_be_read(cluster: Cluster) -> None:
    fill(cluster, b"v")
    store = cluster.open()
    cluster["a"].restart(empty=True)
    with pytest.raises(WriteRejected):
        store.set("key-1", b"new")
    assert store.get("key-1", prefer="replica") == b"v"


def test_an_empty_primary_does_not_fill_a_replica_that_restarts(cluster: Cluster) -> None:
    before = fill(cluster, b"v")
    cluster["a"].restart(empty=True)
    cluster["b"].restart()
    for _ in range(2):
        done = cluster.bring_up("b")
        assert done.notes == ["no node to bring it up from: none is active in this epoch"]
        assert not done.activated
    assert cluster.raw("b").records() == before
    assert cluster.raw("c").records() == before


def test_a_restarted_primary_decides_nothing_before_it_was_checked(cluster: Cluster) -> None:
    before = fill(cluster, b"v")
    store = cluster.open()
    cluster["a"].restart()
    for client in (store, cluster.open()):
        with pytest.raises(WriteRejected, match="restarted"):
            client.set("key-1", b"new")
    assert cluster.assert_identical() == before


def test_a_primary_that_restarts_with_its_data_is_admitted_by_the_workers(cluster: Cluster) -> None:
    before = fill(cluster, b"v")
    store = cluster.open()
    store.set("async", b"1", level="async")
    cluster["a"].kill()
    cluster["a"].start()
    cluster.ticker()
    wait_until(lambda: store.set("after", b"1"), 20, "writes go on")
    cluster.wait_settled()
    assert cluster.assert_identical().keys() == {*before, b"async", b"after"}


def test_a_primary_with_older_data_decides_nothing_until_it_has_everything_again(
    cluster: Cluster,
) -> None:
    fill(cluster, b"old")
    snapshot = cluster["a"].snapshot_directory()
    before = fill(cluster, b"new")
    store = cluster.open()
    cluster["a"].restore_directory(snapshot)
    cluster["a"].start()
    with pytest.raises(WriteRejected, match=r"a: .*restarted"):
        store.set("key-1", b"newest")
    with pytest.raises(Unavailable, match="restarted"):
        store.get("key-1")
    for node in "bc":
        assert cluster.raw(node).records() == before
    cluster.settle()
    assert cluster.assert_identical() == before
    assert store.set("key-1", b"newest", level="all").acked == {"a", "b", "c"}
    assert store.topology.epoch == 2, "what was under way in the old epoch can no longer come"


def test_a_primary_with_older_data_says_what_it_took_up(cluster: Cluster) -> None:
    fill(cluster, b"old")
    snapshot = cluster["a"].snapshot_directory()
    fill(cluster, b"new")
    cluster["a"].restore_directory(snapshot)
    cluster["a"].start()
    done = cluster.bring_up("a")
    assert done.activated
    assert done.records >= KEYS
    assert done.notes == [f"took up {done.records} records from its replicas, in the new epoch 2"]


def test_a_primary_much_older_than_the_logs_reach_takes_everything_from_its_replicas(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(log_cap_entries=200)
    fill(cluster, b"old")
    cluster.settle()
    snapshot = cluster["a"].snapshot_directory()
    store = cluster.open()
    for number in range(1500):
        store.set(f"later-{number % 400}", b"%d" % number, level="all")
    before = cluster.assert_identical()
    topology, reports = cluster.administration.inspect()
    assert topology is not None
    assert cluster.administration.trim_logs(topology, reports) > 1000
    cluster["a"].restore_directory(snapshot)
    cluster["a"].start()
    cluster.settle()
    assert cluster.assert_identical() == before
    assert store.set("after", b"v", level="all").acked == {"a", "b", "c"}


def test_with_a_replica_missing_too_a_primary_with_older_data_is_not_admitted(
    cluster: Cluster,
) -> None:
    fill(cluster, b"old")
    snapshot = cluster["a"].snapshot_directory()
    before = fill(cluster, b"new")
    cluster["b"].restart(empty=True)
    cluster["a"].restore_directory(snapshot)
    cluster["a"].start()
    cluster.ticker()
    with pytest.raises(
        Unavailable,
        match="primary 'a' restarted; 2 replicas are needed to see what it lost, usable: c",
    ):
        cluster.bring_up("a")
    with pytest.raises(WriteRejected, match="a: "):
        cluster.open().set("key-1", b"newest")
    assert cluster.raw("c").records() == before


def test_a_restarted_primary_waits_for_enough_replicas_to_compare_with(cluster: Cluster) -> None:
    before = fill(cluster, b"v")
    cluster["b"].kill()
    cluster["a"].restart()
    with pytest.raises(Unavailable, match="2 replicas are needed to see what it lost, usable: c"):
        cluster.bring_up("a")
    assert cluster.raw("c").records() == before


class Held(Exception):
    """Whoever brings the node up stops here."""


def hold_syncing(cluster: Cluster, node: str) -> None:
    """The node has begun to be brought up, and is not done."""

    def stop(_: object) -> None:
        raise Held

    with pytest.raises(Held):
        cluster.administration.bring_up(node, on_progress=stop)
    assert cluster.raw(node).member()["state"] == "syncing"


@pytest.mark.parametrize("count", [2, 3])
def test_a_primary_that_crashes_again_while_a_replica_is_brought_up_is_put_back(
    make_cluster: MakeCluster, count: int
) -> None:
    cluster = make_cluster(count=count, failover="manual")
    fill(cluster, b"v")
    cluster["a"].restart()
    assert cluster.bring_up("a").activated
    snapshot = cluster["a"].snapshot_directory()
    if count == 3:
        cluster.bring_up("c")
        assert cluster.open().set("late", b"v").acked == {"a", "c"}
    hold_syncing(cluster, "b")
    cluster["a"].restore_directory(snapshot)
    cluster["a"].start()
    cluster.ticker()
    cluster.wait_settled()
    store = cluster.open()
    assert store.get("late", level="quorum") == (b"v" if count == 3 else None)
    assert store.set("after", b"v", level="all").acked == set(cluster.nodes)
    assert len(cluster.assert_identical()) == KEYS + count - 1


def test_a_primary_that_crashes_while_a_new_member_is_filled_is_put_back(
    make_cluster: MakeCluster,
) -> None:
    cluster = make_cluster(count=2)
    before = fill(cluster, b"old")
    snapshot = cluster["a"].snapshot_directory()
    store = cluster.open()
    assert store.set("late", b"v").acked == {"a", "b"}
    spare = cluster.spare("c")
    cluster.administration.add_node(split_url("c", spare.url))
    hold_syncing(cluster, "c")
    cluster["a"].restore_directory(snapshot)
    cluster["a"].start()
    cluster.ticker()
    cluster.wait_settled()
    # After so long an outage operations hardly wait for a later epoch: the first may still fail.
    wait_until(lambda: store.get("late", level="quorum") == b"v", 20, "the write is read")
    assert store.set("after", b"v", level="all").acked == {"a", "b", "c"}
    cluster.wait_settled()
    assert cluster.assert_identical() == cluster.raw("c").records()
    assert cluster.raw("c").records().keys() == {*before, b"late", b"after"}


@pytest.mark.parametrize("is_empty", [False, True])
def test_where_too_few_are_left_the_way_out_is_told_and_works(
    cluster: Cluster, is_empty: bool
) -> None:
    """b may have lost what it confirmed, and so may a: c alone cannot tell, and no failover can
    be.
    """
    fill(cluster, b"v")
    cluster["b"].restart(empty=is_empty)
    hold_syncing(cluster, "b")
    cluster["a"].restart()
    told = (
        r"2 replicas are needed to see what it lost, usable: c; .*`redrepl failover "
        r"--accept-loss --to c`"
    )
    with pytest.raises(Unavailable, match=told) as caught:
        cluster.bring_up("a")
    why = (
        "is being filled: it is new, or came back empty"
        if is_empty
        else "restarted, and may have lost data"
    )
    assert caught.value.evidence == {"a": "restarted", "b": why}
    assert f"a: {caught.value}" in cluster.administration.status(look_at_keys=False).problems
    with pytest.raises(Unavailable, match=r"usable: c; .*--accept-loss --to c"):
        cluster.administration.failover()
    cluster.ticker()
    cluster.administration.failover("c", accept_loss=True)
    cluster.wait_settled()
    assert cluster.open().set("after", b"v", level="all").acked == {"a", "b", "c"}
    cluster.wait_settled()
    cluster.assert_identical()


def test_the_worker_says_once_why_the_primary_waits(
    cluster: Cluster, caplog: pytest.LogCaptureFixture
) -> None:
    fill(cluster, b"v")
    cluster["b"].restart(empty=True)
    hold_syncing(cluster, "b")
    cluster["a"].restart()
    with caplog.at_level(logging.WARNING, "redrepl.worker"):
        ticker = cluster.ticker()
        wait_until(lambda: "--accept-loss --to c" in caplog.text, message="the worker says it")
        for _ in range(3):
            ticker.tick()
    assert caplog.text.count("--accept-loss --to c") == 1


def test_a_primary_killed_in_the_middle_of_writes_is_admitted_again(cluster: Cluster) -> None:
    store = cluster.open()
    stop = threading.Event()

    def write(thread: int) -> None:
        number = 0
        while not stop.is_set():
            number += 1
            try:
                store.set(f"{thread}-{number % 50}", b"%d" % number)
            except WriteFailure:
                continue

    threads = [threading.Thread(target=write, args=(thread,)) for thread in range(4)]
    for thread in threads:
        thread.start()
    wait_until(lambda: len(cluster.raw("a").records()) == 200, message="all keys are written")
    cluster["a"].kill()
    stop.set()
    for thread in threads:
        thread.join()
    cluster["a"].start()
    cluster.ticker()
    wait_until(lambda: store.set("after", b"1"), 10, "writes go on")
    cluster.wait_settled()
    cluster.assert_identical()


def test_two_workers_at_once_put_a_restarted_primary_back(cluster: Cluster) -> None:
    store = cluster.open()
    store.set("key", b"v", level="all")
    for _ in range(2):
        cluster.ticker()  # without a queue there is no lease: both do the work
    for number in range(8):
        cluster["a"].kill()
        cluster["a"].start()
        cluster.wait_settled()
        wait_until(partial(_commits, store, number), message="writes go on")
    assert {cluster.raw(node).member()["state"] for node in "abc"} == {"active"}


def _commits(store: Store, number: int) -> bool:
    try:
        return store.set("key", b"%d" % number).outcome is Outcome.COMMITTED
    except WriteFailure:
        return False
